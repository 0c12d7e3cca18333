/** SSE-KMS: the bytes of an object are under a data key that only KMS can open, for whoever may use the KMS key. */
import type { Readable } from 'node:stream';
import { sql } from 'kysely';
import { type DataKey, type KeyUse, newDataKey, openDataKey, sharedDataKey } from '../../platform/data-keys.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { servicePrincipal } from '../../platform/principal.ts';
import type { RequestContext } from '../../platform/service.ts';
import { bucketArn, findBucket, objectArn } from './access.ts';
import { s3Error } from './errors.ts';
import type { Attributes } from './tables.ts';

/** What a data key is bound to. */
interface Place {
  bucket: string;
  key: string;
  attributes: Attributes;
}

/** A data key for a new object or upload, and its attributes with the ARN of the KMS key; no data key without SSE-KMS. */
export async function sealingOf(ctx: RequestContext, place: Place): Promise<{ attributes: Attributes; sealing: DataKey | undefined }> {
  const { attributes } = place;
  if (!isUnderKms(attributes)) return { attributes, sealing: undefined };
  const use = { ...(await useOf(ctx, place)), keyId: attributes.SSEKMSKeyId! };
  const sealing = await asS3(attributes.BucketKeyEnabled ? sharedDataKey(ctx, use) : newDataKey(ctx, use));
  return { attributes: { ...attributes, SSEKMSKeyId: sealing.keyArn }, sealing };
}

/** Opens the data keys of an object's or an upload's bytes. */
export function openerOf(ctx: RequestContext, place: Place): (wrapped: Uint8Array) => Promise<Buffer> {
  return async (wrapped) => asS3(openDataKey(ctx, { ...(await useOf(ctx, place)), wrapped }));
}

export function isUnderKms(attributes: Attributes): boolean {
  return attributes.ServerSideEncryption === 'aws:kms';
}

/** A blob that is under a data key, opened by S3 itself; undefined when it is of no object any more. */
export async function readSealedContent(platform: Platform, blob: string): Promise<Readable | undefined> {
  const { rows } = await sql<Place & { account: string; region: string; wrapped: Buffer }>`
    select owner.bucket, owner.key, owner.attributes, bucket.account, bucket.region, piece.wrapped_key as wrapped
    from s3.pieces piece
    join (
      select bucket, key, attributes, content from s3.versions
      union all
      select upload.bucket, upload.key, upload.attributes, part.content from s3.parts part join s3.uploads upload on upload.id = part.upload
    ) owner using (content)
    join s3.buckets bucket on bucket.name = owner.bucket
    where piece.blob = ${blob} and piece.wrapped_key is not null limit 1`.execute(platform.read as never);
  const found = rows[0];
  if (!found) return undefined;
  const caller = { aws: platform.aws, signals: platform.signals, principal: servicePrincipal('s3', found.account) };
  const use = { service: 's3', region: found.region, context: contextOf(found), wrapped: found.wrapped };
  return platform.blobs.under(await openDataKey(caller, use)).get(blob);
}

function contextOf({ bucket, key, attributes }: Place): Record<string, string> {
  return { 'aws:s3:arn': attributes.BucketKeyEnabled ? bucketArn(bucket) : objectArn(bucket, key) };
}

async function useOf(ctx: RequestContext, place: Place): Promise<KeyUse> {
  const { region } = await findBucket(ctx, { Bucket: place.bucket });
  return { service: 's3', region, context: contextOf(place) };
}

/** Refusals of KMS as S3 tells them: AccessDenied as its own, others by the name that KMS gave them. */
async function asS3<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (error.code === 'AccessDeniedException') throw s3Error('AccessDenied', error.message);
    throw new AwsError(`KMS.${error.code}`, error.message, { status: 400 });
  }
}
