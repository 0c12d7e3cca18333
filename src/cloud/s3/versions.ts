/** The versions of a key: which is the latest, what a write puts in whose place, and what a delete leaves. */
import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { AwsError } from '../../platform/errors.ts';
import type { Reader, Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { type Bucket, missing } from './access.ts';
import { dropContents } from './content.ts';
import { invalidArgument, s3Error } from './errors.ts';
import type { Attributes, Checksum, CompletedPart, Tags, VersionsTable } from './tables.ts';

export type Version = Selectable<VersionsTable>;
/** A version that has bytes: no delete marker. */
export type ObjectVersion = Version & { content: string; size: number; etag: string; checksum: Checksum; attributes: Attributes };

export const NULL_VERSION = 'null';
const VERSION_ID = /^(?:null|[A-Za-z0-9._-]{32})$/;

export interface NewObject {
  content: string;
  size: number;
  /** Without quotes. */
  etag: string;
  checksum: Checksum;
  attributes: Attributes;
  tags: Tags | null;
  parts?: CompletedPart[];
}

/** Writes of one key follow one another from here to the end of the transaction. */
export async function lockKey(tx: Transaction, bucket: string, key: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`s3:${bucket}/${key}`}, 0))`.execute(tx.sql);
}

/** The bucket as it is now, held so that it cannot be deleted before the transaction ends. */
export async function holdBucket(tx: Transaction, name: string): Promise<Bucket> {
  const bucket = await tx.sql.selectFrom('s3.buckets').selectAll().where('name', '=', name).forKeyShare().executeTakeFirst();
  if (!bucket) throw s3Error('NoSuchBucket', undefined, { BucketName: name });
  return bucket;
}

export async function latestVersion(read: Reader, bucket: string, key: string): Promise<Version | undefined> {
  return read
    .selectFrom('s3.versions')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', key)
    .where('is_latest', '=', true)
    .executeTakeFirst();
}

export async function versionById(read: Reader, bucket: string, key: string, versionId: string): Promise<Version | undefined> {
  checkVersionId(versionId);
  return read
    .selectFrom('s3.versions')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', key)
    .where('version_id', '=', versionId)
    .executeTakeFirst();
}

export function checkVersionId(versionId: string): void {
  if (!VERSION_ID.test(versionId)) throw invalidArgument('versionId', versionId, 'Invalid version id specified');
}

/** The object that a read asks for, with S3's error when there is none: NoSuchKey, NoSuchVersion, or what a delete marker answers. */
export async function findObject(
  ctx: RequestContext,
  bucket: Bucket,
  input: { Key: string; VersionId?: string | undefined },
): Promise<ObjectVersion> {
  const { Key: key, VersionId: versionId } = input;
  const version =
    versionId === undefined ? await latestVersion(ctx.read, bucket.name, key) : await versionById(ctx.read, bucket.name, key, versionId);
  if (version && !version.is_delete_marker) return version as ObjectVersion;
  throw await notThere(ctx, bucket, key, versionId, version);
}

function notThere(ctx: RequestContext, bucket: Bucket, key: string, versionId: string | undefined, marker: Version | undefined) {
  const headers = marker && { 'x-amz-delete-marker': 'true', 'x-amz-version-id': marker.version_id };
  if (marker && versionId !== undefined) {
    const error: AwsError = s3Error('MethodNotAllowed', undefined, {
      Method: 'GET',
      ResourceType: 'DeleteMarker',
      ...headers,
      'last-modified': marker.modified_at.toUTCString(),
    });
    return error;
  }
  if (versionId !== undefined) return s3Error('NoSuchVersion', undefined, { Key: key, VersionId: versionId });
  return missing(ctx, bucket, s3Error('NoSuchKey', undefined, { Key: key, ...headers }));
}

/** Puts a new latest version in; the key is locked. Answers its version id. */
export async function addVersion(tx: Transaction, bucket: Bucket, key: string, now: Date, object: NewObject): Promise<string> {
  return insertLatest(tx, bucket, key, now, bucket.versioning === 'Enabled' ? newVersionId() : NULL_VERSION, object);
}

export interface Deleted {
  /** What is gone, or undefined when only a marker was laid or nothing was there. */
  removed: Version | undefined;
  /** The version id of a marker newly laid. */
  marker: string | undefined;
}

/** A delete without version id; the key is locked. */
export async function deleteLatest(tx: Transaction, bucket: Bucket, key: string, now: Date): Promise<Deleted> {
  if (bucket.versioning === null) {
    return { removed: await removeVersion(tx, bucket.name, key, NULL_VERSION, now), marker: undefined };
  }
  const id = bucket.versioning === 'Enabled' ? newVersionId() : NULL_VERSION;
  return { removed: undefined, marker: await insertLatest(tx, bucket, key, now, id) };
}

/** Removes one version for good; when it was the latest, the one before becomes it. The key is locked. */
export async function removeVersion(
  tx: Transaction,
  bucket: string,
  key: string,
  versionId: string,
  now: Date,
): Promise<Version | undefined> {
  const removed = await tx.sql
    .deleteFrom('s3.versions')
    .where('bucket', '=', bucket)
    .where('key', '=', key)
    .where('version_id', '=', versionId)
    .returningAll()
    .executeTakeFirst();
  if (!removed) return undefined;
  await dropContents(tx, [removed.content], now);
  if (removed.is_latest) {
    await sql`
      update s3.versions set is_latest = true where bucket = ${bucket} and key = ${key} and version_order =
        (select max(version_order) from s3.versions where bucket = ${bucket} and key = ${key})`.execute(tx.sql);
  }
  return removed;
}

async function insertLatest(
  tx: Transaction,
  bucket: Bucket,
  key: string,
  now: Date,
  versionId: string,
  object?: NewObject,
): Promise<string> {
  if (versionId === NULL_VERSION) await displaceNull(tx, bucket.name, key, now);
  if (bucket.versioning !== null) {
    await tx.sql
      .updateTable('s3.versions')
      .set({ is_latest: false })
      .where('bucket', '=', bucket.name)
      .where('key', '=', key)
      .where('is_latest', '=', true)
      .execute();
  }
  await tx.sql
    .insertInto('s3.versions')
    .values({
      bucket: bucket.name,
      key,
      version_id: versionId,
      is_latest: true,
      is_delete_marker: object === undefined,
      modified_at: now,
      content: object?.content ?? null,
      size: object?.size ?? null,
      etag: object?.etag ?? null,
      checksum: object ? JSON.stringify(object.checksum) : null,
      attributes: object ? JSON.stringify(object.attributes) : null,
      tags: object?.tags ? JSON.stringify(object.tags) : null,
      parts: object?.parts ? JSON.stringify(object.parts) : null,
    })
    .execute();
  return versionId;
}

/** The null version gives way to a new one. */
async function displaceNull(tx: Transaction, bucket: string, key: string, now: Date): Promise<void> {
  const displaced = await tx.sql
    .deleteFrom('s3.versions')
    .where('bucket', '=', bucket)
    .where('key', '=', key)
    .where('version_id', '=', NULL_VERSION)
    .returning('content')
    .executeTakeFirst();
  if (displaced) await dropContents(tx, [displaced.content], now);
}

function newVersionId(): string {
  return randomBytes(24).toString('base64url');
}

/** The version id as answers tell it: not at all where versioning was never set. */
export function shownVersionId(bucket: Bucket, versionId: string): string | undefined {
  return bucket.versioning === null ? undefined : versionId;
}
