import type { Readable } from 'node:stream';

/** What is known of a stored blob. `size` and `sha256` describe the plain bytes, never the encrypted ones. */
export interface BlobInfo {
  key: string;
  /** bytes */
  size: number;
  /** lower-case hex */
  sha256: string;
}

/** A blob as it is listed, damaged or not. */
export interface BlobEntry {
  key: string;
  /** When put became visible, by the store's clock; for sweeps of blobs that no row names. */
  storedAt: Date;
}

/** Plain-byte range, both ends inclusive, as in an HTTP Range header. `end` may lie past the last byte; `start` may not (RangeError). */
export interface ByteRange {
  start: number;
  end: number;
}

export class BlobNotFoundError extends Error {
  override readonly name = 'BlobNotFoundError';
}
/** The blob was put under a wrapping key, and is asked for without one. */
export class BlobKeyError extends Error {
  override readonly name = 'BlobKeyError';
}
export class BlobCorruptError extends Error {
  override readonly name = 'BlobCorruptError';
}

/**
 * Bytes that outlive processes: git packs, S3 objects, artifacts. Rows say which blobs exist; this store only keeps them.
 *
 * Keys: `[A-Za-z0-9._-]+` segments of at most 100 characters joined by `/`, no `.` or `..`, at most 500 in all (else TypeError); a key is
 *   written once and never changed, so readers need no lock. Let the last segment begin with random characters: stores spread by its first two.
 * put: streams; the blob is visible (head, get, list) only when put has resolved, whole and durable (fsync). A put that fails or whose
 *   process dies leaves nothing visible; `sweep` clears what it left. Putting an existing key again replaces it atomically.
 * get: fails with BlobNotFoundError before the first byte; ranges are of plain bytes; damage is BlobCorruptError (of get, or on the stream when it
 *   shows later), never wrong bytes. The caller reads the stream to its end or destroys it.
 * delete: idempotent. A reader that already opened the blob may read to its end.
 * under: the same store, whose puts are sealed under the wrapping key (32 bytes) beside the store's own: without it get fails with BlobKeyError,
 *   with another one as for damage. Its get also gives what was put without one. head, list, delete and sweep work without it.
 * Concurrency: every call may run beside every other, from any process that shares the store.
 */
export interface BlobStore {
  put(key: string, body: Readable | Uint8Array, signal?: AbortSignal): Promise<BlobInfo>;
  get(key: string, range?: ByteRange): Promise<Readable>;
  head(key: string): Promise<BlobInfo | undefined>;
  delete(key: string): Promise<void>;
  /** In key order. `after` is exclusive. */
  list(prefix: string, after?: string): AsyncIterable<BlobEntry>;
  under(wrappingKey: Uint8Array): BlobStore;
  /** Removes what interrupted puts older than `olderThan` left behind. */
  sweep(olderThan: Date): Promise<void>;
}

const KEY = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100})*$/;

/** Drivers call this first, so that a key can never leave its store. */
export function checkBlobKey(key: string): void {
  if (key.length > 500 || !KEY.test(key)) throw new TypeError(`Not a blob key: ${JSON.stringify(key.slice(0, 100))}`);
}

/** The range as it applies to a blob of `size` bytes; RangeError when it begins past the end. */
export function clampRange(range: ByteRange, size: number): ByteRange {
  const end = Math.min(range.end, size - 1);
  if (range.start < 0 || range.start > end) throw new RangeError(`No bytes ${range.start}-${range.end} in a blob of ${size}.`);
  return { start: range.start, end };
}
