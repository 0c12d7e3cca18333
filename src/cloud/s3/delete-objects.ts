/** DeleteObject and DeleteObjects. */
import { AwsError } from '../../platform/errors.ts';
import { type Input, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { checkKey, findBucket, objectCheck, onObject } from './access.ts';
import { s3Error } from './errors.ts';
import { objectDeleted } from './notifications.ts';
import { checkWriteConditions } from './preconditions.ts';
import { checkVersionId, type Deleted, deleteLatest, holdBucket, lockKey, removeVersion, shownVersionId } from './versions.ts';

const MAX_OBJECTS = 1000;
/** Keys deleted at the same time. */
const PARALLEL = 8;

type Deletion = Pick<Input<'s3', 'DeleteObject'>, 'Key' | 'VersionId' | 'IfMatch'>;

export const deleteObject = operation('s3', 'DeleteObject', {
  authorize: onObject('s3:DeleteObject', 's3:DeleteObjectVersion'),
  async handle(ctx, input) {
    if (input.IfMatchSize !== undefined || input.IfMatchLastModifiedTime !== undefined) {
      throw s3Error('NotImplemented', undefined, { Header: 'x-amz-if-match-size' });
    }
    const { marker, versionId } = await deleteOne(ctx, input.Bucket, input);
    return { ...(marker && { DeleteMarker: true }), VersionId: versionId };
  },
});

export const deleteObjects = operation('s3', 'DeleteObjects', {
  // Who may delete is asked per object: those that are not allowed fail, the others go.
  async authorize(input, ctx) {
    await findBucket(ctx, input);
    return [];
  },
  async handle(ctx, input) {
    const { Objects: objects, Quiet: quiet } = input.Delete;
    if (objects.length === 0 || objects.length > MAX_OBJECTS) throw s3Error('MalformedXML');
    const bucket = await findBucket(ctx, input);
    const deleted: ShapeOf<'s3', 'DeletedObject'>[] = [];
    const errors: ShapeOf<'s3', 'Error'>[] = [];

    const deleteListed = async (object: ShapeOf<'s3', 'ObjectIdentifier'>): Promise<void> => {
      const { Key, VersionId, ETag } = object;
      try {
        checkKey(Key);
        const action = VersionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
        await ctx.authorize(objectCheck(ctx, bucket, Key, action, VersionId));
        const { marker, versionId } = await deleteOne(ctx, bucket.name, { Key, VersionId, IfMatch: ETag });
        deleted.push({ Key, VersionId, ...(marker && { DeleteMarker: true, DeleteMarkerVersionId: versionId }) });
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        const denied = error.code === 'AccessDeniedException' || error.code === 'AccessDenied';
        errors.push({ Key, VersionId, Code: denied ? 'AccessDenied' : error.code, Message: denied ? 'Access Denied' : error.message });
      }
    };
    const waiting = objects.values();
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        for (const object of waiting) await deleteListed(object);
      }),
    );
    return { ...(!quiet && { Deleted: deleted }), ...(errors.length > 0 && { Errors: errors }) };
  },
});

/** `marker`: whether a delete marker was laid, or removed; `versionId`: of what was laid or removed. */
async function deleteOne(
  ctx: RequestContext,
  bucketName: string,
  { Key: key, VersionId: asked, IfMatch }: Deletion,
): Promise<{ marker: boolean; versionId: string | undefined }> {
  if (asked !== undefined) checkVersionId(asked);
  return ctx.transaction(async (tx) => {
    const bucket = await holdBucket(tx, bucketName);
    await lockKey(tx, bucket.name, key);
    await checkWriteConditions(tx, bucket, { Key: key, IfMatch });
    const deleted: Deleted =
      asked === undefined
        ? await deleteLatest(tx, bucket, key, ctx.now())
        : { removed: await removeVersion(tx, bucket.name, key, asked, ctx.now()), marker: undefined };
    await objectDeleted(tx, ctx, bucket, key, deleted);
    if (asked !== undefined) return { marker: deleted.removed?.is_delete_marker === true, versionId: asked };
    return { marker: deleted.marker !== undefined, versionId: deleted.marker && shownVersionId(bucket, deleted.marker) };
  });
}
