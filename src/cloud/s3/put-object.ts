/** PutObject: one body, one blob, one row. */
import { type Check, operation, type RequestContext } from '../../platform/service.ts';
import { checkKey, findBucket, objectCheck } from './access.ts';
import { attributesOf, encryptionMembers } from './attributes.ts';
import { type ChecksumMembers, checksumMembers, expectedChecksum, type Reception } from './checksums.ts';
import { addContent, orDrop, storeBody } from './content.ts';
import { sealingOf } from './encryption.ts';
import { s3Error } from './errors.ts';
import { objectCreated } from './notifications.ts';
import { checkWriteConditions } from './preconditions.ts';
import type { Checksum } from './tables.ts';
import { tagsOfHeader } from './tags.ts';
import { addVersion, holdBucket, lockKey, shownVersionId } from './versions.ts';

/** Of a single PUT, a part and a copy: 5 GiB. */
export const MAX_BODY_BYTES = 5 * 2 ** 30;

export const WRITE_PARTIAL = 'no SSE-C, no x-amz-server-side-encryption-context, no DSSE-KMS, ACLs, locks';

/** What writing an object asks for: also tagging it, when tags come along. */
export async function authorizeWrite(
  input: { Bucket: string; Key: string; ExpectedBucketOwner?: string | undefined; Tagging?: string | undefined; ACL?: string | undefined },
  ctx: RequestContext,
): Promise<Check[]> {
  checkKey(input.Key);
  const bucket = await findBucket(ctx, input);
  const acl = input.ACL === undefined ? {} : { conditions: { 's3:x-amz-acl': input.ACL } };
  const checks: Check[] = [{ ...objectCheck(ctx, bucket, input.Key, 's3:PutObject'), ...acl }];
  if (input.Tagging) checks.push(objectCheck(ctx, bucket, input.Key, 's3:PutObjectTagging'));
  return checks;
}

/** What the request tells of its body. */
export function bodyExpectation(
  ctx: RequestContext,
  input: ChecksumMembers & { ContentMD5?: string | undefined; ContentLength?: number | undefined },
  fallback?: Reception['algorithm'],
): Reception {
  if (input.ContentLength !== undefined && input.ContentLength > MAX_BODY_BYTES) {
    throw s3Error('EntityTooLarge', undefined, { ProposedSize: input.ContentLength, MaxSizeAllowed: MAX_BODY_BYTES });
  }
  const expected = expectedChecksum(input, ctx.http?.headers, fallback);
  return { ...expected, contentMd5: input.ContentMD5, trailers: ctx.http?.trailers, maxBytes: MAX_BODY_BYTES };
}

export const putObject = operation('s3', 'PutObject', {
  authorize: authorizeWrite,
  async handle(ctx, input) {
    if (input.WriteOffsetBytes !== undefined) throw s3Error('NotImplemented', undefined, { Header: 'x-amz-write-offset-bytes' });
    const { Key: key } = input;
    const asked = attributesOf(ctx, await findBucket(ctx, input), input);
    const tags = tagsOfHeader(input.Tagging);
    const expected = bodyExpectation(ctx, input);
    const { attributes, sealing } = await sealingOf(ctx, { bucket: input.Bucket, key, attributes: asked });
    const stored = await storeBody(ctx, input.Body, expected, sealing);
    const checksum: Checksum = { algorithm: expected.algorithm, type: 'FULL_OBJECT', value: stored.checksum };
    return orDrop(ctx, stored, () =>
      ctx.transaction(async (tx) => {
        const bucket = await holdBucket(tx, input.Bucket);
        await lockKey(tx, bucket.name, key);
        await checkWriteConditions(tx, bucket, input);
        const content = await addContent(tx, stored);
        const { size, md5: etag } = stored;
        const versionId = await addVersion(tx, bucket, key, ctx.now(), { content, size, etag, checksum, attributes, tags });
        await objectCreated(tx, ctx, bucket, { key, size, etag, versionId, reason: 'PutObject' });
        return {
          ETag: `"${etag}"`,
          VersionId: shownVersionId(bucket, versionId),
          ...checksumMembers(checksum),
          ...encryptionMembers(attributes),
        };
      }),
    );
  },
  partial: WRITE_PARTIAL,
});
