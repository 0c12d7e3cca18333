/** `If-*`: RFC 9110 §13 for reads, S3's own rules for writes and copies. */
import type { Transaction } from '../../platform/platform.ts';
import type { Bucket } from './access.ts';
import { s3Error } from './errors.ts';
import { latestVersion, type ObjectVersion } from './versions.ts';

export interface ReadConditions {
  IfMatch?: string | undefined;
  IfNoneMatch?: string | undefined;
  IfModifiedSince?: Date | undefined;
  IfUnmodifiedSince?: Date | undefined;
}

/** Throws PreconditionFailed (412) or NotModified (304). */
export function checkReadConditions(conditions: ReadConditions, object: ObjectVersion): void {
  const failed = failedCondition(conditions, object);
  if (failed === undefined) return;
  if (failed === 'If-Match' || failed === 'If-Unmodified-Since') throw s3Error('PreconditionFailed', undefined, { Condition: failed });
  throw s3Error('NotModified', undefined, { etag: `"${object.etag}"`, 'last-modified': object.modified_at.toUTCString() });
}

/** The same for the source of a copy, where each failure is PreconditionFailed. */
export function checkCopyConditions(
  input: {
    CopySourceIfMatch?: string | undefined;
    CopySourceIfNoneMatch?: string | undefined;
    CopySourceIfModifiedSince?: Date | undefined;
    CopySourceIfUnmodifiedSince?: Date | undefined;
  },
  source: ObjectVersion,
): void {
  const failed = failedCondition(
    {
      IfMatch: input.CopySourceIfMatch,
      IfNoneMatch: input.CopySourceIfNoneMatch,
      IfModifiedSince: input.CopySourceIfModifiedSince,
      IfUnmodifiedSince: input.CopySourceIfUnmodifiedSince,
    },
    source,
  );
  if (failed !== undefined) throw s3Error('PreconditionFailed', undefined, { Condition: `x-amz-copy-source-${failed}` });
}

function failedCondition(conditions: ReadConditions, object: ObjectVersion): string | undefined {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = conditions;
  // HTTP dates have no fractions.
  const modified = Math.floor(object.modified_at.getTime() / 1000) * 1000;
  if (IfMatch !== undefined) {
    if (!listsEtag(IfMatch, object.etag)) return 'If-Match';
  } else if (IfUnmodifiedSince !== undefined && modified > IfUnmodifiedSince.getTime()) return 'If-Unmodified-Since';
  if (IfNoneMatch !== undefined) return listsEtag(IfNoneMatch, object.etag) ? 'If-None-Match' : undefined;
  if (IfModifiedSince !== undefined && modified <= IfModifiedSince.getTime()) return 'If-Modified-Since';
  return undefined;
}

/** The key is locked, so of two conditional writers one loses. */
export async function checkWriteConditions(
  tx: Transaction,
  bucket: Bucket,
  input: { Key: string; IfMatch?: string | undefined; IfNoneMatch?: string | undefined },
): Promise<void> {
  const { Key, IfMatch, IfNoneMatch } = input;
  if (IfMatch === undefined && IfNoneMatch === undefined) return;
  const latest = await latestVersion(tx.sql, bucket.name, Key);
  const etag = latest && !latest.is_delete_marker ? latest.etag! : undefined;
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*') throw s3Error('NotImplemented', undefined, { Header: 'If-None-Match' });
    if (etag !== undefined) throw s3Error('PreconditionFailed', undefined, { Condition: 'If-None-Match' });
  }
  if (IfMatch !== undefined) {
    if (etag === undefined) throw s3Error('NoSuchKey', undefined, { Key });
    if (!listsEtag(IfMatch, etag)) throw s3Error('PreconditionFailed', undefined, { Condition: 'If-Match' });
  }
}

function listsEtag(header: string, etag: string): boolean {
  return header.split(',').some((entry) => {
    const text = entry.trim().replace(/^W\//, '');
    return text === '*' || text.replace(/^"|"$/g, '') === etag;
  });
}
