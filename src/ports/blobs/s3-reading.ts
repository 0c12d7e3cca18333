/** Reading sealed blobs out of an S3-compatible store: one request for a whole blob, two for a range, more when connections break. */
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { BlobCorruptError, BlobNotFoundError, type ByteRange, clampRange } from './port.ts';
import type { Objects } from './s3.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  chunkKeyOf,
  FOOTER_BYTES,
  type Footer,
  HEADER_BYTES,
  openChunk,
  openFooter,
  openHeader,
  plainSize,
  SEALED_CHUNK_BYTES,
} from './sealed-format.ts';

/** Plain bytes that a stream holds ready. */
const AHEAD_BYTES = 1024 * 1024;
/** How often a reader that got nothing more since the last time asks again. */
const TRIES = 5;
const PAUSE_MS = 100;

/** As `BlobStore.get`. */
export async function readBlob(
  objects: Objects,
  { blobKey, wrappingKey }: { blobKey: string; wrappingKey: Uint8Array | undefined },
  range: ByteRange | undefined,
): Promise<Readable> {
  const first = await ObjectReader.open(objects, blobKey, range && { start: 0, end: HEADER_BYTES - 1 });
  try {
    const { dataKey, wrapped } = openHeader(objects.storeKey, blobKey, await first.take(HEADER_BYTES));
    const size = plainSize(blobKey, first.objectBytes);
    const blob = { blobKey, dataKey, chunkKey: chunkKeyOf(blobKey, dataKey, wrapped, wrappingKey), size };
    if (!range) return streamOf(first, wholeOf(first, blob));
    first.close();
    const wanted = clampRange(range, size);
    const part = await ObjectReader.open(objects, blobKey, sealedRange(wanted, size), first.etag);
    return streamOf(part, chunksOf(part, blob, wanted));
  } catch (error) {
    first.close();
    throw error;
  }
}

/** What the blob's footer tells, when both of its ends are sound. */
export async function readFooter(objects: Objects, blobKey: string): Promise<Footer> {
  const { bytes: header, objectBytes, etag } = await readExactly(objects, blobKey, { start: 0, end: HEADER_BYTES - 1 });
  const { dataKey } = openHeader(objects.storeKey, blobKey, header);
  plainSize(blobKey, objectBytes);
  const { bytes } = await readExactly(objects, blobKey, { start: objectBytes - FOOTER_BYTES, end: objectBytes - 1 }, etag);
  return openFooter(dataKey, blobKey, bytes, objectBytes);
}

/** Fewer bytes than asked for when the object ends before. */
export async function readExactly(objects: Objects, blobKey: string, range: ByteRange, etag?: string) {
  const reader = await ObjectReader.open(objects, blobKey, range, etag);
  try {
    return { bytes: await reader.take(range.end - range.start + 1), objectBytes: reader.objectBytes, etag: reader.etag };
  } finally {
    reader.close();
  }
}

interface SealedBlob {
  blobKey: string;
  dataKey: Buffer;
  chunkKey: Buffer;
  /** plain bytes */
  size: number;
}

async function* wholeOf(reader: ObjectReader, blob: SealedBlob): AsyncGenerator<Buffer> {
  yield* chunksOf(reader, blob, { start: 0, end: blob.size - 1 });
  openFooter(blob.dataKey, blob.blobKey, await reader.take(FOOTER_BYTES), reader.objectBytes);
}

/** The plain bytes of a range, from a reader that stands at its first chunk. */
async function* chunksOf(reader: ObjectReader, { blobKey, chunkKey, size }: SealedBlob, { start, end }: ByteRange): AsyncGenerator<Buffer> {
  const lastOfBlob = chunkCount(size) - 1;
  // Even an empty blob has a chunk.
  for (let index = Math.floor(start / CHUNK_BYTES); index <= Math.max(0, Math.floor(end / CHUNK_BYTES)); index++) {
    const last = index === lastOfBlob;
    const sealed = await reader.take(SEALED_CHUNK_BYTES - (last ? (lastOfBlob + 1) * CHUNK_BYTES - size : 0));
    const plain = openChunk(chunkKey, blobKey, index, last, sealed);
    const wanted = plain.subarray(Math.max(0, start - index * CHUNK_BYTES), end + 1 - index * CHUNK_BYTES);
    if (wanted.length > 0) yield wanted;
  }
}

