/**
 * Blobs as encrypted files of one directory, which processes may share (any POSIX file system, local or networked, with atomic rename).
 *
 *     DIRECTORY/tmp/<random>                  puts under way
 *     DIRECTORY/data/<segment>/…/<xy>=/<name>  blobs; `xy` are the first two characters of the last segment, so that no directory grows
 *                                             beyond what file systems and readdir like. `=` is in no segment, so files and folders never clash.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { type BlobInfo, BlobNotFoundError, type BlobStore, type ByteRange, checkBlobKey, clampRange } from './port.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  chunkKeyOf,
  FOOTER_BYTES,
  type Footer,
  HEADER_BYTES,
  newHeader,
  openChunk,
  openFooter,
  openHeader,
  SEALED_CHUNK_BYTES,
  sealedBytes,
  sealFooter,
} from './sealed-format.ts';
import { SealingWriter } from './sealing.ts';

/** Chunks read by one system call: 1 MiB. */
const CHUNKS_PER_CALL = 16;
const SHARD_MARK = '=';

/** Opens the store in `directory`, making it (mode 0700) when it is not there. `key`: 32 bytes that wrap the blobs' own keys. */
export async function openDiskBlobs(directory: string, key: Buffer): Promise<BlobStore> {
  const tmp = path.join(directory, 'tmp');
  const data = path.join(directory, 'data');
  for (const folder of [directory, tmp, data]) await mkdir(folder, { recursive: true, mode: 0o700 });
  const folders = durableFolders(data);
  return diskBlobs({ tmp, data, folders, key });
}

interface Place {
  tmp: string;
  data: string;
  folders: ReturnType<typeof durableFolders>;
  key: Buffer;
}

