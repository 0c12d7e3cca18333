import { close, createWriteStream, fchmodSync, fchownSync, fstatSync, futimesSync, read } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import type { Owner, Place } from './place.ts';

/** Deepest nesting that is packed or unpacked; each level keeps a directory open. */
const deepest = 200;
/** bytes */
const CHUNK = 256 * 1024;

/**
 * Unpacks a tar stream from anybody into a directory that others may be changing.
 *
 * Names that are absolute or hold `..`, names that lead through a symbolic link (be it from the archive or there before), hard links
 * to anything but a file below, and device nodes fail the call. Symbolic links themselves may point anywhere: they are made, not followed.
 * Set-user-id bits are dropped, owners and groups of the archive are ignored.
 */
export async function unpack(target: Place, archive: Readable, owner: Owner | undefined): Promise<void> {
  const entries = extract();
  const unpacking = new Unpacking(target, owner);
  const feeding = pipeline(archive, entries);
  feeding.catch(() => undefined);
  try {
    for await (const entry of entries) await unpacking.add(entry.header, entry as unknown as Readable);
    await feeding;
    unpacking.finishDirectories();
  } catch (error) {
    archive.destroy();
    throw error;
  }
}

class Unpacking {
  readonly #target: Place;
  readonly #owner: Owner | undefined;
  /** Set last: a directory that may not be written to must first be filled. */
  readonly #directories = new Map<string, Header>();

  constructor(target: Place, owner: Owner | undefined) {
    this.#target = target;
    this.#owner = owner;
  }

  async add(header: Header, content: Readable): Promise<void> {
    const path = safeNames(header.name);
    if (header.type === 'directory') {
      this.#in(path, () => undefined);
      if (path.length > 0) this.#directories.set(path.join('/'), header);
      content.resume();
      return;
    }
    const name = path.pop();
    if (name === undefined) throw new Error(`the archive has an entry ${JSON.stringify(header.name)} that is not a directory`);
    const parent = this.#open(path);
    try {
      await this.#make(parent, name, header, content);
    } finally {
      parent.close();
    }
  }

  async #make(parent: Place, name: string, header: Header, content: Readable): Promise<void> {
    if (header.type === 'file' || header.type === 'contiguous-file') return await this.#file(parent, name, header, content);
    content.resume();
    if (header.type === 'symlink') {
      parent.symlink(name, header.linkname ?? '', this.#owner);
      if (header.mtime) parent.touch(name, header.mtime);
    } else if (header.type === 'link') this.#hardLink(parent, name, header);
    else throw new Error(`the archive holds a ${header.type}, ${JSON.stringify(header.name)}, which is not allowed`);
  }

  async #file(parent: Place, name: string, header: Header, content: Readable): Promise<void> {
    const fd = parent.create(name);
    const writing = createWriteStream('', { fd, autoClose: false });
    try {
      await pipeline(content, writing);
      if (this.#owner) fchownSync(fd, this.#owner.uid, this.#owner.gid);
      fchmodSync(fd, permissions(header, 0o644));
      if (header.mtime) futimesSync(fd, header.mtime, header.mtime);
    } finally {
      // A stream that failed has closed it, and the number may be another file's by now.
      if (!writing.destroyed) await closed(fd);
    }
  }

  #hardLink(parent: Place, name: string, header: Header): void {
    const source = safeNames(header.linkname ?? '');
    const oldName = source.pop();
    if (oldName === undefined) throw new Error(`the hard link ${JSON.stringify(header.name)} has no target`);
    this.#in(source, (from) => {
      if (!from.stat(oldName).isFile()) throw new Error(`the hard link ${JSON.stringify(header.name)} does not lead to a file`);
      if (from.stat(oldName).ino !== parent.statOrNothing(name)?.ino) parent.link(name, from, oldName);
    });
  }

  finishDirectories(): void {
    // Deepest first: what is above may become closed.
    for (const [path, header] of [...this.#directories].sort(([a], [b]) => b.length - a.length)) {
      this.#in(path.split('/'), (place) => {
        fchmodSync(place.fd, permissions(header, 0o755));
        if (header.mtime) futimesSync(place.fd, header.mtime, header.mtime);
      });
    }
  }

  #in(path: string[], use: (place: Place) => void): void {
    const place = this.#open(path);
    try {
      use(place);
    } finally {
      place.close();
    }
  }

  #open(path: string[]): Place {
    if (path.length > deepest) throw new Error(`the archive is nested deeper than ${deepest} directories`);
    let place = this.#target.reopen();
    for (const name of path) {
      const outer = place;
      try {
        place = outer.enterOrMake(name, this.#owner);
      } catch (error) {
        throw new Error(
          `the archive's ${JSON.stringify(path.join('/'))} is not a directory that can be written to: ${(error as Error).message}`,
        );
      } finally {
        outer.close();
      }
    }
    return place;
  }
}

