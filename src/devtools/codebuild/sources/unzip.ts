/** A zip file into a machine. Names and links that lead out of the target are refused before anything of them is written. */
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import type { Machine } from '../../../ports/machines/port.ts';
import { tarPack } from '../runner/files.ts';

export class UnsafeArchive extends Error {
  override readonly name = 'UnsafeArchive';
}

const FILE_TYPE = 0o170000;
const SYMBOLIC_LINK = 0o120000;
/** bytes unpacked; a zip bomb ends here. */
const MAX_UNPACKED = 32 * 1024 ** 3;
const MAX_LINK = 4096;

/** Throws UnsafeArchive for a file that is no zip, is damaged, or would write outside of `target`. */
export async function putZip(machine: Machine, file: string, target: string): Promise<void> {
  const tar = tarPack();
  const putting = machine.put(target, tar as unknown as Readable);
  let refused: Error | undefined;
  putting.catch((error) => {
    refused = error;
    tar.destroy(error);
  });
  try {
    await forEachZipped(file, (zip, entry, name) => addEntry(zip, entry, name, tar));
    tar.finalize();
  } catch (error) {
    // A full disk is not the archive's fault.
    if (refused) throw refused;
    tar.destroy(error as Error);
    await putting.catch(() => {});
    throw error instanceof UnsafeArchive ? error : new UnsafeArchive(`zip: ${(error as Error).message}`);
  }
  await putting;
}

/** Calls back for every entry of a zip file, one after the other, with its name made sure of and its unpacked size bounded. */
export async function forEachZipped(file: string, visit: (zip: ZipFile, entry: Entry, name: string) => Promise<void>): Promise<void> {
  const zip = await open(file);
  try {
    let unpacked = 0;
    for await (const entry of zip.eachEntry()) {
      unpacked += entry.uncompressedSize;
      if (unpacked > MAX_UNPACKED) throw new UnsafeArchive(`the archive unpacks to more than ${MAX_UNPACKED} bytes`);
      await visit(zip, entry, safeName(entry.fileName));
    }
  } finally {
    zip.close();
  }
}

async function open(file: string): Promise<ZipFile> {
  try {
    return await openPromise(file, { lazyEntries: true, autoClose: false });
  } catch (error) {
    throw new UnsafeArchive(`zip: not a valid zip file (${(error as Error).message})`);
  }
}

async function addEntry(zip: ZipFile, entry: Entry, name: string, tar: ReturnType<typeof tarPack>): Promise<void> {
  const unixMode = entry.externalFileAttributes >>> 16;
  const mtime = entry.getLastModDate();
  if (entry.fileName.endsWith('/')) {
    tar.entry({ name, type: 'directory', mode: unixMode & 0o777 || 0o755, mtime });
  } else if ((unixMode & FILE_TYPE) === SYMBOLIC_LINK) {
    const linkname = await readLink(zip, entry);
    checkLink(name, linkname);
    tar.entry({ name, type: 'symlink', linkname, mtime });
  } else {
    const content = await zip.openReadStreamPromise(entry);
    await pipeline(
      content,
      tar.entry({ name, size: entry.uncompressedSize, mode: unixMode & 0o777 || 0o644, mtime }) as unknown as NodeJS.WritableStream,
    );
  }
}

function safeName(name: string): string {
  const parts = name.split('/');
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0') || /^[A-Za-z]:/.test(name) || parts.includes('..')) {
    throw new UnsafeArchive(`zip: the entry ${JSON.stringify(name)} would lie outside of the source directory`);
  }
  return name;
}

function checkLink(name: string, target: string): void {
  const resolved = path.posix.normalize(path.posix.join(path.posix.dirname(name), target));
  if (target.startsWith('/') || target.includes('\0') || resolved === '..' || resolved.startsWith('../')) {
    throw new UnsafeArchive(`zip: the link ${JSON.stringify(name)} leads outside of the source directory`);
  }
}

async function readLink(zip: ZipFile, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > MAX_LINK) throw new UnsafeArchive(`zip: the link ${JSON.stringify(entry.fileName)} is too long`);
  const chunks: Buffer[] = [];
  for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
