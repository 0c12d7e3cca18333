/** Tags of alarms. */
import { AwsError } from '../../../platform/errors.ts';
import { operation, type RequestContext } from '../../../platform/service.ts';
import type { Alarm } from '../tables.ts';
import { checkTags, findAlarms, lockAlarm, nameInArn, onAlarms, tagRecord } from './alarm.ts';

async function findTagged(ctx: RequestContext, arn: string): Promise<Alarm> {
  const name = nameInArn(ctx, arn);
  const [alarm] = name === undefined ? [] : await findAlarms(ctx.read, ctx, [name]);
  if (!alarm) throw missing(arn);
  return alarm;
}

function missing(arn: string): AwsError {
  return new AwsError('ResourceNotFoundException', `The resource ${arn.slice(0, 300)} does not exist.`, {
    fields: { ResourceType: 'Alarm', ResourceId: arn },
  });
}

async function onTagged(ctx: RequestContext, arn: string, requestTags?: Record<string, string>) {
  return onAlarms(ctx, [(await findTagged(ctx, arn)).name], { requestTags });
}

async function change(ctx: RequestContext, arn: string, to: (tags: Record<string, string>) => Record<string, string>): Promise<void> {
  const { name } = await findTagged(ctx, arn);
  await ctx.transaction(async (tx) => {
    const alarm = await lockAlarm(tx, ctx, name);
    if (!alarm) throw missing(arn);
    const tags = to(alarm.tags);
    checkTags(tags);
    await tx.sql
      .updateTable('cloudwatch.alarms')
      .set({ tags: JSON.stringify(tags) })
      .where('id', '=', alarm.id)
      .execute();
  });
}

export const tagResource = operation('cloudwatch', 'TagResource', {
  authorize: ({ ResourceARN, Tags }, ctx) => onTagged(ctx, ResourceARN, tagRecord(Tags)),
  partial: 'of alarms',
  async handle(ctx, { ResourceARN, Tags }) {
    await change(ctx, ResourceARN, (before) => ({ ...before, ...tagRecord(Tags) }));
    return {};
  },
});

export const untagResource = operation('cloudwatch', 'UntagResource', {
  authorize: ({ ResourceARN }, ctx) => onTagged(ctx, ResourceARN),
  partial: 'of alarms',
  async handle(ctx, { ResourceARN, TagKeys }) {
    const gone = new Set(TagKeys);
    await change(ctx, ResourceARN, (before) => Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key))));
    return {};
  },
});

export const listTagsForResource = operation('cloudwatch', 'ListTagsForResource', {
  authorize: ({ ResourceARN }, ctx) => onTagged(ctx, ResourceARN),
  partial: 'of alarms',
  async handle(ctx, { ResourceARN }) {
    const { tags } = await findTagged(ctx, ResourceARN);
    return { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
  },
});
