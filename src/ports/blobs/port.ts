import type { Readable } from 'node:stream';

/** What is known of a stored blob. `size` and `sha256` describe the plain bytes, never the encrypted ones. */
export interface BlobInfo {
  key: string;
  /** bytes */
  size: number;
  /** lower-case hex */
  sha256: string;
}

/** Plain-byte range, both ends inclusive, as in an HTTP Range header. */
export interface ByteRange {
  start: number;
  end: number;
}

export class BlobNotFoundError extends Error {
  override readonly name = 'BlobNotFoundError';
}
export class BlobCorruptError extends Error {
  override readonly name = 'BlobCorruptError';
}

/**
 * Bytes that outlive processes: git packs, S3 objects, artifacts. Rows say which blobs exist; this store only keeps them.
 *
 * Keys: `[A-Za-z0-9._-]+` segments joined by `/`, no `..`; a key is written once and never changed, so readers need no lock.
 * put: streams; the blob is visible (head, get, list) only when put has resolved, whole and durable (fsync). A put that fails or whose
 *   process dies leaves nothing visible; `sweep` clears what it left on disk. Putting an existing key again replaces it atomically.
 * get: fails with BlobNotFoundError before the first byte; ranges are of plain bytes; damage is BlobCorruptError on the stream, never wrong bytes.
 * delete: idempotent. A reader that already opened the blob may read to its end.
 * Concurrency: every call may run beside every other, from any process that shares the store.
 */
export interface BlobStore {
  put(key: string, body: Readable | Uint8Array, signal?: AbortSignal): Promise<BlobInfo>;
  get(key: string, range?: ByteRange): Promise<Readable>;
  head(key: string): Promise<BlobInfo | undefined>;
  delete(key: string): Promise<void>;
  /** In key order. `after` is exclusive. */
  list(prefix: string, after?: string): AsyncIterable<BlobInfo>;
  /** Removes what interrupted puts older than `olderThan` left behind. */
  sweep(olderThan: Date): Promise<void>;
}
