/** Tags of keys. */
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { keyCheck, onOwnKey } from './access.ts';
import { changeKey } from './change-key.ts';
import { kmsError, refusePendingDeletion } from './errors.ts';
import { findOwnKey } from './keys.ts';
import { pageOf } from './pages.ts';

type Tags = Record<string, string>;

const MAX_TAGS = 50;

export function tagsOf(list: ShapeOf<'kms', 'Tag'>[]): Tags {
  return Object.fromEntries(list.map(({ TagKey, TagValue }) => [TagKey, TagValue]));
}

/** Throws TagException for tags that nobody may set. */
export function checkTags(list: ShapeOf<'kms', 'Tag'>[]): Tags {
  const tags = tagsOf(list);
  if (Object.keys(tags).length < list.length) throw kmsError('TagException', 'Duplicate tag keys');
  for (const [key, value] of Object.entries(tags)) {
    if (/^aws:/i.test(key)) throw kmsError('TagException', 'Tags beginning with aws: are reserved');
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(key + value)) {
      throw kmsError('TagException', `Tag ${key} has characters other than letters, digits, white space and _.:/=+-@`);
    }
  }
  if (Object.keys(tags).length > MAX_TAGS) throw kmsError('LimitExceededException', `A key may have at most ${MAX_TAGS} tags.`);
  return tags;
}

async function changeTags(ctx: RequestContext, keyId: string, change: (tags: Tags) => Tags): Promise<void> {
  await changeKey(ctx, keyId, (key) => {
    refusePendingDeletion(key);
    const tags = change(key.tags);
    if (Object.keys(tags).length > MAX_TAGS) throw kmsError('LimitExceededException', `A key may have at most ${MAX_TAGS} tags.`);
    return { tags: JSON.stringify(tags) };
  });
}

export const tagResource = operation('kms', 'TagResource', {
  authorize: async (input, ctx) => keyCheck(ctx, await findOwnKey(ctx, input.KeyId), { requestTags: tagsOf(input.Tags) }),
  async handle(ctx, input) {
    const tags = checkTags(input.Tags);
    await changeTags(ctx, input.KeyId, (before) => ({ ...before, ...tags }));
    return {};
  },
});

export const untagResource = operation('kms', 'UntagResource', {
  authorize: async (input, ctx) =>
    keyCheck(ctx, await findOwnKey(ctx, input.KeyId), { requestTags: Object.fromEntries(input.TagKeys.map((key) => [key, ''])) }),
  async handle(ctx, input) {
    const gone = new Set(input.TagKeys);
    await changeTags(ctx, input.KeyId, (before) => Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key))));
    return {};
  },
});

export const listResourceTags = operation('kms', 'ListResourceTags', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    const key = await findOwnKey(ctx, input.KeyId);
    const page = pageOf<string>(ctx, `kms:ListResourceTags:${key.id}`, input, { usual: 50 });
    const tags = Object.entries(key.tags).sort(([a], [b]) => (a < b ? -1 : 1));
    const rest = page.after === undefined ? tags : tags.filter(([name]) => name > page.after!);
    const { items, ...more } = page.cut(rest, ([name]) => name);
    return { Tags: items.map(([TagKey, TagValue]) => ({ TagKey, TagValue })), ...more };
  },
});
