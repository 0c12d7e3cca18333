/** The policy of a bucket. It is asked at each call on the bucket or its objects (`access.ts`). */
import { operation } from '../../platform/service.ts';
import { findBucket, onBucket } from './access.ts';
import { updateBucket } from './bucket-settings.ts';
import { s3Error } from './errors.ts';
import { checkPolicy, isPublic } from './policy-documents.ts';

export const getBucketPolicy = operation('s3', 'GetBucketPolicy', {
  authorize: onBucket('s3:GetBucketPolicy'),
  async handle(ctx, input) {
    const { policy, name } = await findBucket(ctx, input);
    if (policy === null) throw s3Error('NoSuchBucketPolicy', undefined, { BucketName: name });
    return { Policy: policy };
  },
});

export const putBucketPolicy = operation('s3', 'PutBucketPolicy', {
  authorize: onBucket('s3:PutBucketPolicy'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    checkPolicy(input.Policy, bucket.name);
    if (bucket.public_access_block?.BlockPublicPolicy && isPublic(input.Policy)) {
      throw s3Error('AccessDenied', 'Public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.');
    }
    return updateBucket(ctx, input, { policy: input.Policy });
  },
});

export const deleteBucketPolicy = operation('s3', 'DeleteBucketPolicy', {
  authorize: onBucket('s3:DeleteBucketPolicy'),
  handle: (ctx, input) => updateBucket(ctx, input, { policy: null }),
});
