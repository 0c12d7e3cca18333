/** Tags of one object version. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { findBucket, onObject } from './access.ts';
import type { Tags } from './tables.ts';
import { objectTags, tagSetOf } from './tags.ts';
import { findObject, shownVersionId } from './versions.ts';

interface ObjectInput {
  Bucket: string;
  Key: string;
  VersionId?: string | undefined;
}

export const getObjectTagging = operation('s3', 'GetObjectTagging', {
  authorize: onObject('s3:GetObjectTagging', 's3:GetObjectVersionTagging'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    const object = await findObject(ctx, bucket, input);
    return { VersionId: shownVersionId(bucket, object.version_id), TagSet: tagSetOf(object.tags) };
  },
});

export const putObjectTagging = operation('s3', 'PutObjectTagging', {
  authorize: onObject('s3:PutObjectTagging', 's3:PutObjectVersionTagging'),
  handle: (ctx, input) => setTags(ctx, input, objectTags(input.Tagging.TagSet)),
});

export const deleteObjectTagging = operation('s3', 'DeleteObjectTagging', {
  authorize: onObject('s3:DeleteObjectTagging', 's3:DeleteObjectVersionTagging'),
  handle: (ctx, input) => setTags(ctx, input, null),
});

async function setTags(ctx: RequestContext, input: ObjectInput, tags: Tags | null): Promise<{ VersionId: string | undefined }> {
  const bucket = await findBucket(ctx, input);
  const object = await findObject(ctx, bucket, input);
  await ctx.transaction((tx) =>
    tx.sql
      .updateTable('s3.versions')
      .set({ tags: tags && JSON.stringify(tags) })
      .where('bucket', '=', bucket.name)
      .where('key', '=', object.key)
      .where('version_id', '=', object.version_id)
      .execute(),
  );
  return { VersionId: shownVersionId(bucket, object.version_id) };
}
