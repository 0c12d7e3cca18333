import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import { safeNames } from './tar.ts';

export interface SiftOptions {
  /** Where the entries will lie: names of directories that are there, and of those that are made. */
  below?: { there: string[]; missing: string[] };
  /** Told each directory that an entry lies in or is, before the entry is passed on. May throw. */
  onDirectory?: (names: string[]) => Promise<void>;
  /** Names that are taken off the front of each entry's; what has no more is left out. */
  strip?: number;
  /** What is not allowed is left out instead of failing: for archives that come from a machine and are read by our own code. */
  lenient?: boolean;
}

/**
 * Passes a tar stream on as others may unpack it who follow links: for machines whose files we cannot open ourselves.
 *
 * Refuses what `unpack` in tar.ts refuses: names that lead out, be it through a symbolic link that the archive itself has made, hard links to
 * anything but a file of the same archive, and everything that is neither file, directory nor link. Owners become root, set-user-id bits go.
 */
export function sift(archive: Readable, options: SiftOptions = {}): Readable {
  const output = pack();
  const entries = extract();
  const feeding = pipeline(archive, entries);
  feeding.catch((error) => output.destroy(error));
  const sieve = new Sieve(output, options);
  (async () => {
    sieve.begin();
    for await (const entry of entries) await sieve.pass(entry.header, entry as unknown as Readable);
    await feeding;
    output.finalize();
  })().catch((error) => {
    output.destroy(error);
    archive.destroy();
  });
  return output as unknown as Readable;
}

/** What is wrong with the archive. */
class NotAllowed extends Error {
  constructor(what: string) {
    super(`the archive ${what}`);
  }
}

function namesIn(name: string): string[] {
  try {
    return safeNames(name);
  } catch {
    throw new NotAllowed(`has a name, ${JSON.stringify(name)}, that leads out of its directory`);
  }
}

class Sieve {
  readonly #output: Pack;
  readonly #options: SiftOptions;
  /** What the archive has made so far, by name. */
  readonly #made = new Map<string, 'file' | 'directory' | 'symlink'>();
  readonly #below: string[];

  constructor(output: Pack, options: SiftOptions) {
    this.#output = output;
    this.#options = options;
    this.#below = [...(options.below?.there ?? []), ...(options.below?.missing ?? [])];
  }

  begin(): void {
    const { there = [], missing = [] } = this.#options.below ?? {};
    for (let depth = 1; depth <= missing.length; depth++) this.#directory([...there, ...missing.slice(0, depth)], {});
  }

  async pass(header: Header, content: Readable): Promise<void> {
    try {
      const names = namesIn(header.name).slice(this.#options.strip ?? 0);
      if (header.type === 'directory') await this.#passDirectory(names, header);
      else if (names.length > 0) return await this.#passOther(names, header, content);
      else throw new NotAllowed(`has an entry ${JSON.stringify(header.name)} that is not a directory`);
    } catch (error) {
      if (!(error instanceof NotAllowed && this.#options.lenient)) throw error;
    }
    content.resume();
  }

  async #passDirectory(names: string[], header: Header): Promise<void> {
    if (names.length === 0) return;
    await this.#openParents([...names, '']);
    this.#directory([...this.#below, ...names], header);
  }

  async #passOther(names: string[], header: Header, content: Readable): Promise<void> {
    await this.#openParents(names);
    const name = names.join('/');
    const whole = [...this.#below, ...names].join('/');
    const entry = { name: whole, mode: permissions(header, 0o644), uid: 0, gid: 0, ...(header.mtime ? { mtime: header.mtime } : {}) };
    if (header.type === 'file' || header.type === 'contiguous-file') {
      this.#made.set(name, 'file');
      return await pipeline(content, this.#output.entry({ ...entry, size: header.size ?? 0 }) as unknown as NodeJS.WritableStream);
    }
    content.resume();
    if (header.type === 'symlink') this.#output.entry({ ...entry, type: 'symlink', linkname: header.linkname ?? '' });
    else if (header.type === 'link') this.#output.entry({ ...entry, type: 'link', linkname: this.#hardLinkTarget(header) });
    else throw new NotAllowed(`holds a ${header.type}, ${JSON.stringify(header.name)}, which is not allowed`);
    this.#made.set(name, header.type === 'symlink' ? 'symlink' : 'file');
  }

  #hardLinkTarget(header: Header): string {
    const names = namesIn(header.linkname ?? '').slice(this.#options.strip ?? 0);
    if (this.#made.get(names.join('/')) !== 'file')
      throw new NotAllowed(`has a hard link, ${JSON.stringify(header.name)}, that does not lead to a file of the archive`);
    return [...this.#below, ...names].join('/');
  }

  /** Looks at the directories above an entry once each. Those that the archive does not name are made by whoever unpacks it. */
  async #openParents(names: string[]): Promise<void> {
    for (let depth = 1; depth < names.length; depth++) {
      const parent = names.slice(0, depth);
      const key = parent.join('/');
      const made = this.#made.get(key);
      if (made === 'directory') continue;
      if (made) throw new NotAllowed(`has entries in ${JSON.stringify(key)}, which is not a directory`);
      await this.#options.onDirectory?.(parent);
      this.#made.set(key, 'directory');
    }
  }

  #directory(names: string[], header: Partial<Header>): void {
    const { mode, mtime } = header;
    this.#output.entry({
      name: `${names.join('/')}/`,
      type: 'directory',
      mode: (mode ?? 0o755) & 0o777,
      uid: 0,
      gid: 0,
      ...(mtime ? { mtime } : {}),
    });
  }
}

function permissions(header: Header, fallback: number): number {
  return (header.mode ?? fallback) & 0o777;
}
