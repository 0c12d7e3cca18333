/** ListObjects, ListObjectsV2 and ListObjectVersions: keys in the order of their bytes, page by page. */
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { type Bucket, canonicalUser, checkText, findBucket, onBucket } from './access.ts';
import { invalidArgument } from './errors.ts';
import { collectPage, keyEncoder, type Page, type Position, pageSize, startBehind, successor } from './keys.ts';
import { latestVersion, type Version, versionById } from './versions.ts';

type Listed = Pick<
  Version,
  'key' | 'version_id' | 'version_order' | 'is_latest' | 'is_delete_marker' | 'modified_at' | 'size' | 'etag' | 'checksum' | 'attributes'
>;

interface ListInput {
  Bucket: string;
  Prefix?: string | undefined;
  Delimiter?: string | undefined;
  MaxKeys?: number | undefined;
}

function listConditions(input: ListInput): Record<string, string> {
  return {
    's3:prefix': input.Prefix ?? '',
    ...(input.Delimiter !== undefined && { 's3:delimiter': input.Delimiter }),
    ...(input.MaxKeys !== undefined && { 's3:max-keys': String(input.MaxKeys) }),
  };
}

export const listObjectsV2 = operation('s3', 'ListObjectsV2', {
  authorize: onBucket('s3:ListBucket', listConditions),
  async handle(ctx, input) {
    checkText('start-after', input.StartAfter);
    const bucket = await findBucket(ctx, input);
    const marker = input.ContinuationToken === undefined ? input.StartAfter : openToken(ctx, bucket, input.ContinuationToken);
    const { page, limit } = await listLatest(ctx, bucket, input, marker);
    const encode = keyEncoder(input.EncodingType);
    return {
      ...echo(input, bucket),
      MaxKeys: limit,
      KeyCount: page.rows.length + page.commonPrefixes.length,
      IsTruncated: page.truncated,
      StartAfter: encode(input.StartAfter),
      ContinuationToken: input.ContinuationToken,
      NextContinuationToken: page.truncated ? ctx.paging.seal(tokenScope(bucket), lastOf(page)) : undefined,
      Contents: page.rows.map((row) => listed(row, encode, input.FetchOwner ? bucket : undefined)),
      CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
    };
  },
});

export const listObjects = operation('s3', 'ListObjects', {
  authorize: onBucket('s3:ListBucket', listConditions),
  async handle(ctx, input) {
    checkText('marker', input.Marker);
    const bucket = await findBucket(ctx, input);
    const { page, limit } = await listLatest(ctx, bucket, input, input.Marker);
    const encode = keyEncoder(input.EncodingType);
    return {
      ...echo(input, bucket),
      Marker: encode(input.Marker ?? ''),
      // As in S3: without a delimiter the last key is the next marker, and is not told apart.
      NextMarker: page.truncated && input.Delimiter ? encode(lastOf(page)) : undefined,
      MaxKeys: limit,
      IsTruncated: page.truncated,
      Contents: page.rows.map((row) => listed(row, encode, bucket)),
      CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
    };
  },
});

function tokenScope(bucket: Bucket): string {
  return `s3:list:${bucket.name}`;
}

function openToken(ctx: RequestContext, bucket: Bucket, token: string): string {
  const marker = ctx.paging.open<string>(tokenScope(bucket), token);
  if (marker === undefined) throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
  return marker;
}

function lastOf(page: Page<Listed>): string {
  return 'row' in page.last! ? page.last.row.key : page.last!.prefix;
}

function echo(input: ListInput & { EncodingType?: 'url' | undefined }, bucket: Bucket) {
  const encode = keyEncoder(input.EncodingType);
  return {
    Name: bucket.name,
    Prefix: encode(input.Prefix ?? ''),
    Delimiter: encode(input.Delimiter),
    EncodingType: input.EncodingType,
  };
}

async function listLatest(ctx: RequestContext, bucket: Bucket, input: ListInput, marker: string | undefined) {
  const { prefix, limit } = checkList(input);
  const page = await collectPage<Listed, never>({
    prefix,
    delimiter: input.Delimiter,
    start: startBehind(marker, prefix, input.Delimiter),
    limit,
    positionOf: (row) => ({ after: row.key }),
    fetch: (position, count) =>
      versionsBetween(ctx, bucket, prefix)
        .where('is_latest', '=', true)
        .where('is_delete_marker', '=', false)
        .where('key', 'from' in position ? '>=' : '>', 'from' in position ? position.from : position.after)
        .orderBy('key')
        .limit(count)
        .execute(),
  });
  return { page, limit };
}

function checkList(input: ListInput): { prefix: string; limit: number } {
  checkText('prefix', input.Prefix);
  checkText('delimiter', input.Delimiter);
  return { prefix: input.Prefix ?? '', limit: pageSize('maxKeys', input.MaxKeys) };
}

