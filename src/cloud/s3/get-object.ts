/** GetObject, HeadObject and GetObjectAttributes. */
import { type Input, type Output, operation, type RequestContext } from '../../platform/service.ts';
import type { ByteRange } from '../../ports/blobs/port.ts';
import { type Bucket, checkKey, findBucket, objectCheck, onObject } from './access.ts';
import { checksumMember, checksumMembers } from './checksums.ts';
import { readContent } from './content.ts';
import { openerOf } from './encryption.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { checkReadConditions } from './preconditions.ts';
import { findObject, type ObjectVersion, shownVersionId } from './versions.ts';

type ReadInput = Input<'s3', 'GetObject'> & Input<'s3', 'HeadObject'>;
/** All of GetObject's answer but the body: all of HeadObject's. */
type Described = Omit<Output<'s3', 'GetObject'>, 'Body'>;

/** How often a read looks again that met an object while it was being replaced. */
const ATTEMPTS = 5;

const MAX_PART_NUMBER = 10_000;

interface Selection {
  range: ByteRange | undefined;
  /** The checksum of exactly the bytes selected, where it is known. */
  checksum: Pick<Described, 'ChecksumType' | 'ChecksumCRC32'> | undefined;
  partsCount?: number;
}

export const getObject = operation('s3', 'GetObject', {
  authorize: onObject('s3:GetObject', 's3:GetObjectVersion'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const { object, selection } = await select(ctx, bucket, input);
      const Body = await readContent(ctx, object.content, openerOf(ctx, object), selection.range);
      if (Body) return { ...describe(bucket, object, selection, input), Body };
    }
    throw s3Error('OperationAborted');
  },
});

export const headObject = operation('s3', 'HeadObject', {
  authorize: onObject('s3:GetObject', 's3:GetObjectVersion'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    const { object, selection } = await select(ctx, bucket, input);
    return describe(bucket, object, selection, input);
  },
});

async function select(ctx: RequestContext, bucket: Bucket, input: ReadInput): Promise<{ object: ObjectVersion; selection: Selection }> {
  if (input.SSECustomerAlgorithm !== undefined) {
    throw s3Error('InvalidRequest', 'The encryption parameters are not applicable to this object.');
  }
  const object = await findObject(ctx, bucket, input);
  checkReadConditions(input, object);
  return { object, selection: input.PartNumber === undefined ? byRange(object, input.Range) : byPart(object, input) };
}

function byRange(object: ObjectVersion, header: string | undefined): Selection {
  const range = header === undefined ? undefined : parseRange(header, object.size);
  return { range, checksum: range ? undefined : checksumMembers(object.checksum) };
}

/**
 * `bytes=a-b`, `bytes=a-` or `bytes=-n`. As in S3, anything else (also several ranges) is as if it were not sent; a range that begins past
 * the end is InvalidRange.
 */
export function parseRange(header: string, size: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] = [match[1]!, match[2]!];
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  if (start >= size) throw s3Error('InvalidRange', undefined, { RangeRequested: header, ActualObjectSize: size });
  return { start, end };
}

function byPart(object: ObjectVersion, input: ReadInput): Selection {
  const number = input.PartNumber!;
  if (input.Range !== undefined) throw s3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  if (number < 1 || number > MAX_PART_NUMBER) {
    throw invalidArgument('partNumber', number, `Part number must be an integer between 1 and ${MAX_PART_NUMBER}, inclusive`);
  }
  const parts = object.parts ?? [{ number: 1, size: object.size, checksum: object.checksum.value }];
  const part = parts[number - 1];
  if (!part) throw s3Error('InvalidPartNumber', undefined, { PartNumberRequested: number, ActualPartCount: parts.length });
  const start = parts.slice(0, number - 1).reduce((sum, before) => sum + before.size, 0);
  const range = part.size === 0 ? undefined : { start, end: start + part.size - 1 };
  const checksum = { ...checksumMember(object.checksum.algorithm, part.checksum), ChecksumType: object.checksum.type };
  return { range, checksum, ...(object.parts && { partsCount: parts.length }) };
}

function describe(bucket: Bucket, object: ObjectVersion, { range, checksum, partsCount }: Selection, input: ReadInput): Described {
  const { attributes } = object;
  return {
    ...attributes,
    ContentType: input.ResponseContentType ?? attributes.ContentType,
    ContentEncoding: input.ResponseContentEncoding ?? attributes.ContentEncoding,
    ContentLanguage: input.ResponseContentLanguage ?? attributes.ContentLanguage,
    ContentDisposition: input.ResponseContentDisposition ?? attributes.ContentDisposition,
    CacheControl: input.ResponseCacheControl ?? attributes.CacheControl,
    Expires: input.ResponseExpires?.toUTCString() ?? attributes.Expires,
    AcceptRanges: 'bytes',
    LastModified: object.modified_at,
    ETag: `"${object.etag}"`,
    VersionId: shownVersionId(bucket, object.version_id),
    ContentLength: range ? range.end - range.start + 1 : object.size,
    ContentRange: range && `bytes ${range.start}-${range.end}/${object.size}`,
    PartsCount: partsCount,
    TagCount: object.tags ? Object.keys(object.tags).length : undefined,
    ...(input.ChecksumMode === 'ENABLED' && checksum),
  };
}

export const getObjectAttributes = operation('s3', 'GetObjectAttributes', {
  async authorize(input, ctx) {
    checkKey(input.Key);
    const bucket = await findBucket(ctx, input);
    const suffix = input.VersionId === undefined ? '' : 'Version';
    return [`s3:GetObject${suffix}`, `s3:GetObject${suffix}Attributes`].map((action) =>
      objectCheck(ctx, bucket, input.Key, action, input.VersionId),
    );
  },
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    const object = await findObject(ctx, bucket, input);
    const asked = new Set(input.ObjectAttributes);
    return {
      LastModified: object.modified_at,
      VersionId: shownVersionId(bucket, object.version_id),
      ...(asked.has('ETag') && { ETag: object.etag }),
      ...(asked.has('Checksum') && { Checksum: checksumMembers(object.checksum) }),
      ...(asked.has('ObjectSize') && { ObjectSize: object.size }),
      ...(asked.has('StorageClass') && { StorageClass: object.attributes.StorageClass ?? 'STANDARD' }),
      ...(asked.has('ObjectParts') && object.parts && { ObjectParts: partsPage(object, input) }),
    };
  },
});

function partsPage(object: ObjectVersion, input: Input<'s3', 'GetObjectAttributes'>) {
  const marker = input.PartNumberMarker ?? 0;
  const max = Math.min(input.MaxParts ?? 1000, 1000);
  const behind = object.parts!.filter((part) => part.number > marker);
  const page = behind.slice(0, max);
  return {
    TotalPartsCount: object.parts!.length,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? marker,
    MaxParts: max,
    IsTruncated: behind.length > page.length,
    Parts: page.map((part) => ({
      PartNumber: part.number,
      Size: part.size,
      ...checksumMember(object.checksum.algorithm, part.checksum),
    })),
  };
}
