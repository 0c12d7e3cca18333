/** What can be set of a bucket beside its policy and notifications: versioning, encryption, public access block, tags. */
import type { Updateable } from 'kysely';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { findBucket, onBucket } from './access.ts';
import { s3Error } from './errors.ts';
import type { BucketsTable } from './tables.ts';
import { bucketTags, tagSetOf } from './tags.ts';

/** What every bucket has since 2023. */
export const DEFAULT_ENCRYPTION: ShapeOf<'s3', 'ServerSideEncryptionRule'> = {
  ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' },
  BucketKeyEnabled: false,
};

export async function updateBucket(
  ctx: RequestContext,
  input: { Bucket: string },
  changes: Updateable<BucketsTable>,
): Promise<Record<string, never>> {
  const { numUpdatedRows } = await ctx.transaction((tx) =>
    tx.sql.updateTable('s3.buckets').set(changes).where('name', '=', input.Bucket).executeTakeFirst(),
  );
  if (numUpdatedRows === 0n) throw s3Error('NoSuchBucket', undefined, { BucketName: input.Bucket });
  return {};
}

export const getBucketVersioning = operation('s3', 'GetBucketVersioning', {
  authorize: onBucket('s3:GetBucketVersioning'),
  async handle(ctx, input) {
    const { versioning } = await findBucket(ctx, input);
    return versioning === null ? {} : { Status: versioning };
  },
});

export const putBucketVersioning = operation('s3', 'PutBucketVersioning', {
  authorize: onBucket('s3:PutBucketVersioning'),
  async handle(ctx, input) {
    const { Status: status, MFADelete: mfaDelete } = input.VersioningConfiguration;
    if (status === undefined) {
      throw s3Error('IllegalVersioningConfigurationException');
    }
    if (mfaDelete === 'Enabled') throw s3Error('NotImplemented');
    return updateBucket(ctx, input, { versioning: status });
  },
});

export const getBucketEncryption = operation('s3', 'GetBucketEncryption', {
  authorize: onBucket('s3:GetEncryptionConfiguration'),
  async handle(ctx, input) {
    const { encryption } = await findBucket(ctx, input);
    return { ServerSideEncryptionConfiguration: { Rules: [encryption] } };
  },
});

export const putBucketEncryption = operation('s3', 'PutBucketEncryption', {
  authorize: onBucket('s3:PutEncryptionConfiguration'),
  async handle(ctx, input) {
    const { Rules: rules } = input.ServerSideEncryptionConfiguration;
    const rule = rules[0];
    const usual = rule?.ApplyServerSideEncryptionByDefault;
    if (rules.length !== 1 || !usual) throw s3Error('MalformedXML');
    if (usual.SSEAlgorithm !== 'AES256' && usual.SSEAlgorithm !== 'aws:kms') throw s3Error('NotImplemented');
    if (usual.KMSMasterKeyID !== undefined && usual.SSEAlgorithm === 'AES256') {
      throw s3Error('InvalidArgument', 'a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse');
    }
    return updateBucket(ctx, input, { encryption: JSON.stringify({ ...rule, BucketKeyEnabled: rule.BucketKeyEnabled ?? false }) });
  },
  partial: 'no DSSE-KMS',
});

export const deleteBucketEncryption = operation('s3', 'DeleteBucketEncryption', {
  authorize: onBucket('s3:PutEncryptionConfiguration'),
  handle: (ctx, input) => updateBucket(ctx, input, { encryption: JSON.stringify(DEFAULT_ENCRYPTION) }),
});

export const getPublicAccessBlock = operation('s3', 'GetPublicAccessBlock', {
  authorize: onBucket('s3:GetBucketPublicAccessBlock'),
  async handle(ctx, input) {
    const { public_access_block: block, name } = await findBucket(ctx, input);
    if (!block) throw s3Error('NoSuchPublicAccessBlockConfiguration', undefined, { BucketName: name });
    return { PublicAccessBlockConfiguration: block };
  },
});

export const putPublicAccessBlock = operation('s3', 'PutPublicAccessBlock', {
  authorize: onBucket('s3:PutBucketPublicAccessBlock'),
  handle(ctx, input) {
    const asked = input.PublicAccessBlockConfiguration;
    const block = {
      BlockPublicAcls: asked.BlockPublicAcls ?? false,
      IgnorePublicAcls: asked.IgnorePublicAcls ?? false,
      BlockPublicPolicy: asked.BlockPublicPolicy ?? false,
      RestrictPublicBuckets: asked.RestrictPublicBuckets ?? false,
    };
    return updateBucket(ctx, input, { public_access_block: JSON.stringify(block) });
  },
});

export const deletePublicAccessBlock = operation('s3', 'DeletePublicAccessBlock', {
  authorize: onBucket('s3:PutBucketPublicAccessBlock'),
  handle: (ctx, input) => updateBucket(ctx, input, { public_access_block: null }),
});

export const getBucketTagging = operation('s3', 'GetBucketTagging', {
  authorize: onBucket('s3:GetBucketTagging'),
  async handle(ctx, input) {
    const { tags, name } = await findBucket(ctx, input);
    if (!tags) throw s3Error('NoSuchTagSet', undefined, { BucketName: name });
    return { TagSet: tagSetOf(tags) };
  },
});

export const putBucketTagging = operation('s3', 'PutBucketTagging', {
  authorize: onBucket('s3:PutBucketTagging'),
  handle(ctx, input) {
    const tags = bucketTags(input.Tagging.TagSet);
    return updateBucket(ctx, input, { tags: tags && JSON.stringify(tags) });
  },
});

export const deleteBucketTagging = operation('s3', 'DeleteBucketTagging', {
  authorize: onBucket('s3:PutBucketTagging'),
  handle: (ctx, input) => updateBucket(ctx, input, { tags: null }),
});
