/** Multipart uploads under way: begun, given parts, listed, given up. */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { type Bucket, canonicalUser, checkText, findBucket, onBucket, onObject } from './access.ts';
import { attributesOf, encryptionMembers } from './attributes.ts';
import { checksumMember, DEFAULT_ALGORITHM, implemented, uploadChecksumType } from './checksums.ts';
import { dropContents } from './content.ts';
import { sealingOf } from './encryption.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { collectPage, keyEncoder, pageSize, startBehind, successor } from './keys.ts';
import { authorizeWrite, WRITE_PARTIAL } from './put-object.ts';
import type { UploadsTable } from './tables.ts';
import { tagsOfHeader } from './tags.ts';

export type Upload = Selectable<UploadsTable>;

const MAX_PART_NUMBER = 10_000;

export function checkPartNumber(number: number): void {
  if (number < 1 || number > MAX_PART_NUMBER) {
    throw invalidArgument('partNumber', number, `Part number must be an integer between 1 and ${MAX_PART_NUMBER}, inclusive`);
  }
}

/** Also finds uploads that are complete: completing again must give the same answer. */
export async function findUpload(
  read: Pick<RequestContext['read'], 'selectFrom'>,
  input: { Bucket: string; Key: string; UploadId: string },
): Promise<Upload> {
  const upload = await read
    .selectFrom('s3.uploads')
    .selectAll()
    .where('id', '=', input.UploadId)
    .where('bucket', '=', input.Bucket)
    .where('key', '=', input.Key)
    .executeTakeFirst();
  if (!upload) throw noSuchUpload(input.UploadId);
  return upload;
}

export async function findOpenUpload(
  read: Pick<RequestContext['read'], 'selectFrom'>,
  input: { Bucket: string; Key: string; UploadId: string },
): Promise<Upload> {
  const upload = await findUpload(read, input);
  if (upload.completed) throw noSuchUpload(upload.id);
  return upload;
}

export function noSuchUpload(id: string) {
  return s3Error('NoSuchUpload', undefined, { UploadId: id });
}

export const createMultipartUpload = operation('s3', 'CreateMultipartUpload', {
  authorize: authorizeWrite,
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    const asked = attributesOf(ctx, bucket, input);
    const tags = tagsOfHeader(input.Tagging);
    if (input.ChecksumType !== undefined && input.ChecksumAlgorithm === undefined) {
      throw s3Error('InvalidRequest', 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.');
    }
    const algorithm = input.ChecksumAlgorithm === undefined ? DEFAULT_ALGORITHM : implemented(input.ChecksumAlgorithm);
    const type = uploadChecksumType(algorithm, input.ChecksumType);
    const { attributes, sealing } = await sealingOf(ctx, { bucket: bucket.name, key: input.Key, attributes: asked });
    const id = randomBytes(48).toString('base64url');
    await ctx.transaction((tx) =>
      tx.sql
        .insertInto('s3.uploads')
        .values({
          id,
          bucket: bucket.name,
          key: input.Key,
          initiated_at: ctx.now(),
          initiator: ctx.principal.arn,
          attributes: JSON.stringify(attributes),
          wrapped_key: sealing?.wrapped ?? null,
          tags: tags && JSON.stringify(tags),
          checksum_algorithm: algorithm,
          checksum_type: type,
          checksum_chosen: input.ChecksumAlgorithm !== undefined,
        })
        .execute(),
    );
    return {
      Bucket: bucket.name,
      Key: input.Key,
      UploadId: id,
      ...encryptionMembers(attributes),
      ...(input.ChecksumAlgorithm !== undefined && { ChecksumAlgorithm: algorithm, ChecksumType: type }),
    };
  },
  partial: WRITE_PARTIAL,
});

export const abortMultipartUpload = operation('s3', 'AbortMultipartUpload', {
  authorize: onObject('s3:AbortMultipartUpload'),
  async handle(ctx, input) {
    await findBucket(ctx, input);
    await ctx.transaction(async (tx) => {
      // Parts that are being put hold the row; they are here when it is ours.
      await tx.sql.selectFrom('s3.uploads').select('id').where('id', '=', input.UploadId).forUpdate().execute();
      const upload = await findOpenUpload(tx.sql, input);
      await dropUpload(tx, upload.id, ctx.now());
    });
    return {};
  },
});