function permissions(header: Header, fallback: number): number {
  return (header.mode ?? fallback) & 0o777;
}

/** The parts of an entry's name. @throws when it would lead out of the directory that it is unpacked into. */
export function safeNames(name: string): string[] {
  const names = name.split('/').filter((one) => one !== '' && one !== '.');
  if (name.startsWith('/') || names.includes('..') || name.includes('\0')) {
    throw new Error(`the archive has a name, ${JSON.stringify(name)}, that leads out of its directory`);
  }
  return names;
}

/** Packs a tree, or a single file of it, as it is while it is read. Sockets, named pipes and devices are left out. Closes `from`. */
export function packTree(from: Place, only?: string): Readable {
  const archive = pack();
  packing(archive, from, only)
    .then(() => archive.finalize())
    .catch((error) => archive.destroy(error))
    .finally(() => from.close());
  return archive as unknown as Readable;
}

async function packing(archive: Pack, from: Place, only: string | undefined): Promise<void> {
  if (only !== undefined) await packEntry(archive, from, only, only, 0);
  else await packDirectory(archive, from, '', 0);
}

async function packDirectory(archive: Pack, place: Place, prefix: string, depth: number): Promise<void> {
  if (depth > deepest) throw new Error(`directories are nested deeper than ${deepest}`);
  for (const name of place.names()) await packEntry(archive, place, name, prefix + name, depth);
}

async function packEntry(archive: Pack, place: Place, name: string, path: string, depth: number): Promise<void> {
  const stat = place.statOrNothing(name);
  if (!stat) return;
  const header = { name: path, mode: stat.mode & 0o777, mtime: stat.mtime, uid: 0, gid: 0 };
  if (stat.isSymbolicLink()) archive.entry({ ...header, type: 'symlink', linkname: place.linkTarget(name) ?? '' });
  else if (stat.isDirectory()) {
    archive.entry({ ...header, name: `${path}/`, type: 'directory' });
    const inner = place.enter(name);
    try {
      await packDirectory(archive, inner, `${path}/`, depth + 1);
    } finally {
      inner.close();
    }
  } else if (stat.isFile()) await packFile(archive, place, name, header);
}

async function packFile(archive: Pack, place: Place, name: string, header: Pick<Header, 'name'> & Partial<Header>): Promise<void> {
  const fd = place.openForReading(name);
  try {
    // Looked at again, now that it cannot be exchanged any more.
    const stat = fstatSync(fd);
    if (!stat.isFile()) return;
    const entry = archive.entry({ ...header, size: stat.size });
    await pipeline(exactly(fd, stat.size), entry);
  } finally {
    await closed(fd);
  }
}

/** As many bytes as the header says, whatever happens to the file meanwhile: one that shrinks is filled up with zeros, as tar does. */
async function* exactly(fd: number, size: number): AsyncGenerator<Buffer> {
  let left = size;
  while (left > 0) {
    const { bytesRead, buffer } = await promisify(read)(fd, Buffer.allocUnsafe(Math.min(left, CHUNK)), 0, Math.min(left, CHUNK), null);
    if (bytesRead === 0) break;
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  for (; left > 0; left -= Math.min(left, 65536)) yield Buffer.alloc(Math.min(left, 65536));
}

function closed(fd: number): Promise<void> {
  return new Promise((resolve, reject) => close(fd, (error) => (error ? reject(error) : resolve())));
}
