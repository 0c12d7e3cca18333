/** Tags of topics. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalid } from './errors.ts';
import { isText } from './text.ts';
import { findTopic, lockTopic, topicCheck } from './topic.ts';

const MAX_TAGS = 50;

export function tagRecord(tags: { Key: string; Value: string }[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key, Value]));
}

export function checkTags(tags: Record<string, string>): void {
  if (Object.keys(tags).length > MAX_TAGS)
    throw new AwsError('TagLimitExceeded', 'Could not complete request: tag quota of per resource exceeded');
  if (!Object.entries(tags).flat().every(isText)) throw invalid('Tags');
  if (Object.keys(tags).some((key) => /^aws:/i.test(key))) throw invalid('Tags', 'Tag keys that begin with aws: are reserved');
}

async function onTagged(ctx: RequestContext, arn: string, requestTags?: Record<string, string>) {
  try {
    return topicCheck(ctx, await findTopic(ctx, arn), { requestTags });
  } catch (error) {
    if (error instanceof AwsError && error.code === 'NotFound') throw new AwsError('ResourceNotFound', 'Resource does not exist');
    throw error;
  }
}

async function change(ctx: RequestContext, arn: string, to: (tags: Record<string, string>) => Record<string, string>): Promise<void> {
  const found = await findTopic(ctx, arn);
  await ctx.transaction(async (tx) => {
    const { account, region, name, tags: before } = await lockTopic(tx, found);
    const tags = to(before);
    checkTags(tags);
    await tx.sql
      .updateTable('sns.topics')
      .set({ tags: JSON.stringify(tags) })
      .where('account', '=', account)
      .where('region', '=', region)
      .where('name', '=', name)
      .execute();
  });
}

export const tagResource = operation('sns', 'TagResource', {
  authorize: ({ ResourceArn, Tags }, ctx) => onTagged(ctx, ResourceArn, tagRecord(Tags)),
  async handle(ctx, { ResourceArn, Tags }) {
    await change(ctx, ResourceArn, (before) => ({ ...before, ...tagRecord(Tags) }));
    return {};
  },
});

export const untagResource = operation('sns', 'UntagResource', {
  authorize: ({ ResourceArn }, ctx) => onTagged(ctx, ResourceArn),
  async handle(ctx, { ResourceArn, TagKeys }) {
    const gone = new Set(TagKeys);
    await change(ctx, ResourceArn, (before) => Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key))));
    return {};
  },
});

export const listTagsForResource = operation('sns', 'ListTagsForResource', {
  authorize: ({ ResourceArn }, ctx) => onTagged(ctx, ResourceArn),
  async handle(ctx, { ResourceArn }) {
    const { tags } = await findTopic(ctx, ResourceArn);
    return { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
  },
});
