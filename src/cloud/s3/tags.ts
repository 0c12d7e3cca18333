/** Tags of buckets and objects. */
import type { ShapeOf } from '../../platform/service.ts';
import { s3Error } from './errors.ts';
import type { Tags } from './tables.ts';

const ALLOWED = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const MAX_OBJECT_TAGS = 10;
const MAX_BUCKET_TAGS = 50;

/** The tags of a `x-amz-tagging` header: `a=1&b=2`, URL-encoded. */
export function tagsOfHeader(header: string | undefined): Tags | null {
  if (!header) return null;
  return objectTags([...new URLSearchParams(header)].map(([Key, Value]) => ({ Key, Value })));
}

export function objectTags(tagSet: ShapeOf<'s3', 'Tag'>[]): Tags | null {
  if (tagSet.length > MAX_OBJECT_TAGS) throw s3Error('InvalidTag', `Object tags cannot be greater than ${MAX_OBJECT_TAGS}`);
  return checked(tagSet);
}

export function bucketTags(tagSet: ShapeOf<'s3', 'Tag'>[]): Tags | null {
  if (tagSet.length > MAX_BUCKET_TAGS) throw s3Error('InvalidTag', `Bucket tag count cannot be greater than ${MAX_BUCKET_TAGS}`);
  return checked(tagSet);
}

export function tagSetOf(tags: Tags | null): ShapeOf<'s3', 'Tag'>[] {
  return Object.entries(tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
}

function checked(tagSet: ShapeOf<'s3', 'Tag'>[]): Tags | null {
  const tags = new Map<string, string>();
  for (const { Key, Value } of tagSet) {
    if (Key.length < 1 || Key.length > 128 || !ALLOWED.test(Key))
      throw s3Error('InvalidTag', 'The TagKey you have provided is invalid', { TagKey: Key });
    if (Value.length > 256 || !ALLOWED.test(Value))
      throw s3Error('InvalidTag', 'The TagValue you have provided is invalid', { TagKey: Key });
    if (Key.startsWith('aws:')) throw s3Error('InvalidTag', 'System tags cannot be added/updated by requester', { TagKey: Key });
    if (tags.has(Key)) throw s3Error('InvalidTag', 'Cannot provide multiple Tags with the same key', { TagKey: Key });
    tags.set(Key, Value);
  }
  return tags.size === 0 ? null : Object.fromEntries(tags);
}
