import { started } from './stage.ts';

/**
 * How a stage tells that it begins its command, or why it cannot, where there is no file descriptor but the command's own: as the first thing
 * on standard error, between marks that nobody can guess.
 */
export class Report {
  readonly token: string;
  #text = '';
  #outcome: string | undefined;

  constructor(token: string) {
    this.token = token;
  }

  /** The shell command that reports a word, and the shell's pid, which becomes the command's. */
  static command(token: string, text: string): string {
    return `printf '\\001%s:%s:%s\\002' ${token} "$$" ${text} >&2`;
  }

  /** {@link started}, a reason why not, or undefined as long as nothing was reported. */
  get outcome(): string | undefined {
    return this.#outcome;
  }

  /** The pid of the command in its machine; 0 when it is not known. */
  pid = 0;

  get started(): boolean {
    return this.#outcome === started;
  }

  /** What was said without a report, by the engine or by a loader that was told to load nonsense. */
  get noise(): string {
    return this.#text.trim();
  }

  /** Takes standard error as long as there is no report. @returns what the command itself wrote behind the report, if that is complete. */
  take(chunk: Buffer): Buffer | undefined {
    // One character per byte, so that positions are positions in the bytes.
    this.#text += chunk.toString('latin1');
    const begin = this.#text.indexOf(`\x01${this.token}:`);
    const end = begin < 0 ? -1 : this.#text.indexOf('\x02', begin);
    if (end < 0) return undefined;
    const [pid, ...words] = this.#text.slice(begin + this.token.length + 2, end).split(':');
    this.pid = Number(pid);
    this.#outcome = Buffer.from(words.join(':'), 'latin1').toString();
    return Buffer.from(this.#text.slice(end + 1), 'latin1');
  }
}