function versionsBetween(ctx: RequestContext, bucket: Bucket, prefix: string) {
  const end = successor(prefix);
  return ctx.read
    .selectFrom('s3.versions')
    .select([
      'key',
      'version_id',
      'version_order',
      'is_latest',
      'is_delete_marker',
      'modified_at',
      'size',
      'etag',
      'checksum',
      'attributes',
    ])
    .where('bucket', '=', bucket.name)
    .$if(end !== undefined, (query) => query.where('key', '<', end!));
}

function listed(row: Listed, encode: ReturnType<typeof keyEncoder>, owner: Bucket | undefined): ShapeOf<'s3', 'Object'> {
  return {
    Key: encode(row.key),
    LastModified: row.modified_at,
    ETag: `"${row.etag}"`,
    ChecksumAlgorithm: [row.checksum!.algorithm],
    ChecksumType: row.checksum!.type,
    Size: row.size!,
    StorageClass: (row.attributes!.StorageClass ?? 'STANDARD') as ShapeOf<'s3', 'Object'>['StorageClass'],
    ...(owner && { Owner: canonicalUser(owner.account) }),
  };
}

export const listObjectVersions = operation('s3', 'ListObjectVersions', {
  authorize: onBucket('s3:ListBucketVersions', listConditions),
  async handle(ctx, input) {
    const { KeyMarker: keyMarker, VersionIdMarker: versionIdMarker } = input;
    checkText('key-marker', keyMarker);
    if (versionIdMarker && !keyMarker) {
      throw invalidArgument('version-id-marker', versionIdMarker, 'A version-id marker cannot be specified without a key marker.');
    }
    const bucket = await findBucket(ctx, input);
    const { prefix, limit } = checkList(input);
    const tie = versionIdMarker ? await orderOf(ctx, bucket, keyMarker!, versionIdMarker) : undefined;
    const page = await collectPage<Listed, number>({
      prefix,
      delimiter: input.Delimiter,
      start: startBehind(keyMarker, prefix, input.Delimiter, tie),
      limit,
      positionOf: (row) => ({ after: row.key, tie: row.version_order }),
      fetch: (position, count) => fetchVersions(ctx, bucket, prefix, position, count),
    });
    const encode = keyEncoder(input.EncodingType);
    const last = page.truncated ? page.last! : undefined;
    const owner = canonicalUser(bucket.account);
    const entry = (row: Listed) => ({
      Key: encode(row.key),
      VersionId: row.version_id,
      IsLatest: row.is_latest,
      LastModified: row.modified_at,
      Owner: owner,
    });
    return {
      ...echo(input, bucket),
      KeyMarker: encode(keyMarker ?? ''),
      VersionIdMarker: versionIdMarker ?? '',
      NextKeyMarker: last && encode('row' in last ? last.row.key : last.prefix),
      NextVersionIdMarker: last && 'row' in last ? last.row.version_id : undefined,
      MaxKeys: limit,
      IsTruncated: page.truncated,
      Versions: page.rows.filter((row) => !row.is_delete_marker).map((row) => ({ ...listedVersion(row), ...entry(row) })),
      DeleteMarkers: page.rows.filter((row) => row.is_delete_marker).map(entry),
      CommonPrefixes: page.commonPrefixes.map((each) => ({ Prefix: encode(each) })),
    };
  },
});

function listedVersion(row: Listed): ShapeOf<'s3', 'ObjectVersion'> {
  return {
    ETag: `"${row.etag}"`,
    ChecksumAlgorithm: [row.checksum!.algorithm],
    ChecksumType: row.checksum!.type,
    Size: row.size!,
    StorageClass: 'STANDARD',
  };
}

/** Newest first within a key. */
function fetchVersions(ctx: RequestContext, bucket: Bucket, prefix: string, position: Position<number>, count: number): Promise<Listed[]> {
  return versionsBetween(ctx, bucket, prefix)
    .where((where) => {
      if ('from' in position) return where('key', '>=', position.from);
      const beyond = where('key', '>', position.after);
      if (position.tie === undefined) return beyond;
      return where.or([beyond, where.and([where('key', '=', position.after), where('version_order', '<', position.tie)])]);
    })
    .orderBy('key')
    .orderBy('version_order', 'desc')
    .limit(count)
    .execute();
}

/** Where a version stands among those of its key. When it is gone meanwhile, the key is begun anew. */
async function orderOf(ctx: RequestContext, bucket: Bucket, key: string, versionId: string): Promise<number | undefined> {
  const version = await versionById(ctx.read, bucket.name, key, versionId);
  if (version) return version.version_order;
  const latest = await latestVersion(ctx.read, bucket.name, key);
  return latest && latest.version_order + 1;
}
