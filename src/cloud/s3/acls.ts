/** Access control lists as they are where ACLs are disabled (the default since 2023): the owner has full control, and nothing else can be set. */
import { operation, type ShapeOf } from '../../platform/service.ts';
import { type Bucket, canonicalUser, findBucket, onBucket, onObject } from './access.ts';
import { refuseForeign } from './attributes.ts';
import { s3Error } from './errors.ts';
import { findObject } from './versions.ts';

function ownersAcl(bucket: Bucket): Required<ShapeOf<'s3', 'AccessControlPolicy'>> {
  const owner = canonicalUser(bucket.account);
  return { Owner: owner, Grants: [{ Grantee: { ...owner, Type: 'CanonicalUser' }, Permission: 'FULL_CONTROL' }] };
}

export const getBucketAcl = operation('s3', 'GetBucketAcl', {
  authorize: onBucket('s3:GetBucketAcl'),
  handle: async (ctx, input) => ownersAcl(await findBucket(ctx, input)),
});

export const getObjectAcl = operation('s3', 'GetObjectAcl', {
  authorize: onObject('s3:GetObjectAcl', 's3:GetObjectVersionAcl'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    await findObject(ctx, bucket, input);
    return ownersAcl(bucket);
  },
});

export const putObjectAcl = operation('s3', 'PutObjectAcl', {
  authorize: onObject('s3:PutObjectAcl', 's3:PutObjectVersionAcl'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    await findObject(ctx, bucket, input);
    refuseForeign(input);
    if (input.GrantWrite !== undefined) throw s3Error('AccessControlListNotSupported');
    if (input.AccessControlPolicy && !grantsOwnerOnly(input.AccessControlPolicy, bucket)) throw s3Error('AccessControlListNotSupported');
    return {};
  },
  partial: 'only what leaves the owner in full control; ACLs are disabled on every bucket',
});

function grantsOwnerOnly(policy: ShapeOf<'s3', 'AccessControlPolicy'>, bucket: Bucket): boolean {
  const { ID } = canonicalUser(bucket.account);
  const grants = policy.Grants ?? [];
  return grants.length > 0 && grants.every((grant) => grant.Grantee?.ID === ID && grant.Permission === 'FULL_CONTROL');
}