/** Ends an upload with all its parts. The caller has locked its row. */
export async function dropUpload(tx: Transaction, id: string, now: Date): Promise<void> {
  const parts = await tx.sql.deleteFrom('s3.parts').where('upload', '=', id).returning('content').execute();
  const contents = parts.map((part) => part.content);
  await dropContents(tx, contents, now);
  await tx.sql.deleteFrom('s3.uploads').where('id', '=', id).execute();
}

export const listParts = operation('s3', 'ListParts', {
  authorize: onObject('s3:ListMultipartUploadParts'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    const upload = await findOpenUpload(ctx.read, input);
    const limit = pageSize('max-parts', input.MaxParts);
    const marker = input.PartNumberMarker ?? 0;
    const rows = await ctx.read
      .selectFrom('s3.parts')
      .selectAll()
      .where('upload', '=', upload.id)
      .where('number', '>', marker)
      .orderBy('number')
      .limit(limit + 1)
      .execute();
    const parts = rows.slice(0, limit);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      PartNumberMarker: marker,
      NextPartNumberMarker: parts.at(-1)?.number ?? 0,
      MaxParts: limit,
      IsTruncated: rows.length > limit && limit > 0,
      Parts: parts.map((part) => ({
        PartNumber: part.number,
        LastModified: part.modified_at,
        ETag: `"${part.etag}"`,
        Size: part.size,
        ...checksumMember(upload.checksum_algorithm, part.checksum),
      })),
      StorageClass: upload.attributes.StorageClass ?? 'STANDARD',
      ...people(bucket, upload),
      ...chosenChecksum(upload),
    };
  },
});

export const listMultipartUploads = operation('s3', 'ListMultipartUploads', {
  authorize: onBucket('s3:ListBucketMultipartUploads'),
  async handle(ctx, input) {
    for (const name of ['Prefix', 'Delimiter', 'KeyMarker', 'UploadIdMarker'] as const) checkText(name, input[name]);
    const bucket = await findBucket(ctx, input);
    const prefix = input.Prefix ?? '';
    const limit = pageSize('max-uploads', input.MaxUploads);
    const end = successor(prefix);
    // Without a key marker an upload id marker says nothing.
    const tie = input.KeyMarker ? input.UploadIdMarker || undefined : undefined;
    const page = await collectPage<Upload, string>({
      prefix,
      delimiter: input.Delimiter,
      start: startBehind(input.KeyMarker, prefix, input.Delimiter, tie),
      limit,
      positionOf: (row) => ({ after: row.key, tie: row.id }),
      fetch: (position, count) =>
        ctx.read
          .selectFrom('s3.uploads')
          .selectAll()
          .where('bucket', '=', bucket.name)
          .where('completed', 'is', null)
          .$if(end !== undefined, (query) => query.where('key', '<', end!))
          .where((where) => {
            if ('from' in position) return where('key', '>=', position.from);
            const beyond = where('key', '>', position.after);
            if (position.tie === undefined) return beyond;
            return where.or([beyond, where.and([where('key', '=', position.after), where('id', '>', position.tie)])]);
          })
          .orderBy('key')
          .orderBy('id')
          .limit(count)
          .execute(),
    });
    const encode = keyEncoder(input.EncodingType);
    const last = page.truncated ? page.last! : undefined;
    return {
      Bucket: bucket.name,
      Prefix: encode(prefix),
      Delimiter: encode(input.Delimiter),
      EncodingType: input.EncodingType,
      KeyMarker: encode(input.KeyMarker ?? ''),
      UploadIdMarker: input.UploadIdMarker ?? '',
      NextKeyMarker: last && encode('row' in last ? last.row.key : last.prefix),
      NextUploadIdMarker: last && 'row' in last ? last.row.id : undefined,
      MaxUploads: limit,
      IsTruncated: page.truncated,
      Uploads: page.rows.map((upload) => ({
        UploadId: upload.id,
        Key: encode(upload.key),
        Initiated: upload.initiated_at,
        StorageClass: upload.attributes.StorageClass ?? 'STANDARD',
        ...people(bucket, upload),
        ...chosenChecksum(upload),
      })),
      CommonPrefixes: page.commonPrefixes.map((each) => ({ Prefix: encode(each) })),
    };
  },
});

function people(bucket: Bucket, upload: Upload) {
  const name = upload.initiator.split('/').at(-1)!;
  return { Initiator: { ID: upload.initiator, DisplayName: name }, Owner: canonicalUser(bucket.account) };
}

function chosenChecksum(upload: Upload) {
  return upload.checksum_chosen ? { ChecksumAlgorithm: upload.checksum_algorithm, ChecksumType: upload.checksum_type } : {};
}
