/** CopyObject: a new row over the same blobs where the bytes need not be read, else a stream from one blob to another. */
import { type Check, type Input, operation, type RequestContext } from '../../platform/service.ts';
import { type Bucket, checkKey, findBucket, objectCheck } from './access.ts';
import { describing, encryptionMembers, refuseForeign, storing } from './attributes.ts';
import { checksumMembers, implemented } from './checksums.ts';
import { addContent, orDrop, readContent, shareContent, storeBody } from './content.ts';
import { isUnderKms, openerOf, sealingOf } from './encryption.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { objectCreated } from './notifications.ts';
import { checkCopyConditions, checkWriteConditions } from './preconditions.ts';
import { MAX_BODY_BYTES, WRITE_PARTIAL } from './put-object.ts';
import type { Checksum, Tags } from './tables.ts';
import { tagsOfHeader } from './tags.ts';
import { addVersion, findObject, holdBucket, lockKey, type NewObject, type ObjectVersion, shownVersionId } from './versions.ts';

export interface CopySource {
  Bucket: string;
  Key: string;
  VersionId: string | undefined;
}

interface CopyInput {
  CopySource: string;
  ExpectedSourceBucketOwner?: string | undefined;
}

const ATTEMPTS = 5;

/** `[/]bucket/key[?versionId=…]`, percent-encoded. */
export function parseCopySource(text: string): CopySource {
  const [, bucket, key, versionId] = /^\/?([^/]+)\/(.+?)(?:\?versionId=([^?&]*))?$/s.exec(text) ?? [];
  if (bucket === undefined || key === undefined) {
    throw invalidArgument('x-amz-copy-source', text, 'Invalid copy source object key');
  }
  try {
    const source = {
      Bucket: decodeURIComponent(bucket),
      Key: decodeURIComponent(key),
      VersionId: versionId && decodeURIComponent(versionId),
    };
    checkKey(source.Key);
    return source;
  } catch (error) {
    if (error instanceof URIError) throw invalidArgument('x-amz-copy-source', text, 'Invalid copy source encoding.');
    throw error;
  }
}

/** May the source be read? Asked for beside the right to write. */
export async function sourceCheck(ctx: RequestContext, input: CopyInput): Promise<Check> {
  const source = parseCopySource(input.CopySource);
  const bucket = await findBucket(ctx, { Bucket: source.Bucket, ExpectedBucketOwner: input.ExpectedSourceBucketOwner });
  return objectCheck(ctx, bucket, source.Key, source.VersionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion', source.VersionId);
}

/** The source as it is now, its conditions checked. */
export async function findSource(
  ctx: RequestContext,
  input: CopyInput & Parameters<typeof checkCopyConditions>[0],
): Promise<{ source: ObjectVersion; bucket: Bucket }> {
  const asked = parseCopySource(input.CopySource);
  const bucket = await findBucket(ctx, { Bucket: asked.Bucket, ExpectedBucketOwner: input.ExpectedSourceBucketOwner });
  try {
    const source = await findObject(ctx, bucket, asked);
    checkCopyConditions(input, source);
    return { source, bucket };
  } catch (error) {
    if ((error as { code?: string }).code !== 'MethodNotAllowed') throw error;
    throw s3Error('InvalidRequest', 'The source of a copy request may not specifically refer to a delete marker by version id.');
  }
}

export const copyObject = operation('s3', 'CopyObject', {
  async authorize(input, ctx) {
    checkKey(input.Key);
    const target = await findBucket(ctx, input);
    const checks = [await sourceCheck(ctx, input), objectCheck(ctx, target, input.Key, 's3:PutObject')];
    if (input.Tagging) checks.push(objectCheck(ctx, target, input.Key, 's3:PutObjectTagging'));
    return checks;
  },
  async handle(ctx, input) {
    refuseForeign(input);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const found = await findSource(ctx, input);
      const copied = await copy(ctx, input, found.source);
      if (!copied) continue;
      return { ...copied, CopySourceVersionId: shownVersionId(found.bucket, found.source.version_id) };
    }
    throw s3Error('OperationAborted');
  },
  partial: WRITE_PARTIAL,
});

