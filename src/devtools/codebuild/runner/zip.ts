/** From a machine's tar stream to a zip file on disk, with the digests that CodeBuild reports of artifacts. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { ZipFile } from 'yazl';

export interface Digest {
  /** bytes */
  size: number;
  /** lower-case hex */
  sha256: string;
  /** lower-case hex */
  md5: string;
}

/** Unix file type of a symbolic link, as zip programs store it. */
const SYMBOLIC_LINK = 0o120000;

/** Several tars become one archive, one after the other. `rename` gives each file its name in it, or undefined to leave it out. */
export async function tarsToZip(tars: Iterable<Readable>, target: string, rename: (name: string) => string | undefined): Promise<Digest> {
  const zip = new ZipFile();
  const add = async (header: Header, stream: Readable): Promise<void> => {
    const name = rename(header.name.replace(/^\.\//, ''));
    if (!name) return drain(stream);
    const options = { mtime: header.mtime ?? new Date(0), mode: header.mode ?? 0o644 };
    if (header.type === 'symlink') {
      zip.addBuffer(Buffer.from(header.linkname ?? ''), name, { ...options, mode: SYMBOLIC_LINK | 0o777 });
      return drain(stream);
    }
    await new Promise<void>((resolve, reject) => {
      stream.once('end', resolve);
      stream.once('error', reject);
      zip.addReadStream(stream, name, options);
    });
  };
  const filling = fill(tars, add).then(() => zip.end());
  const digest = digesting();
  // If the tar fails the zip never ends: whichever fails first ends the other.
  const writing = pipeline(zip.outputStream as Readable, digest.stream, createWriteStream(target));
  filling.catch((error) => digest.stream.destroy(error));
  await writing;
  await filling;
  return digest.result();
}

async function fill(tars: Iterable<Readable>, add: (header: Header, stream: Readable) => Promise<void>): Promise<void> {
  for (const tar of tars) await forEachEntry(tar, add);
}

/** Calls back for every file of a tar stream, one after the other. */
export async function forEachEntry(tar: Readable, visit: (header: Header, stream: Readable) => Promise<void>): Promise<void> {
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    visit(header, stream as unknown as Readable).then(() => next(), next);
  });
  await pipeline(tar, reader);
}

export function drain(stream: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('error', reject);
    stream.resume();
  });
}

export function digesting(): { stream: Transform; result(): Digest } {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  let size = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      sha256.update(chunk);
      md5.update(chunk);
      done(null, chunk);
    },
  });
  return { stream, result: () => ({ size, sha256: sha256.digest('hex'), md5: md5.digest('hex') }) };
}
