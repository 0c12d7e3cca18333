/** Tags of log groups, by the current API and by the older one that names the group instead of its ARN. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { findGroup, groupArn, groupMissing, groupName, lookUpGroup } from './group.ts';

const MAX_TAGS = 50;

/** What CreateLogGroup and TagResource accept beyond the model's patterns. */
export function checkTags(tags: Record<string, string>): void {
  const reserved = Object.keys(tags).find((key) => /^aws:/i.test(key));
  if (reserved !== undefined) throw new AwsError('InvalidParameterException', `Tag keys that begin with aws: are reserved: ${reserved}`);
}

async function onTags(ctx: RequestContext, name: string, requestTags?: Record<string, string>) {
  const group = await lookUpGroup(ctx.read, ctx, name);
  return { resource: groupArn(ctx, name), resourceTags: group?.tags, requestTags };
}

async function changeTags(
  ctx: RequestContext,
  name: string,
  change: (tags: Record<string, string>) => Record<string, string>,
): Promise<void> {
  await ctx.transaction(async (tx) => {
    const group = await tx.sql
      .selectFrom('logs.groups')
      .select(['id', 'tags'])
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('name', '=', name)
      .forUpdate()
      .executeTakeFirst();
    if (!group) throw groupMissing();
    const tags = change(group.tags);
    if (Object.keys(tags).length > MAX_TAGS) {
      throw new AwsError('TooManyTagsException', `The resource would have more than ${MAX_TAGS} tags.`, {
        fields: { resourceName: groupArn(ctx, name) },
      });
    }
    await tx.sql
      .updateTable('logs.groups')
      .set({ tags: JSON.stringify(tags) })
      .where('id', '=', group.id)
      .execute();
  });
}

function without(keys: string[]): (tags: Record<string, string>) => Record<string, string> {
  const gone = new Set(keys);
  return (tags) => Object.fromEntries(Object.entries(tags).filter(([key]) => !gone.has(key)));
}

export const tagResource = operation('logs', 'TagResource', {
  authorize: ({ resourceArn, tags }, ctx) => onTags(ctx, groupName(ctx, resourceArn), tags),
  async handle(ctx, { resourceArn, tags }) {
    checkTags(tags);
    await changeTags(ctx, groupName(ctx, resourceArn), (before) => ({ ...before, ...tags }));
    return {};
  },
});

export const untagResource = operation('logs', 'UntagResource', {
  authorize: ({ resourceArn }, ctx) => onTags(ctx, groupName(ctx, resourceArn)),
  async handle(ctx, { resourceArn, tagKeys }) {
    await changeTags(ctx, groupName(ctx, resourceArn), without(tagKeys));
    return {};
  },
});

export const listTagsForResource = operation('logs', 'ListTagsForResource', {
  authorize: ({ resourceArn }, ctx) => onTags(ctx, groupName(ctx, resourceArn)),
  async handle(ctx, { resourceArn }) {
    return { tags: (await findGroup(ctx, groupName(ctx, resourceArn))).tags };
  },
});

export const tagLogGroup = operation('logs', 'TagLogGroup', {
  authorize: ({ logGroupName, tags }, ctx) => onTags(ctx, logGroupName, tags),
  async handle(ctx, { logGroupName, tags }) {
    checkTags(tags);
    await changeTags(ctx, logGroupName, (before) => ({ ...before, ...tags }));
    return {};
  },
});

export const untagLogGroup = operation('logs', 'UntagLogGroup', {
  authorize: ({ logGroupName }, ctx) => onTags(ctx, logGroupName),
  async handle(ctx, { logGroupName, tags }) {
    await changeTags(ctx, logGroupName, without(tags));
    return {};
  },
});

export const listTagsLogGroup = operation('logs', 'ListTagsLogGroup', {
  authorize: ({ logGroupName }, ctx) => onTags(ctx, logGroupName),
  async handle(ctx, { logGroupName }) {
    return { tags: (await findGroup(ctx, logGroupName)).tags };
  },
});
