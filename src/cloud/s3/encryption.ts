/** SSE-KMS: the bytes of an object are under a data key that only KMS can open, for whoever may use the KMS key. */
import { type DataKey, type KeyUse, newDataKey, openDataKey, sharedDataKey } from '../../platform/data-keys.ts';
import { AwsError } from '../../platform/errors.ts';
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

async function useOf(ctx: RequestContext, { bucket, key, attributes }: Place): Promise<KeyUse> {
  const { region } = await findBucket(ctx, { Bucket: bucket });
  const bound = attributes.BucketKeyEnabled ? bucketArn(bucket) : objectArn(bucket, key);
  return { service: 's3', region, context: { 'aws:s3:arn': bound } };
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
