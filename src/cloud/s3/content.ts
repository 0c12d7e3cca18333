/** The bytes of objects and parts: which blobs hold them, how they are read, and how they go when nothing names them any more. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { sql } from 'kysely';
import type { DataKey } from '../../platform/data-keys.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { JobHandler, Reconciler } from '../../platform/service.ts';
import type { BlobStore, ByteRange } from '../../ports/blobs/port.ts';
import { type BodyFacts, inspected, type Reception } from './checksums.ts';

const PREFIX = 's3/';
/** Blobs of many-piece contents stay this long after the last row is gone, for readers who have not yet come to them. */
const READERS_GRACE_MS = 3_600_000;
/** A put makes its rows right after its blob; what is older and has none was left by a crash. */
const ORPHAN_AGE_MS = 86_400_000;
const SWEEP_EVERY_MS = 86_400_000;
const BATCH = 500;

export interface StoredBody extends BodyFacts {
  blob: string;
  /** The sealed data key that it is under, beside the store's. */
  wrapped: Buffer | null;
}

/** Streams a body into a blob while it is checked; a body that is not what its sender said leaves nothing. */
export async function storeBody(
  platform: Platform,
  body: Readable | Uint8Array | undefined,
  expected: Reception,
  sealing?: Pick<DataKey, 'key' | 'wrapped'>,
): Promise<StoredBody> {
  const { bytes, facts } = inspected(body, expected);
  const blob = PREFIX + randomUUID();
  const store = sealing ? platform.blobs.under(sealing.key) : platform.blobs;
  await store.put(blob, Readable.from(bytes, { objectMode: false }));
  return { blob, wrapped: sealing?.wrapped ?? null, ...facts() };
}

/**
 * Runs what makes a stored body's rows; when they are refused, the blob goes at once instead of at the next sweep. After any other failure
 * (a connection that broke while it committed) the rows may be there, and the blob stays.
 */
export async function orDrop<T>(platform: Platform, stored: StoredBody, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    await platform.blobs.delete(stored.blob).catch((failure) => platform.log.warn({ error: failure }, 'could not drop a blob'));
    throw error;
  }
}

/** A new content of one blob. */
export async function addContent(tx: Transaction, stored: StoredBody): Promise<string> {
  const content = randomUUID();
  await tx.sql
    .insertInto('s3.pieces')
    .values({ content, position: 0, blob: stored.blob, size: stored.size, wrapped_key: stored.wrapped })
    .execute();
  return content;
}

/** A new content that shares the blobs of another. The caller holds a lock on a row that names the other, so that it stays. */
export async function shareContent(tx: Transaction, source: string): Promise<string> {
  const content = randomUUID();
  await tx.sql
    .insertInto('s3.pieces')
    .columns(['content', 'position', 'blob', 'size', 'wrapped_key'])
    .expression((from) =>
      from
        .selectFrom('s3.pieces')
        .select([sql<string>`${content}::uuid`.as('content'), 'position', 'blob', 'size', 'wrapped_key'])
        .where('content', '=', source),
    )
    .execute();
  return content;
}

/** A new content of all pieces of these parts, in order; the parts' own contents end. No byte is moved. */
export async function joinParts(tx: Transaction, upload: string, numbers: number[]): Promise<string> {
  const content = randomUUID();
  await sql`
    insert into s3.pieces (content, position, blob, size, wrapped_key)
    select ${content}::uuid, row_number() over (order by parts.number, pieces.position) - 1, pieces.blob, pieces.size, pieces.wrapped_key
    from s3.parts join s3.pieces on pieces.content = parts.content
    where parts.upload = ${upload} and parts.number = any(${numbers}::int[])`.execute(tx.sql);
  await sql`
    delete from s3.pieces using s3.parts
    where pieces.content = parts.content and parts.upload = ${upload} and parts.number = any(${numbers}::int[])`.execute(tx.sql);
  return content;
}

/** Ends contents; their blobs are deleted after commit, unless others share them. */
export async function dropContents(tx: Transaction, contents: (string | null)[], now: Date): Promise<void> {
  const ended = contents.filter((content) => content !== null);
  if (ended.length === 0) return;
  const pieces = await tx.sql.deleteFrom('s3.pieces').where('content', 'in', ended).returning(['content', 'blob']).execute();
  const counts = Map.groupBy(pieces, (piece) => piece.content);
  const single = pieces.filter((piece) => counts.get(piece.content)!.length === 1).map((piece) => piece.blob);
  const several = pieces.filter((piece) => counts.get(piece.content)!.length > 1).map((piece) => piece.blob);
  for (let at = 0; at < single.length; at += BATCH) await tx.enqueue('s3.discard', { blobs: single.slice(at, at + BATCH) });
  const runAt = new Date(now.getTime() + READERS_GRACE_MS);
  for (let at = 0; at < several.length; at += BATCH) await tx.enqueue('s3.discard', { blobs: several.slice(at, at + BATCH) }, { runAt });
}

