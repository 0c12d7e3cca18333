/** Writing sealed blobs to an S3-compatible store: a small one by one request, a larger one in parts, of which few are in memory at a time. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { Objects } from './s3.ts';
import { readExactly } from './s3-reading.ts';
import { CHUNK_BYTES, chunkKeyOf, type Footer, newHeader, sealChunk, sealFooter } from './sealed-format.ts';

/** S3 wants 5 MiB at least, and equal parts are what every store takes. */
const PART_BYTES = 8 * 1024 * 1024;
/** S3's limit: hence blobs of 78 GiB at most. */
const MAX_PARTS = 10_000;
/** Parts on their way beside the one that is being filled. */
const PARALLEL = 2;

type Blob = { blobKey: string; wrappingKey: Uint8Array | undefined };

/** Nothing is visible before the last request has been answered. A put that fails takes away its parts; after a crash the sweep does. */
export async function putSealed(
  objects: Objects,
  blob: Blob,
  body: Readable | Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Footer> {
  const { blobKey, wrappingKey } = blob;
  const { dataKey, header } = newHeader(objects.storeKey, blobKey, wrappingKey !== undefined);
  const upload = new Upload(objects, blobKey, header, signal);
  const footer: Footer = { size: 0, sha256: '' };
  const chunkKey = chunkKeyOf(blobKey, dataKey, wrappingKey !== undefined, wrappingKey);
  try {
    await upload.add(header);
    for await (const piece of sealedChunks(chunkKey, body instanceof Uint8Array ? [body] : body, footer)) await upload.add(piece);
    await upload.add(sealFooter(dataKey, footer));
    await upload.finish();
    return footer;
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** Fills in the footer when all has passed. */
async function* sealedChunks(key: Buffer, body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, footer: Footer): AsyncGenerator<Buffer> {
  const digest = createHash('sha256');
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let index = 0;
  for await (const piece of body) {
    digest.update(piece);
    footer.size += piece.length;
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes <= CHUNK_BYTES) continue;
    const bytes = held.length === 1 ? held[0]! : Buffer.concat(held);
    let at = 0;
    // A full chunk is held back until more comes: it may be the last of all.
    for (; bytes.length - at > CHUNK_BYTES; at += CHUNK_BYTES)
      yield* sealChunk(key, index++, false, [bytes.subarray(at, at + CHUNK_BYTES)]);
    held = [bytes.subarray(at)];
    heldBytes = bytes.length - at;
  }
  yield* sealChunk(key, index, true, held);
  footer.sha256 = digest.digest('hex');
}

class Upload {
  readonly #objects: Objects;
  readonly #blobKey: string;
  /** Holds the blob's data key: no two objects ever had the same. */
  readonly #header: Buffer;
  readonly #signal: AbortSignal | undefined;
  #filling: Buffer[] = [];
  #filled = 0;
  #id: string | undefined;
  readonly #parts: CompletedPart[] = [];
  readonly #sending = new Set<Promise<void>>();

  constructor(objects: Objects, blobKey: string, header: Buffer, signal: AbortSignal | undefined) {
    this.#objects = objects;
    this.#blobKey = blobKey;
    this.#header = header;
    this.#signal = signal;
  }

  async add(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === PART_BYTES) await this.#sendPart();
      const piece = bytes.subarray(at, at + PART_BYTES - this.#filled);
      this.#filling.push(piece);
      this.#filled += piece.length;
      at += piece.length;
    }
  }

  async finish(): Promise<void> {
    const { sdk } = this.#objects;
    if (this.#id === undefined) return void (await this.#send(new sdk.PutObjectCommand({ ...this.#object, Body: this.#takeFilled() })));
    await this.#sendPart();
    await Promise.all(this.#sending);
    const MultipartUpload = { Parts: this.#parts };
    try {
      await this.#send(new sdk.CompleteMultipartUploadCommand({ ...this.#object, UploadId: this.#id, MultipartUpload }));
    } catch (error) {
      // The answer to an earlier try may have been lost on its way.
      if ((error as Error).name !== 'NoSuchUpload' || !(await this.#isThere())) throw error;
    }
  }

  /** Never fails: what cannot be taken away now is left to the sweep. */
  async abort(): Promise<void> {
    const { sdk, client } = this.#objects;
    await Promise.allSettled(this.#sending);
    if (this.#id === undefined) return;
    await client.send(new sdk.AbortMultipartUploadCommand({ ...this.#object, UploadId: this.#id })).catch(() => {});
  }

  async #sendPart(): Promise<void> {
    const { sdk } = this.#objects;
    this.#id ??= (await this.#send(new sdk.CreateMultipartUploadCommand(this.#object))).UploadId!;
    if (this.#parts.length === MAX_PARTS) throw new Error(`A blob in S3 holds at most ${MAX_PARTS} parts of ${PART_BYTES} bytes.`);
    while (this.#sending.size >= PARALLEL) await Promise.race(this.#sending);
    const part: CompletedPart = { PartNumber: this.#parts.length + 1 };
    this.#parts.push(part);
    const command = new sdk.UploadPartCommand({
      ...this.#object,
      UploadId: this.#id,
      PartNumber: part.PartNumber,
      Body: this.#takeFilled(),
    });
    const sending = this.#send(command).then(({ ETag }) => {
      part.ETag = ETag;
      this.#sending.delete(sending);
    });
    // Whoever waits for it next is told.
    sending.catch(() => {});
    this.#sending.add(sending);
  }

  #takeFilled(): Buffer {
    const bytes = Buffer.concat(this.#filling, this.#filled);
    this.#filling = [];
    this.#filled = 0;
    return bytes;
  }

  async #isThere(): Promise<boolean> {
    const found = await readExactly(this.#objects, this.#blobKey, { start: 0, end: this.#header.length - 1 });
    return found.bytes.equals(this.#header);
  }

  get #object(): { Bucket: string; Key: string } {
    return { Bucket: this.#objects.bucket, Key: this.#objects.prefix + this.#blobKey };
  }

  get #send(): Objects['client']['send'] {
    return ((command: never) => this.#objects.client.send(command, { abortSignal: this.#signal })) as Objects['client']['send'];
  }
}
