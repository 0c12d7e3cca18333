/** Blobs in memory, which fail as they are told: what uses blobs can be tested against a bad disk without one. */
import { createHash } from 'node:crypto';
import { addAbortSignal, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlobCorruptError, type BlobInfo, BlobKeyError, BlobNotFoundError, type BlobStore, checkBlobKey, clampRange } from './port.ts';

export interface BlobFault {
  /** The blobs that it befalls: those whose key begins so. */
  prefix: string;
  /** Puts fail (as a full disk does) once more than so many bytes came. */
  failPutAfter?: number;
  /** Reads fail with BlobCorruptError after so many good bytes. */
  corruptAfter?: number;
  /** Each call takes so many milliseconds longer. */
  delayMs?: number;
  /** How many calls it befalls; default all. */
  times?: number;
}

/** `faults` is looked at on each call: a test may change it while the store is in use. */
export function createDummyBlobs(faults: BlobFault[] = []): BlobStore {
  const blobs = new Map<string, { info: BlobInfo; storedAt: Date; bytes: Buffer; wrappingKey: string | undefined }>();

  /** The fault of this kind that befalls the call, counted down. */
  function befalls(kind: 'failPutAfter' | 'corruptAfter' | 'delayMs', key: string): number | undefined {
    const fault = faults.find((each) => each[kind] !== undefined && each.times !== 0 && key.startsWith(each.prefix));
    if (fault?.times !== undefined) fault.times--;
    return fault?.[kind];
  }

  async function begin(key: string): Promise<void> {
    checkBlobKey(key);
    const delay = befalls('delayMs', key);
    if (delay !== undefined) await sleep(delay);
  }

  async function receive(key: string, body: Readable | Uint8Array, signal: AbortSignal | undefined): Promise<Buffer> {
    await begin(key);
    signal?.throwIfAborted();
    const room = befalls('failPutAfter', key) ?? Number.POSITIVE_INFINITY;
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of body instanceof Readable ? (signal ? addAbortSignal(signal, body) : body) : [body]) {
      pieces.push(Buffer.from(piece));
      size += piece.length;
      if (size > room) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
    signal?.throwIfAborted();
    return Buffer.concat(pieces);
  }

  const storeUnder = (wrappingKey: string | undefined): BlobStore => ({
    async put(key, body, signal) {
      try {
        const bytes = await receive(key, body, signal);
        const info = { key, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
        blobs.set(key, { info, storedAt: new Date(), bytes, wrappingKey });
        return info;
      } finally {
        if (body instanceof Readable) body.destroy();
      }
    },
    async get(key, range) {
      await begin(key);
      const blob = blobs.get(key);
      if (!blob) throw new BlobNotFoundError(`There is no blob ${key}.`);
      if (blob.wrappingKey && !wrappingKey) throw new BlobKeyError(`Blob ${key} is under a wrapping key.`);
      const { start, end } = range ? clampRange(range, blob.bytes.length) : { start: 0, end: blob.bytes.length - 1 };
      const bytes = blob.bytes.subarray(start, end + 1);
      const sealed = blob.wrappingKey !== undefined && blob.wrappingKey !== wrappingKey;
      const good = sealed ? 0 : befalls('corruptAfter', key);
      return Readable.from(good === undefined ? [bytes] : damaged(key, bytes.subarray(0, good)), { objectMode: false });
    },
    async head(key) {
      await begin(key);
      const blob = blobs.get(key);
      return blob && { ...blob.info };
    },
    async delete(key) {
      await begin(key);
      blobs.delete(key);
    },
    async *list(prefix, after = '') {
      for (const key of [...blobs.keys()].sort()) {
        const blob = blobs.get(key);
        if (blob && key.startsWith(prefix) && key > after) yield { key, storedAt: blob.storedAt };
      }
    },
    under: (otherKey) => storeUnder(Buffer.from(otherKey).toString('hex')),
    async sweep() {},
  });
  return storeUnder(undefined);
}

function* damaged(key: string, good: Buffer): Generator<Buffer> {
  if (good.length > 0) yield good;
  throw new BlobCorruptError(`Blob ${key} is damaged, as told.`);
}