/**
 * The bytes of a content, or a range of them. Undefined when it has just ended (the object was replaced): the caller looks again.
 * What is open stays readable to its end. `open` opens the data keys of contents under KMS keys; its refusals are thrown here.
 */
export async function readContent(
  platform: Platform,
  content: string,
  open: (wrapped: Uint8Array) => Promise<Buffer>,
  range?: ByteRange,
): Promise<Readable | undefined> {
  const pieces = await platform.read
    .selectFrom('s3.pieces')
    .select(['blob', 'size', 'wrapped_key'])
    .where('content', '=', content)
    .orderBy('position')
    .execute();
  if (pieces.length === 0) return undefined;
  // All pieces of a content are under one data key, or none is.
  const wrapped = pieces[0]!.wrapped_key;
  const store = wrapped ? platform.blobs.under(await open(wrapped)) : platform.blobs;
  const wanted = cut(pieces, range);
  try {
    if (wanted.length === 1) return await store.get(wanted[0]!.blob, wanted[0]!.range);
  } catch (error) {
    if ((error as Error).name === 'BlobNotFoundError') return undefined;
    throw error;
  }
  return Readable.from(inTurn(store, wanted), { objectMode: false });
}

async function* inTurn(store: BlobStore, wanted: { blob: string; range?: ByteRange }[]): AsyncGenerator<Buffer> {
  for (const { blob, range } of wanted) yield* await store.get(blob, range);
}

/** Which ranges of which blobs make up the range of the whole. */
function cut(pieces: { blob: string; size: number }[], range: ByteRange | undefined): { blob: string; range?: ByteRange }[] {
  if (!range) return pieces.map(({ blob }) => ({ blob }));
  const wanted: { blob: string; range: ByteRange }[] = [];
  let offset = 0;
  for (const { blob, size } of pieces) {
    const start = Math.max(range.start - offset, 0);
    const end = Math.min(range.end - offset, size - 1);
    if (start <= end) wanted.push({ blob, range: { start, end } });
    offset += size;
  }
  return wanted;
}

/**
 * Deletes those of the blobs that no piece names. None can be named anew meanwhile: a copy names a blob only while it holds a lock on a
 * version that has it, and a version that is gone cannot be locked.
 */
export const discard: JobHandler = async (platform, { blobs }: { blobs: string[] }, { signal }) => {
  for (const blob of await unnamed(platform, blobs)) {
    signal.throwIfAborted();
    await platform.blobs.delete(blob);
  }
};

/** Once a day: blobs that a crash left between their put and their rows. */
export const sweep: Reconciler = {
  async run(platform, _id, signal) {
    const startedAt = platform.now();
    await platform.blobs.sweep(new Date(startedAt.getTime() - ORPHAN_AGE_MS));
    let old: string[] = [];
    for await (const blob of platform.blobs.list(PREFIX)) {
      signal.throwIfAborted();
      if (blob.storedAt.getTime() < startedAt.getTime() - ORPHAN_AGE_MS) old.push(blob.key);
      if (old.length < BATCH) continue;
      await drop(old);
      old = [];
    }
    await drop(old);
    await platform.transaction(async (tx) => {
      await tx.sql
        .deleteFrom('s3.uploads')
        .where('completed_at', '<', new Date(startedAt.getTime() - ORPHAN_AGE_MS))
        .execute();
      await tx.sql
        .insertInto('s3.sweeps')
        .values({ name: 'blobs', ended_at: platform.now() })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ ended_at: platform.now() }))
        .execute();
    });

    async function drop(blobs: string[]): Promise<void> {
      for (const blob of await unnamed(platform, blobs)) await platform.blobs.delete(blob);
    }
  },
  async pending(platform) {
    const last = await platform.read.selectFrom('s3.sweeps').select('ended_at').where('name', '=', 'blobs').executeTakeFirst();
    return last && platform.now().getTime() - last.ended_at.getTime() < SWEEP_EVERY_MS ? [] : ['blobs'];
  },
};

async function unnamed(platform: Platform, blobs: string[]): Promise<string[]> {
  if (blobs.length === 0) return [];
  const rows = await platform.read.selectFrom('s3.pieces').select('blob').distinct().where('blob', 'in', blobs).execute();
  const named = new Set(rows.map((row) => row.blob));
  return blobs.filter((blob) => !named.has(blob));
}
