/** Buckets by name, and the IAM questions that S3 asks. */
import { createHash } from 'node:crypto';
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { isPublic } from './policy-documents.ts';
import type { BucketsTable } from './tables.ts';

export type Bucket = Selectable<BucketsTable>;

interface BucketInput {
  Bucket: string;
  ExpectedBucketOwner?: string | undefined;
}
interface ObjectInput extends BucketInput {
  Key: string;
  VersionId?: string | undefined;
}

const MAX_KEY_BYTES = 1024;

export function bucketArn(name: string): string {
  return `arn:aws:s3:::${name}`;
}
export function objectArn(bucket: string, key: string): string {
  return `arn:aws:s3:::${bucket}/${key}`;
}

/** Each request reads its bucket once: what was authorized is what the handler sees. */
const known = new WeakMap<RequestContext, Map<string, Bucket>>();

/** The bucket of a request: NoSuchBucket when there is none, AccessDenied when its owner is not the expected one. */
export async function findBucket(ctx: RequestContext, input: BucketInput): Promise<Bucket> {
  const ofRequest = known.get(ctx) ?? new Map<string, Bucket>();
  const bucket =
    ofRequest.get(input.Bucket) ??
    (await ctx.read.selectFrom('s3.buckets').selectAll().where('name', '=', input.Bucket).executeTakeFirst());
  if (!bucket) throw s3Error('NoSuchBucket', undefined, { BucketName: input.Bucket });
  if (input.ExpectedBucketOwner !== undefined && input.ExpectedBucketOwner !== bucket.account) throw s3Error('AccessDenied');
  known.set(ctx, ofRequest.set(bucket.name, bucket));
  return bucket;
}

/** Asks for an action on a bucket, its policy included. */
export function onBucket<I extends BucketInput>(action: string, conditions?: (input: I) => Record<string, string>) {
  return async (input: I, ctx: RequestContext): Promise<Check> =>
    bucketCheck(ctx, await findBucket(ctx, input), action, conditions?.(input));
}

/** Asks for an action on an object; `versioned` instead when the request names a version. */
export function onObject(action: string, versioned: string = action) {
  return async (input: ObjectInput, ctx: RequestContext): Promise<Check> => {
    checkKey(input.Key);
    const bucket = await findBucket(ctx, input);
    return objectCheck(ctx, bucket, input.Key, input.VersionId === undefined ? action : versioned, input.VersionId);
  };
}

export function bucketCheck(ctx: RequestContext, bucket: Bucket, action: string, conditions?: Record<string, string>): Check {
  return { action, resource: bucketArn(bucket.name), ...(conditions && { conditions }), ...ownership(ctx, bucket) };
}

export function objectCheck(ctx: RequestContext, bucket: Bucket, key: string, action: string, versionId?: string): Check {
  const conditions = versionId === undefined ? undefined : { 's3:VersionId': versionId };
  return { action, resource: objectArn(bucket.name, key), ...(conditions && { conditions }), ...ownership(ctx, bucket) };
}

function ownership(ctx: RequestContext, bucket: Bucket): Pick<Check, 'resourceAccount' | 'resourcePolicy'> {
  const { account, policy, public_access_block: block } = bucket;
  // RestrictPublicBuckets: a public policy lets in nobody of another account.
  const restricted = policy !== null && ctx.principal.account !== account && block?.RestrictPublicBuckets === true && isPublic(policy);
  return { resourceAccount: account, ...(policy !== null && !restricted && { resourcePolicy: policy }) };
}

/** S3 names accounts by an id of 64 hex digits that tells nothing of the account number. */
export function canonicalUser(account: string): { ID: string } {
  return { ID: createHash('sha256').update(`penstock canonical user ${account}`).digest('hex') };
}

/** Keys are any UTF-8 of 1 to 1,024 bytes; they never name files. PostgreSQL texts hold no NUL, and no XML could carry it in a listing. */
export function checkKey(key: string): void {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw s3Error('KeyTooLongError', undefined, { Size: Buffer.byteLength(key), MaxSizeAllowed: MAX_KEY_BYTES });
  }
  checkText('key', key);
}

/** For prefixes, markers and other texts that are compared with keys. */
export function checkText(name: string, text: string | undefined): void {
  if (text !== undefined && (text.includes('\0') || !text.isWellFormed())) throw invalidArgument(name, '', `Invalid ${name}`);
}

/**
 * That a key is missing is told only to those who may list the bucket; to others it is AccessDenied.
 * `fallback` is the error for those who may know.
 */
export async function missing(ctx: RequestContext, bucket: Bucket, fallback: AwsError): Promise<AwsError> {
  try {
    await ctx.authorize(bucketCheck(ctx, bucket, 's3:ListBucket'));
    return fallback;
  } catch (error) {
    if (error instanceof AwsError) return error;
    throw error;
  }
}
