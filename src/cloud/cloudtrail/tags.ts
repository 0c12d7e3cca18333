/** Tags of trails. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { arnOf, findTrail } from './trail.ts';

type Tag = ShapeOf<'cloudtrail', 'Tag'>;

const MAX_TAGS = 50;

/** Refuses keys that come twice, and AWS's own. */
export function tagMap(tags: Tag[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const { Key, Value = '' } of tags) {
    if (Object.hasOwn(map, Key)) throw invalidTag(`Duplicate tag key: ${Key}`);
    if (/^aws:/i.test(Key)) throw invalidTag(`Tag keys must not begin with aws: ${Key}`);
    map[Key] = Value;
  }
  if (Object.keys(map).length > MAX_TAGS) {
    throw new AwsError('TagsLimitExceededException', `A trail has at most ${MAX_TAGS} tags.`, { status: 400 });
  }
  return map;
}

function invalidTag(message: string): AwsError {
  return new AwsError('InvalidTagParameterException', message, { status: 400 });
}

/** Tags are asked for by ARN only; a trail that is not there is no resource. */
async function taggedTrail(ctx: RequestContext, id: string) {
  if (!id.startsWith('arn:')) throw new AwsError('CloudTrailARNInvalidException', `CloudTrail ARN is not valid: ${id}`, { status: 400 });
  arnOf(ctx, id);
  return findTrail(ctx, id).catch((error) => {
    if (!(error instanceof AwsError) || error.code !== 'TrailNotFoundException') throw error;
    throw new AwsError('ResourceNotFoundException', `Resource ${id} is not found.`, { status: 400 });
  });
}

async function changeTags(ctx: RequestContext, id: string, change: (tags: Record<string, string>) => Record<string, string>): Promise<{}> {
  const { arn } = await taggedTrail(ctx, id);
  await ctx.transaction(async (tx) => {
    const row = await tx.sql.selectFrom('cloudtrail.trails').select('tags').where('arn', '=', arn).forUpdate().executeTakeFirst();
    const tags = change(row?.tags ?? {});
    const full = tagMap(Object.entries(tags).map(([Key, Value]) => ({ Key, Value })));
    await tx.sql
      .updateTable('cloudtrail.trails')
      .set({ tags: JSON.stringify(full) })
      .where('arn', '=', arn)
      .execute();
  });
  return {};
}

export const addTags = operation('cloudtrail', 'AddTags', {
  authorize: ({ ResourceId, TagsList }) => ({ resource: ResourceId, requestTags: tagMap(TagsList) }),
  handle: (ctx, { ResourceId, TagsList }) => changeTags(ctx, ResourceId, (tags) => ({ ...tags, ...tagMap(TagsList) })),
});

export const removeTags = operation('cloudtrail', 'RemoveTags', {
  authorize: ({ ResourceId }) => ResourceId,
  handle: (ctx, { ResourceId, TagsList }) =>
    changeTags(ctx, ResourceId, (tags) =>
      // With a value given too, only the tag that has it goes.
      Object.fromEntries(
        Object.entries(tags).filter(
          ([key, value]) => !TagsList.some(({ Key, Value }) => Key === key && (Value === undefined || Value === value)),
        ),
      ),
    ),
});

export const listTags = operation('cloudtrail', 'ListTags', {
  authorize: ({ ResourceIdList }) => ResourceIdList.map((resource) => ({ resource })),
  async handle(ctx, { ResourceIdList, NextToken }) {
    if (NextToken !== undefined) throw ctx.error('InvalidTokenException', 'The token is not valid.');
    const trails = await Promise.all(ResourceIdList.map((id) => taggedTrail(ctx, id)));
    return {
      ResourceTagList: trails.map(({ arn, tags }) => ({
        ResourceId: arn,
        TagsList: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
      })),
    };
  },
});