/** Where the chunks are that hold a range of plain bytes. */
function sealedRange({ start, end }: ByteRange, size: number): ByteRange {
  const first = Math.floor(start / CHUNK_BYTES);
  const last = Math.floor(end / CHUNK_BYTES);
  const missing = last === chunkCount(size) - 1 ? (last + 1) * CHUNK_BYTES - size : 0;
  return { start: HEADER_BYTES + first * SEALED_CHUNK_BYTES, end: HEADER_BYTES + (last + 1) * SEALED_CHUNK_BYTES - missing - 1 };
}

function streamOf(reader: ObjectReader, bytes: AsyncGenerator<Buffer>): Readable {
  const stream = Readable.from(bytes, { objectMode: false, highWaterMark: AHEAD_BYTES });
  // Also when the generator waits for the store just then.
  stream.once('close', () => reader.close());
  return stream;
}

/** An object, or a range of it, taken piece by piece; where a connection breaks it goes on with another, as long as the object is the same. */
class ObjectReader {
  readonly #request: (position: number, etag: string) => Promise<Opened>;
  readonly objectBytes: number;
  readonly etag: string;
  #body: AsyncIterator<Buffer>;
  #source: Readable;
  /** Of the next byte that comes from the store. */
  #position: number;
  /** Exclusive. */
  readonly #end: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #tries = 0;
  #closed = false;

  /** Fails with BlobNotFoundError. With an `etag`: of that version only. */
  static async open(objects: Objects, blobKey: string, range?: ByteRange, etag?: string): Promise<ObjectReader> {
    const end = range ? range.end : undefined;
    const opened = await request(objects, blobKey, range, etag);
    return new ObjectReader(opened, range, (position, same) =>
      request(objects, blobKey, { start: position, end: end ?? opened.objectBytes - 1 }, same),
    );
  }

  private constructor(opened: Opened, range: ByteRange | undefined, again: (position: number, etag: string) => Promise<Opened>) {
    this.#request = again;
    this.objectBytes = opened.objectBytes;
    this.etag = opened.etag;
    this.#source = opened.body;
    this.#body = opened.body[Symbol.asyncIterator]();
    this.#position = range?.start ?? 0;
    this.#end = Math.min(opened.objectBytes, range ? range.end + 1 : opened.objectBytes);
  }

  /** Fewer bytes only at the end. */
  async take(length: number): Promise<Buffer> {
    while (this.#heldBytes < length && (await this.#more()));
    const bytes = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held, this.#heldBytes);
    this.#held = bytes.length > length ? [bytes.subarray(length)] : [];
    this.#heldBytes = Math.max(0, bytes.length - length);
    return bytes.subarray(0, length);
  }

  close(): void {
    this.#closed = true;
    this.#source.destroy();
  }

  async #more(): Promise<boolean> {
    while (this.#position < this.#end) {
      try {
        const { value, done } = await this.#body.next();
        if (done) throw new Error('The blob store ended its answer before the object did.');
        this.#held.push(value);
        this.#heldBytes += value.length;
        this.#position += value.length;
        this.#tries = 0;
        return true;
      } catch (error) {
        if (this.#closed || ++this.#tries > TRIES) throw error;
        await this.#reopen();
      }
    }
    return false;
  }

  async #reopen(): Promise<void> {
    this.#source.destroy();
    await delay(PAUSE_MS * this.#tries);
    const { body } = await this.#request(this.#position, this.etag);
    this.#source = body;
    this.#body = body[Symbol.asyncIterator]();
    if (this.#closed) body.destroy();
  }
}

interface Opened {
  body: Readable;
  etag: string;
  /** Of the whole object. */
  objectBytes: number;
}

async function request({ sdk, client, bucket, prefix }: Objects, blobKey: string, range?: ByteRange, etag?: string): Promise<Opened> {
  try {
    const Range = range && `bytes=${range.start}-${range.end}`;
    const answer = await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: prefix + blobKey, Range, IfMatch: etag }));
    const body = answer.Body as Readable;
    const told = answer.ContentRange?.split('/')[1];
    if (range && told === undefined) {
      body.destroy();
      throw new Error('The blob store does not answer requests for ranges.');
    }
    return { body, etag: answer.ETag ?? '', objectBytes: Number(told ?? answer.ContentLength) };
  } catch (error) {
    const { name } = error as Error;
    if (name === 'NoSuchKey') throw new BlobNotFoundError(`There is no blob ${blobKey}.`);
    // An empty object has no byte to begin with.
    if (name === 'InvalidRange') throw new BlobCorruptError(`Blob ${blobKey} is shorter than a blob can be.`);
    throw error;
  }
}
