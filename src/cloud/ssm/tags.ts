/** Tags of parameters, the only resources of Systems Manager that are here. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { onParameter } from './names.ts';
import { findParameter, lockParameter } from './parameter-rows.ts';

const MAX_TAGS = 50;
type Tags = Record<string, string>;

/** As they are kept; throws for reserved keys and too many. */
export function checkTags(tags: Tags): Tags {
  const reserved = Object.keys(tags).find((key) => /^aws:/i.test(key));
  if (reserved !== undefined) throw new AwsError('ValidationException', `Tag keys that begin with aws: are reserved: ${reserved}`);
  if (Object.keys(tags).length > MAX_TAGS) throw new AwsError('TooManyTagsError', `A parameter can have at most ${MAX_TAGS} tags.`);
  return tags;
}

export const addTagsToResource = operation('ssm', 'AddTagsToResource', {
  authorize: ({ ResourceId, Tags }, ctx) =>
    onParameter(ctx, ResourceId, { requestTags: Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])) }),
  async handle(ctx, { ResourceType, ResourceId, Tags }) {
    const added = Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
    await changeTags(ctx, ResourceType, ResourceId, (tags) => checkTags({ ...tags, ...added }));
    return {};
  },
});

export const removeTagsFromResource = operation('ssm', 'RemoveTagsFromResource', {
  authorize: ({ ResourceId, TagKeys }, ctx) => onParameter(ctx, ResourceId, { conditions: { 'aws:TagKeys': TagKeys } }),
  async handle(ctx, { ResourceType, ResourceId, TagKeys }) {
    await changeTags(ctx, ResourceType, ResourceId, (tags) =>
      Object.fromEntries(Object.entries(tags).filter(([key]) => !TagKeys.includes(key))),
    );
    return {};
  },
});

export const listTagsForResource = operation('ssm', 'ListTagsForResource', {
  authorize: ({ ResourceId }, ctx) => onParameter(ctx, ResourceId),
  async handle(ctx, { ResourceType, ResourceId }) {
    const row = ResourceType === 'Parameter' ? await findParameter(ctx.read, ctx, ResourceId) : undefined;
    if (!row) throw invalidResource(ResourceId);
    return { TagList: Object.entries(row.tags).map(([Key, Value]) => ({ Key, Value })) };
  },
});

async function changeTags(ctx: RequestContext, type: string, name: string, change: (tags: Tags) => Tags): Promise<void> {
  await ctx.transaction(async (tx) => {
    const row = type === 'Parameter' ? await lockParameter(tx, ctx, name) : undefined;
    if (!row) throw invalidResource(name);
    await tx.sql
      .updateTable('ssm.parameters')
      .set({ tags: JSON.stringify(change(row.tags)) })
      .where('id', '=', row.id)
      .execute();
  });
}

function invalidResource(name: string): AwsError {
  return new AwsError('InvalidResourceId', `The resource ID "${name}" is not valid. Verify the ID and try again.`);
}