function diskBlobs(place: Place, wrappingKey?: Uint8Array): BlobStore {
  const { tmp, data, folders, key } = place;

  async function put(blobKey: string, body: Readable | Uint8Array, signal?: AbortSignal): Promise<BlobInfo> {
    const target = fileOf(data, blobKey);
    const temporary = path.join(tmp, randomUUID());
    const file = await open(temporary, 'wx', 0o600);
    try {
      try {
        signal?.throwIfAborted();
        const footer = await writeSealed(file, { storeKey: key, wrappingKey }, blobKey, body, signal);
        await file.datasync();
        signal?.throwIfAborted();
        await folders.ensure(path.dirname(target));
        await rename(temporary, target);
        await syncFolder(path.dirname(target));
        return { key: blobKey, ...footer };
      } finally {
        await file.close();
      }
    } catch (error) {
      if (body instanceof Readable) body.destroy();
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  }

  return {
    put,
    async get(blobKey, range) {
      const file = await openBlob(fileOf(data, blobKey));
      if (!file) throw new BlobNotFoundError(`There is no blob ${blobKey}.`);
      try {
        const { dataKey, wrapped, footer } = await readEnds(file, key, blobKey);
        const chunkKey = chunkKeyOf(blobKey, dataKey, wrapped, wrappingKey);
        return new BlobReader(file, blobKey, chunkKey, footer.size, range && clampRange(range, footer.size));
      } catch (error) {
        await file.close();
        throw error;
      }
    },
    head: (blobKey) => inspect(data, key, blobKey),
    async delete(blobKey) {
      const target = fileOf(data, blobKey);
      await unlink(target).catch(ignore('ENOENT'));
      await syncFolder(path.dirname(target)).catch(ignore('ENOENT'));
    },
    async *list(prefix, after = '') {
      for await (const blobKey of walk(data, '', prefix, after)) {
        const found = await stat(fileOf(data, blobKey)).catch(ignore('ENOENT'));
        if (found) yield { key: blobKey, storedAt: found.mtime };
      }
    },
    under: (otherKey) => diskBlobs(place, otherKey),
    async sweep(olderThan) {
      for (const name of await readdir(tmp)) {
        const file = path.join(tmp, name);
        const found = await stat(file).catch(ignore('ENOENT'));
        if (found && found.mtime < olderThan) await unlink(file).catch(ignore('ENOENT'));
      }
    },
  };
}

async function writeSealed(
  file: FileHandle,
  { storeKey, wrappingKey }: { storeKey: Buffer; wrappingKey: Uint8Array | undefined },
  blobKey: string,
  body: Readable | Uint8Array,
  signal?: AbortSignal,
): Promise<Footer> {
  const { dataKey, header } = newHeader(storeKey, blobKey, wrappingKey !== undefined);
  await file.writeFile(header);
  const writer = new SealingWriter(file, chunkKeyOf(blobKey, dataKey, wrappingKey !== undefined, wrappingKey));
  const closed = new Promise((resolve) => writer.once('close', resolve));
  try {
    if (body instanceof Readable) await pipeline(body, writer, { signal });
    else await finished(writer.end(body));
  } finally {
    writer.destroy();
    await closed;
  }
  await file.writeFile(sealFooter(dataKey, writer.footer));
  return writer.footer;
}

/** Plain bytes of an open file, from `range.start` to `range.end`; closes the file at the end or when destroyed. */
class BlobReader extends Readable {
  readonly #file: FileHandle;
  readonly #key: string;
  readonly #chunkKey: Buffer;
  readonly #size: number;
  readonly #end: number;
  #position: number;

  constructor(file: FileHandle, key: string, chunkKey: Buffer, size: number, range: ByteRange = { start: 0, end: size - 1 }) {
    super({ highWaterMark: CHUNKS_PER_CALL * CHUNK_BYTES });
    this.#file = file;
    this.#key = key;
    this.#chunkKey = chunkKey;
    this.#size = size;
    this.#position = range.start;
    this.#end = range.end;
  }

  override _read(): void {
    this.#readSome().then(
      (bytes) => this.push(bytes),
      (error) => this.destroy(error),
    );
  }

  async #readSome(): Promise<Buffer | null> {
    if (this.#position > this.#end) return null;
    const first = Math.floor(this.#position / CHUNK_BYTES);
    const last = Math.min(Math.floor(this.#end / CHUNK_BYTES), first + CHUNKS_PER_CALL - 1);
    const lastOfBlob = chunkCount(this.#size) - 1;
    const from = HEADER_BYTES + first * SEALED_CHUNK_BYTES;
    const to = last === lastOfBlob ? sealedBytes(this.#size) - FOOTER_BYTES : HEADER_BYTES + (last + 1) * SEALED_CHUNK_BYTES;
    const sealed = await readExactly(this.#file, from, to - from);
    const plain: Buffer[] = [];
    for (let index = first; index <= last; index++) {
      const at = (index - first) * SEALED_CHUNK_BYTES;
      plain.push(openChunk(this.#chunkKey, this.#key, index, index === lastOfBlob, sealed.subarray(at, at + SEALED_CHUNK_BYTES)));
    }
    const bytes = Buffer.concat(plain).subarray(this.#position - first * CHUNK_BYTES, this.#end + 1 - first * CHUNK_BYTES);
    this.#position += bytes.length;
    return bytes;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#file.close().then(
      () => callback(error),
      (closing) => callback(error ?? closing),
    );
  }
}

async function readEnds(file: FileHandle, storeKey: Buffer, blobKey: string) {
  const { size: fileBytes } = await file.stat();
  const { dataKey, wrapped } = openHeader(storeKey, blobKey, await readExactly(file, 0, HEADER_BYTES));
  const sealedFooter = await readExactly(file, Math.max(HEADER_BYTES, fileBytes - FOOTER_BYTES), FOOTER_BYTES);
  return { dataKey, wrapped, footer: openFooter(dataKey, blobKey, sealedFooter, fileBytes) };
}

/** Fewer bytes than asked for when the file ends before; the tags then do not fit. */
async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

async function inspect(data: string, storeKey: Buffer, blobKey: string): Promise<BlobInfo | undefined> {
  const file = await openBlob(fileOf(data, blobKey));
  if (!file) return undefined;
  try {
    const { footer } = await readEnds(file, storeKey, blobKey);
    return { key: blobKey, ...footer };
  } finally {
    await file.close();
  }
}

/** All keys under `prefix` beyond `after`, in order, holding one shard's names at a time. */
async function* walk(folder: string, base: string, prefix: string, after: string): AsyncGenerator<string> {
  // Keys order as if a folder's name ended in `/`; entries that agree in their first two characters then are neighbours.
  const groups = new Map<string, { shard?: string; folders: string[] }>();
  for (const name of await readdir(folder)) {
    const plain = decodeName(name);
    const sharded = plain.endsWith(SHARD_MARK);
    const start = sharded ? plain.slice(0, -1) : `${plain}/`.slice(0, 2);
    const group = groups.get(start) ?? { folders: [] };
    if (sharded) group.shard = name;
    else group.folders.push(`${plain}/`);
    groups.set(start, group);
  }
  for (const [start, group] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!mayHold(base + start, prefix, after)) continue;
    const files = group.shard ? (await readdir(path.join(folder, group.shard))).map(decodeName) : [];
    for (const name of [...files, ...group.folders].sort()) {
      const key = base + name;
      if (!name.endsWith('/')) {
        if (key.startsWith(prefix) && key > after) yield key;
      } else if (mayHold(key, prefix, after)) {
        yield* walk(path.join(folder, encodeName(name.slice(0, -1))), key, prefix, after);
      }
    }
  }
}

/** Whether keys that begin with `start` may begin with `prefix` and come after `after`. */
function mayHold(start: string, prefix: string, after: string): boolean {
  return (start.startsWith(prefix) || prefix.startsWith(start)) && (start > after || after.startsWith(start));
}

function fileOf(data: string, blobKey: string): string {
  checkBlobKey(blobKey);
  const segments = blobKey.split('/');
  const last = segments.pop()!;
  return path.join(data, ...segments.map(encodeName), encodeName(last.slice(0, 2)) + SHARD_MARK, encodeName(last));
}

/** `A` and `a` are two names also where the file system thinks otherwise. */
function encodeName(segment: string): string {
  return segment.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`);
}

function decodeName(name: string): string {
  return name.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function openBlob(file: string): Promise<FileHandle | undefined> {
  // Never through a symbolic link that somebody laid.
  return open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(ignore('ENOENT'));
}

/** Makes folders whose existence survives a power cut; remembers those it has seen to. */
function durableFolders(root: string): { ensure(folder: string): Promise<void> } {
  const known = new Set<string>();
  async function ensure(folder: string): Promise<void> {
    if (folder === root || known.has(folder)) return;
    const parent = path.dirname(folder);
    await ensure(parent);
    await mkdir(folder, { mode: 0o700 }).catch(ignore('EEXIST'));
    // Also when another put made it: that one may not have synced it yet.
    await syncFolder(parent);
    if (known.size > 10_000) known.clear();
    known.add(folder);
  }
  return { ensure };
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignore(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
    return undefined;
  };
}
