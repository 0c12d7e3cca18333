/** Tags of connections and hosts, which policies may ask for as `aws:ResourceTag/…`. */
import { AwsError } from '../../platform/errors.ts';
import { type Check, operation, type RequestContext } from '../../platform/service.ts';

/** ARNs keep the name of the API by which their resource was made; both APIs take both. */
export type ArnName = 'codeconnections' | 'codestar-connections';

export type TagList = { Key: string; Value: string }[];

const MAX_TAGS = 200;
const TABLES = { connection: 'codeconnections.connections', host: 'codeconnections.hosts' } as const;

export const tagResource = operation('codeconnections', 'TagResource', {
  authorize: async ({ ResourceArn, Tags }, ctx) => ({ ...(await onResource(ctx, ResourceArn)), requestTags: tagsOf(Tags) }),
  async handle(ctx, { ResourceArn, Tags }) {
    await changeTags(ctx, ResourceArn, (tags) => ({ ...tags, ...tagsOf(Tags) }));
    return {};
  },
});

export const untagResource = operation('codeconnections', 'UntagResource', {
  authorize: async ({ ResourceArn, TagKeys }, ctx) => ({ ...(await onResource(ctx, ResourceArn)), conditions: { 'aws:TagKeys': TagKeys } }),
  async handle(ctx, { ResourceArn, TagKeys }) {
    await changeTags(ctx, ResourceArn, (tags) => Object.fromEntries(Object.entries(tags).filter(([key]) => !TagKeys.includes(key))));
    return {};
  },
});

export const listTagsForResource = operation('codeconnections', 'ListTagsForResource', {
  authorize: ({ ResourceArn }, ctx) => onResource(ctx, ResourceArn),
  async handle(ctx, { ResourceArn }) {
    const tags = await findTags(ctx, ResourceArn);
    if (!tags) throw missing(ResourceArn);
    return { Tags: tagList(tags) };
  },
});

export function tagsOf(tags: TagList = []): Record<string, string> {
  const keys = tags.map(({ Key }) => Key);
  if (keys.some((key) => key.startsWith('aws:'))) throw invalid('Tag keys must not begin with aws:');
  if (new Set(keys).size < keys.length) throw invalid('Each tag key may be given once');
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
}

export function tagList(tags: Record<string, string>): TagList {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

export function invalid(message: string): AwsError {
  return new AwsError('ValidationException', message);
}

export function missing(arn: string): AwsError {
  return new AwsError('ResourceNotFoundException', `Resource not found: ${arn}`);
}

/** The IAM question about a connection or a host, with its tags if it is there. */
export async function onResource(ctx: RequestContext, arn: string): Promise<Check> {
  return { resource: arn, resourceTags: await findTags(ctx, arn) };
}

/** Of this account and region only: an ARN of another names nothing here. */
function tableOf({ account, region }: RequestContext, arn: string): (typeof TABLES)[keyof typeof TABLES] | undefined {
  const [, , service, inRegion, ofAccount, resource = ''] = arn.split(':');
  const kind = resource.split('/')[0] as keyof typeof TABLES;
  const known = service === 'codeconnections' || service === 'codestar-connections';
  return known && inRegion === region && ofAccount === account ? TABLES[kind] : undefined;
}

async function findTags(ctx: RequestContext, arn: string): Promise<Record<string, string> | undefined> {
  const table = tableOf(ctx, arn);
  if (!table) return undefined;
  return (await ctx.read.selectFrom(table).select('tags').where('arn', '=', arn).executeTakeFirst())?.tags;
}

async function changeTags(
  ctx: RequestContext,
  arn: string,
  change: (tags: Record<string, string>) => Record<string, string>,
): Promise<void> {
  const table = tableOf(ctx, arn);
  if (!table) throw missing(arn);
  await ctx.transaction(async (tx) => {
    const row = await tx.sql.selectFrom(table).select('tags').where('arn', '=', arn).forUpdate().executeTakeFirst();
    if (!row) throw missing(arn);
    const tags = change(row.tags);
    if (Object.keys(tags).length > MAX_TAGS)
      throw new AwsError('LimitExceededException', `A resource cannot have more than ${MAX_TAGS} tags`);
    await tx.sql
      .updateTable(table)
      .set({ tags: JSON.stringify(tags) })
      .where('arn', '=', arn)
      .execute();
  });
}
