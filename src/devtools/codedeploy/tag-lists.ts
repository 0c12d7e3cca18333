/** Tags as the API lists them and as rows keep them. */
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import type { TagMap } from './tables.ts';

type Tag = ShapeOf<'codedeploy', 'Tag'>;

const MAX_TAGS = 50;
const MAX_KEY = 128;
const MAX_VALUE = 256;
const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

export function tagMap(tags: Tag[] | undefined): TagMap {
  return Object.fromEntries((tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

export function tagList(tags: TagMap): Tag[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Tags of an application or a group, checked. */
export function resourceTags(tags: Tag[] | undefined): TagMap {
  const refuse = (why: string): never => {
    throw new AwsError('InvalidTagsToAddException', why);
  };
  for (const { Key, Value = '' } of tags ?? []) {
    if (!Key) refuse('A tag must have a key.');
    else if (Key.length > MAX_KEY || Value.length > MAX_VALUE) refuse(`The tag ${Key.slice(0, MAX_KEY)} is too long.`);
    else if (!allowed.test(Key) || !allowed.test(Value)) refuse(`The tag ${Key} has characters that are not allowed.`);
    else if (/^aws:/i.test(Key)) refuse('Tag keys that begin with aws: are reserved.');
  }
  return limitTags(tagMap(tags));
}

export function limitTags(tags: TagMap): TagMap {
  if (Object.keys(tags).length > MAX_TAGS) throw new AwsError('InvalidTagsToAddException', `A resource can have up to ${MAX_TAGS} tags.`);
  return tags;
}
