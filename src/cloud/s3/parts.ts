/** UploadPart and UploadPartCopy: parts come in any order, at the same time, and again. */
import type { DataKey } from '../../platform/data-keys.ts';
import { type Input, operation, type RequestContext } from '../../platform/service.ts';
import type { ByteRange } from '../../ports/blobs/port.ts';
import { checkKey, findBucket, objectCheck, onObject } from './access.ts';
import { encryptionMembers } from './attributes.ts';
import { checksumMember } from './checksums.ts';
import { addContent, dropContents, orDrop, readContent, type StoredBody, storeBody } from './content.ts';
import { findSource, sourceCheck } from './copy-object.ts';
import { openerOf } from './encryption.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { bodyExpectation, MAX_BODY_BYTES } from './put-object.ts';
import { checkPartNumber, findOpenUpload, noSuchUpload, type Upload } from './uploads.ts';
import { shownVersionId } from './versions.ts';

export const uploadPart = operation('s3', 'UploadPart', {
  authorize: onObject('s3:PutObject'),
  async handle(ctx, input) {
    checkPartNumber(input.PartNumber);
    await findBucket(ctx, input);
    const upload = await findOpenUpload(ctx.read, input);
    const expected = bodyExpectation(ctx, input, upload.checksum_algorithm);
    if (upload.checksum_chosen && expected.algorithm !== upload.checksum_algorithm) {
      const [wanted, given] = [upload.checksum_algorithm.toLowerCase(), expected.algorithm.toLowerCase()];
      throw s3Error('InvalidRequest', `Checksum Type mismatch occurred, expected checksum Type: ${wanted}, actual checksum Type: ${given}`);
    }
    const stored = await storeBody(ctx, input.Body, { ...expected, also: upload.checksum_algorithm }, await sealingOfUpload(ctx, upload));
    await orDrop(ctx, stored, () => keepPart(ctx, upload, input.PartNumber, stored));
    return {
      ETag: `"${stored.md5}"`,
      ...checksumMember(expected.algorithm, stored.checksum),
      ...encryptionMembers(upload.attributes),
    };
  },
});

export const uploadPartCopy = operation('s3', 'UploadPartCopy', {
  async authorize(input, ctx) {
    checkKey(input.Key);
    const target = await findBucket(ctx, input);
    return [await sourceCheck(ctx, input), objectCheck(ctx, target, input.Key, 's3:PutObject')];
  },
  async handle(ctx, input) {
    checkPartNumber(input.PartNumber);
    await findBucket(ctx, input);
    const upload = await findOpenUpload(ctx.read, input);
    const { source, bucket } = await findSource(ctx, input);
    const range = copyRange(input, source.size);
    const sealing = await sealingOfUpload(ctx, upload);
    const body = await readContent(ctx, source.content, openerOf(ctx, source), range);
    if (!body) throw s3Error('OperationAborted');
    const algorithm = upload.checksum_algorithm;
    const stored = await storeBody(ctx, body, { algorithm, value: undefined, chosen: true, maxBytes: MAX_BODY_BYTES }, sealing);
    await orDrop(ctx, stored, () => keepPart(ctx, upload, input.PartNumber, stored));
    return {
      CopySourceVersionId: shownVersionId(bucket, source.version_id),
      CopyPartResult: {
        ETag: `"${stored.md5}"`,
        LastModified: ctx.now(),
        ...(upload.checksum_chosen && checksumMember(algorithm, stored.checksum)),
      },
      ...encryptionMembers(upload.attributes),
    };
  },
});

/** All parts are under the data key of their upload. */
async function sealingOfUpload(ctx: RequestContext, upload: Upload): Promise<Pick<DataKey, 'key' | 'wrapped'> | undefined> {
  const { wrapped_key: wrapped } = upload;
  return wrapped ? { wrapped, key: await openerOf(ctx, upload)(wrapped) } : undefined;
}

/** Unlike in GetObject, the range must lie within the source, both ends given. */
function copyRange(input: Input<'s3', 'UploadPartCopy'>, size: number): ByteRange | undefined {
  const { CopySourceRange: header } = input;
  if (header === undefined) return undefined;
  const match = /^bytes=(\d+)-(\d+)$/.exec(header);
  if (!match) {
    throw invalidArgument(
      'x-amz-copy-source-range',
      header,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    );
  }
  const [start, end] = [Number(match[1]), Number(match[2])];
  if (start > end || end >= size)
    throw invalidArgument('x-amz-copy-source-range', header, `Range specified is not valid for source object of size: ${size}`);
  return { start, end };
}

/** A part of a number that is there already takes its place. */
async function keepPart(ctx: RequestContext, upload: Upload, number: number, stored: StoredBody): Promise<void> {
  await ctx.transaction(async (tx) => {
    // Completing and giving up lock the row for themselves: a part comes before, or too late.
    const open = await tx.sql
      .selectFrom('s3.uploads')
      .select('id')
      .where('id', '=', upload.id)
      .where('completed', 'is', null)
      .forShare()
      .executeTakeFirst();
    if (!open) throw noSuchUpload(upload.id);
    const before = await tx.sql
      .deleteFrom('s3.parts')
      .where('upload', '=', upload.id)
      .where('number', '=', number)
      .returning('content')
      .executeTakeFirst();
    if (before) await dropContents(tx, [before.content], ctx.now());
    const content = await addContent(tx, stored);
    const values = {
      upload: upload.id,
      number,
      content,
      size: stored.size,
      etag: stored.md5,
      checksum: stored.alsoChecksum ?? stored.checksum,
      modified_at: ctx.now(),
    };
    await tx.sql.insertInto('s3.parts').values(values).execute();
  });
}