/** Undefined when the source was replaced meanwhile. */
async function copy(ctx: RequestContext, input: Input<'s3', 'CopyObject'>, source: ObjectVersion) {
  if (source.size > MAX_BODY_BYTES) {
    throw s3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${MAX_BODY_BYTES}`,
    );
  }
  refuseIdle(input, source);
  const bucket = await findBucket(ctx, input);
  const kept = input.MetadataDirective === 'REPLACE' ? describing(input) : describing(source.attributes);
  if (input.WebsiteRedirectLocation === undefined) delete kept.WebsiteRedirectLocation;
  else kept.WebsiteRedirectLocation = input.WebsiteRedirectLocation;
  const asked = { ...kept, ...storing(ctx, bucket, input) };
  const { attributes, sealing } = await sealingOf(ctx, { bucket: bucket.name, key: input.Key, attributes: asked });
  const tags = input.TaggingDirective === 'REPLACE' ? tagsOfHeader(input.Tagging) : await sourceTags(ctx, source);
  const algorithm = input.ChecksumAlgorithm === undefined ? source.checksum.algorithm : implemented(input.ChecksumAlgorithm);
  // The copy's ETag is the MD5 of its bytes, which a source that came in parts does not tell; and each object under KMS has a data key of its own.
  const same =
    source.parts === null && algorithm === source.checksum.algorithm && !isUnderKms(source.attributes) && !isUnderKms(attributes);
  const write = (object: Omit<NewObject, 'content'>, content: (tx: Parameters<typeof addContent>[0]) => Promise<string | undefined>) =>
    ctx.transaction(async (tx) => {
      const held = await holdBucket(tx, bucket.name);
      await lockKey(tx, held.name, input.Key);
      await checkWriteConditions(tx, held, input);
      const made = await content(tx);
      if (made === undefined) return undefined;
      const now = ctx.now();
      const versionId = await addVersion(tx, held, input.Key, now, { ...object, content: made });
      await objectCreated(tx, ctx, held, { key: input.Key, size: object.size, etag: object.etag, versionId, reason: 'CopyObject' });
      return {
        CopyObjectResult: { ETag: `"${object.etag}"`, LastModified: now, ...checksumMembers(object.checksum) },
        VersionId: shownVersionId(held, versionId),
        ...encryptionMembers(attributes),
      };
    });

  if (same) {
    const { size, etag, checksum } = source;
    return write({ size, etag, checksum, attributes, tags }, async (tx) => {
      const still = await tx.sql
        .selectFrom('s3.versions')
        .select('content')
        .where('bucket', '=', source.bucket)
        .where('key', '=', source.key)
        .where('version_id', '=', source.version_id)
        .where('content', '=', source.content)
        .forKeyShare()
        .executeTakeFirst();
      return still && shareContent(tx, source.content);
    });
  }
  const body = await readContent(ctx, source.content, openerOf(ctx, source));
  if (!body) return undefined;
  const stored = await storeBody(ctx, body, { algorithm, value: undefined, chosen: true, maxBytes: MAX_BODY_BYTES }, sealing);
  const checksum: Checksum = { algorithm, type: 'FULL_OBJECT', value: stored.checksum };
  return orDrop(ctx, stored, () =>
    write({ size: stored.size, etag: stored.md5, checksum, attributes, tags }, (tx) => addContent(tx, stored)),
  );
}

/** An object is copied onto itself only to change something. */
function refuseIdle(input: Input<'s3', 'CopyObject'>, source: ObjectVersion): void {
  const itself = source.bucket === input.Bucket && source.key === input.Key && parseCopySource(input.CopySource).VersionId === undefined;
  const changes =
    input.MetadataDirective === 'REPLACE' ||
    input.StorageClass !== undefined ||
    input.ServerSideEncryption !== undefined ||
    input.WebsiteRedirectLocation !== undefined ||
    input.ChecksumAlgorithm !== undefined;
  if (!itself || changes) return;
  throw s3Error(
    'InvalidRequest',
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

/** Tags go along only with the right to read them. */
async function sourceTags(ctx: RequestContext, source: ObjectVersion): Promise<Tags | null> {
  if (!source.tags) return null;
  const bucket = await findBucket(ctx, { Bucket: source.bucket });
  await ctx.authorize(objectCheck(ctx, bucket, source.key, 's3:GetObjectTagging'));
  return source.tags;
}
