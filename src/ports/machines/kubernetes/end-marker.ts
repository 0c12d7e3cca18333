/**
 * How the first process of an exec tells that its command has ended: as the last thing that it writes on standard error. Nodes may wait with the
 * status for whatever went on in the background and holds the output, and that may be for ever.
 */
export class EndMarker {
  readonly #begin: Buffer;
  #held: Buffer = Buffer.alloc(0);
  #status: number | undefined;

  constructor(token: string) {
    this.#begin = Buffer.from(`\x01${token}!`);
  }

  /** The shell command that tells the status in `$_c`. */
  static command(token: string): string {
    return `printf '\\001%s!%s\\002' ${token} "$_c" >&2`;
  }

  /** undefined as long as the command runs. */
  get status(): number | undefined {
    return this.#status;
  }

  /** Takes standard error. @returns what of it is the command's own and cannot be the marker's beginning. */
  take(chunk: Buffer): Buffer {
    const text = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const begin = text.indexOf(this.#begin);
    const end = begin < 0 ? -1 : text.indexOf(2, begin);
    if (end >= 0) {
      this.#status = Number(text.toString('latin1', begin + this.#begin.length, end));
      this.#held = Buffer.alloc(0);
      return Buffer.concat([text.subarray(0, begin), text.subarray(end + 1)]);
    }
    const hold = begin >= 0 ? begin : text.length - this.#overlap(text);
    this.#held = text.subarray(hold);
    return text.subarray(0, hold);
  }

  /** What was held back, once nothing more comes. */
  rest(): Buffer {
    return this.#held;
  }

  /** How many bytes at the end of `text` may be the beginning of the marker. */
  #overlap(text: Buffer): number {
    for (let length = Math.min(text.length, this.#begin.length - 1); length > 0; length--)
      if (text.subarray(text.length - length).equals(this.#begin.subarray(0, length))) return length;
    return 0;
  }
}
