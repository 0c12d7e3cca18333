import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract as readTar, type Header as TarHeader } from 'tar-stream';
import { getFileNameLowLevel, openPromise as openZip, type Entry as ZipEntry, type ZipFile } from 'yauzl';
import type { S3Revision } from './deployment-spec.ts';
import { messageOf } from './failure.ts';
import { statOf } from './files.ts';
import { type BundleEntry, startTree, type TreeWriter } from './tree-writer.ts';

/**
 * Unpacks a bundle into `destination`, which is replaced. A bundle that holds its appspec inside the only directory that has one, as
 * archives of repositories do, loses that directory. Throws, leaving no `destination`, if the bundle is broken, tries to write
 * anywhere else, or has no appspec.
 */
export async function unpack(
  bundle: string,
  type: S3Revision['bundleType'],
  destination: string,
  options: { absoluteLinks: boolean; appSpecFilename: string },
): Promise<void> {
  const draft = `${destination}-temp`;
  await rm(destination, { recursive: true, force: true });
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    const tree = startTree(draft, options);
    try {
      await (type === 'zip' ? unpackZip(bundle, tree) : unpackTar(bundle, tree));
      await tree.finish();
    } catch (error) {
      throw new Error(`The bundle cannot be unpacked: ${messageOf(error)}`);
    }
    await rename(await rootOfRevision(draft, options.appSpecFilename), destination);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function rootOfRevision(tree: string, appSpecFilename: string): Promise<string> {
  const holdsAppSpec = async (directory: string) => {
    const names = await readdir(directory);
    return names.some((name) => /^appspec\./.test(name)) || (await statOf(join(directory, appSpecFilename))) !== undefined;
  };
  if (await holdsAppSpec(tree)) return tree;
  const candidates: string[] = [];
  for (const entry of await readdir(tree, { withFileTypes: true })) {
    if (entry.isDirectory() && (await holdsAppSpec(join(tree, entry.name)))) candidates.push(join(tree, entry.name));
  }
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length === 0) throw new Error('appspec file is not found.');
  throw new Error(
    `appspec file is not found at the top of the bundle, and more than one directory has one: ${candidates.map((c) => basename(c)).join(', ')}.`,
  );
}

async function unpackTar(bundle: string, tree: TreeWriter): Promise<void> {
  // Names are read byte by byte, so that one that is not UTF-8 can be told from one that is.
  const options: object = { filenameEncoding: 'latin1' };
  const entries = readTar(options);
  const source = createReadStream(bundle);
  const stop = new AbortController();
  const { signal } = stop;
  const feeding = (await isGzip(bundle)) ? pipeline(source, createGunzip(), entries, { signal }) : pipeline(source, entries, { signal });
  const reading = (async () => {
    for await (const entry of entries) {
      await tree.add(tarEntry(entry.header, chunksOf(entry as unknown as AsyncIterable<Uint8Array>)));
      entry.resume();
    }
  })();
  // A refused entry ends the reading; the feeding would wait for it for ever.
  reading.catch(() => stop.abort());
  // The reader's error says more than that of the stream it broke off.
  const [read, fed] = await Promise.allSettled([reading, feeding]);
  if (fed.status === 'rejected' && read.status === 'fulfilled') throw fed.reason;
  if (read.status === 'rejected') throw read.reason;
}

/** The chunks one by one: node's pipeline would wait for ever for the end of an entry whose archive was cut off. */
async function* chunksOf(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* content;
}

function tarEntry(header: TarHeader, content: AsyncIterable<Uint8Array>): BundleEntry {
  const extended = header.pax as Record<string, string> | null | undefined;
  const name = extended?.path ?? utf8(header.name);
  const common = { name, mode: header.mode, modifiedAt: header.mtime };
  const target = () => extended?.linkpath ?? utf8(header.linkname);
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return { ...common, type: 'file', content };
    case 'directory':
      return { ...common, type: 'directory' };
    case 'symlink':
      return { ...common, type: 'symlink', target: target() };
    case 'link':
      return { ...common, type: 'hardlink', target: target() };
    default:
      throw new Error(`The entry ${JSON.stringify(name)} is a ${header.type ?? 'special file'}, which a bundle must not hold.`);
  }
}

async function unpackZip(bundle: string, tree: TreeWriter): Promise<void> {
  const zip = await openZip(bundle, { lazyEntries: true, autoClose: false, decodeStrings: false });
  try {
    for await (const entry of zip.eachEntry()) await tree.add(await zipEntry(zip, entry));
  } finally {
    zip.close();
  }
}

/** File types in a Unix mode; see inode(7). */
const FILE_TYPE = 0o170000;
const [REGULAR, DIRECTORY, SYMLINK] = [0o100000, 0o040000, 0o120000];
/** Hosts in `versionMadeBy` whose attributes hold a Unix mode: Unix, OS X (APPNOTE 4.4.2). */
const UNIX_HOSTS = [3, 19];
const LONGEST_LINK_BYTES = 4096;

async function zipEntry(zip: ZipFile, entry: ZipEntry): Promise<BundleEntry> {
  const name = zipName(entry);
  const unixMode = UNIX_HOSTS.includes(entry.versionMadeBy >>> 8) ? entry.externalFileAttributes >>> 16 : 0;
  const isDirectory = name.endsWith('/');
  const type = unixMode & FILE_TYPE || (isDirectory ? DIRECTORY : REGULAR);
  const mode = unixMode & 0o777 || (isDirectory ? 0o755 : 0o644);
  const common = { name, mode, modifiedAt: entry.getLastModDate() };

  if (isDirectory || type === DIRECTORY) return { ...common, type: 'directory' };
  if (type !== REGULAR && type !== SYMLINK) {
    throw new Error(`The entry ${JSON.stringify(name)} is a special file, which a bundle must not hold.`);
  }
  if (type === SYMLINK && entry.uncompressedSize > LONGEST_LINK_BYTES) throw new Error(`The link ${JSON.stringify(name)} is too long.`);
  const content = await zip.openReadStreamPromise(entry);
  if (type === REGULAR) return { ...common, type: 'file', content };
  return { ...common, type: 'symlink', target: utf8(Buffer.concat(await content.toArray()).toString('latin1')) };
}

/** A name marked as UTF-8 must be it; one without the mark is UTF-8 if it can be, else in the DOS character set (APPNOTE D). */
function zipName(entry: ZipEntry): string {
  const marked = (entry.generalPurposeBitFlag & 0x800) !== 0;
  const raw = entry.fileNameRaw;
  try {
    return utf8(raw.toString('latin1')).replaceAll('\\', '/');
  } catch (error) {
    if (marked) throw error;
    return getFileNameLowLevel(entry.generalPurposeBitFlag, raw, entry.extraFields, false);
  }
}

function utf8(bytes: string): string {
  const buffer = Buffer.from(bytes, 'latin1');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer);
  } catch {
    throw new Error(`The name ${JSON.stringify(buffer.toString('utf8'))} is not valid UTF-8.`);
  }
}

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.readUInt16BE() === 0x1f8b;
  } finally {
    await handle.close();
  }
}
