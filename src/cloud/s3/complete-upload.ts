/** CompleteMultipartUpload: the parts become one object without a byte being moved; asked again, it answers the same. */
import { createHash } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { type Input, type OperationContext, operation, type ShapeOf } from '../../platform/service.ts';
import { type Bucket, findBucket, onObject } from './access.ts';
import { encryptionMembers } from './attributes.ts';
import { checksumMembers, checksumOfParts } from './checksums.ts';
import { dropContents, joinParts } from './content.ts';
import { s3Error } from './errors.ts';
import { objectCreated } from './notifications.ts';
import { checkWriteConditions } from './preconditions.ts';
import type { Checksum, Completed, PartsTable } from './tables.ts';
import { findUpload, type Upload } from './uploads.ts';
import { addVersion, holdBucket, lockKey, shownVersionId } from './versions.ts';

/** Of all parts but the last: 5 MiB. */
const MIN_PART_BYTES = 5 * 2 ** 20;
/** 5 TiB */
const MAX_OBJECT_BYTES = 5 * 2 ** 40;
const MAX_PARTS = 10_000;

type Part = Selectable<PartsTable>;
type CompleteInput = Input<'s3', 'CompleteMultipartUpload'>;

export const completeMultipartUpload = operation('s3', 'CompleteMultipartUpload', {
  authorize: onObject('s3:PutObject'),
  async handle(ctx, input) {
    await findBucket(ctx, input);
    const listed = listedParts(input);
    return ctx.transaction(async (tx) => {
      const bucket = await holdBucket(tx, input.Bucket);
      await tx.sql.selectFrom('s3.uploads').select('id').where('id', '=', input.UploadId).forUpdate().execute();
      const upload = await findUpload(tx.sql, input);
      const completed = upload.completed ?? (await complete(tx, ctx, bucket, upload, input, listed));
      return {
        Location: `${ctx.http?.origin ?? ''}/${bucket.name}/${encodeURIComponent(upload.key).replaceAll('%2F', '/')}`,
        Bucket: bucket.name,
        Key: upload.key,
        ETag: `"${completed.etag}"`,
        VersionId: shownVersionId(bucket, completed.versionId),
        ...checksumMembers(completed.checksum),
        ...encryptionMembers(upload.attributes),
      };
    });
  },
});

function listedParts(input: CompleteInput): ShapeOf<'s3', 'CompletedPart'>[] {
  const listed = input.MultipartUpload?.Parts ?? [];
  if (listed.length === 0 || listed.length > MAX_PARTS) throw s3Error('MalformedXML');
  for (const [index, part] of listed.entries()) {
    if (part.PartNumber === undefined || part.ETag === undefined) throw s3Error('MalformedXML');
    if (index > 0 && part.PartNumber <= listed[index - 1]!.PartNumber!)
      throw s3Error('InvalidPartOrder', undefined, { UploadId: input.UploadId });
  }
  return listed;
}

async function complete(
  tx: Transaction,
  ctx: OperationContext<never>,
  bucket: Bucket,
  upload: Upload,
  input: CompleteInput,
  listed: ShapeOf<'s3', 'CompletedPart'>[],
): Promise<Completed> {
  const all = await tx.sql.selectFrom('s3.parts').selectAll().where('upload', '=', upload.id).orderBy('number').execute();
  const parts = matchParts(upload, all, listed);
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (size > MAX_OBJECT_BYTES) throw s3Error('EntityTooLarge', undefined, { ProposedSize: size, MaxSizeAllowed: MAX_OBJECT_BYTES });
  if (input.MpuObjectSize !== undefined && input.MpuObjectSize !== size) {
    throw s3Error('InvalidRequest', 'The provided x-amz-mp-object-size header does not match the size of the uploaded parts.');
  }
  const checksum = checksumOfParts(upload.checksum_algorithm, upload.checksum_type, parts);
  compareChecksum(input, upload, checksum);
  await lockKey(tx, bucket.name, upload.key);
  await checkWriteConditions(tx, bucket, input);

  const content = await joinParts(
    tx,
    upload.id,
    parts.map((part) => part.number),
  );
  const etag = etagOfParts(parts);
  const now = ctx.now();
  const versionId = await addVersion(tx, bucket, upload.key, now, {
    content,
    size,
    etag,
    checksum,
    attributes: upload.attributes,
    tags: upload.tags,
    parts: parts.map((part) => ({ number: part.number, size: part.size, checksum: part.checksum })),
  });
  const used = new Set(parts);
  const unused = all.filter((part) => !used.has(part)).map((part) => part.content);
  await dropContents(tx, unused, now);
  await tx.sql.deleteFrom('s3.parts').where('upload', '=', upload.id).execute();
  const completed: Completed = { etag, checksum, versionId };
  await tx.sql
    .updateTable('s3.uploads')
    .set({ completed: JSON.stringify(completed), completed_at: now })
    .where('id', '=', upload.id)
    .execute();
  await objectCreated(tx, ctx, bucket, { key: upload.key, size, etag, versionId, reason: 'CompleteMultipartUpload' });
  return completed;
}

/** The uploaded parts that the client lists, in order; each must be the one it means. */
function matchParts(upload: Upload, all: Part[], listed: ShapeOf<'s3', 'CompletedPart'>[]): Part[] {
  const byNumber = new Map(all.map((part) => [part.number, part]));
  return listed.map((wanted, index) => {
    const part = byNumber.get(wanted.PartNumber!);
    const etag = wanted.ETag!.replace(/^"|"$/g, '');
    if (!part || part.etag !== etag)
      throw s3Error('InvalidPart', undefined, { UploadId: upload.id, PartNumber: wanted.PartNumber, ETag: etag });
    const checksum = wanted[`Checksum${upload.checksum_algorithm}`];
    if (checksum !== undefined && checksum !== part.checksum) {
      throw s3Error('InvalidPart', undefined, { UploadId: upload.id, PartNumber: wanted.PartNumber, ETag: etag });
    }
    if (checksum === undefined && upload.checksum_chosen && upload.checksum_type === 'COMPOSITE') {
      throw s3Error(
        'InvalidRequest',
        `The upload was created using a ${upload.checksum_algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${wanted.PartNumber} in the request.`,
      );
    }
    if (index < listed.length - 1 && part.size < MIN_PART_BYTES) {
      throw s3Error('EntityTooSmall', undefined, {
        ProposedSize: part.size,
        MinSizeAllowed: MIN_PART_BYTES,
        PartNumber: part.number,
        ETag: etag,
      });
    }
    return part;
  });
}

/** A checksum of the whole that the client sends with its request to complete. */
function compareChecksum(input: CompleteInput, upload: Upload, checksum: Checksum): void {
  const type = input.ChecksumType;
  if (type !== undefined && type !== upload.checksum_type) {
    throw s3Error(
      'InvalidRequest',
      `The upload was created using the ${upload.checksum_type} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
  const given = input[`Checksum${upload.checksum_algorithm}`];
  const value = upload.checksum_type === 'COMPOSITE' ? given?.replace(/-\d+$/, '') : given;
  if (value !== undefined && value !== checksum.value.replace(/-\d+$/, '')) {
    throw s3Error('BadDigest', `The ${upload.checksum_algorithm} you specified did not match the calculated checksum.`);
  }
}

/** The MD5 of the parts' MD5s, and how many they are. */
function etagOfParts(parts: Part[]): string {
  const all = Buffer.concat(parts.map((part) => Buffer.from(part.etag, 'hex')));
  return `${createHash('md5').update(all).digest('hex')}-${parts.length}`;
}
