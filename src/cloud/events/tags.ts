/** Tags of rules and event buses. */
import type { Transaction } from '../../platform/platform.ts';
import type { OperationContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import './tables.ts';

const MAX_TAGS = 50;

export async function writeTags(tx: Transaction, arn: string, tags: ShapeOf<'events', 'Tag'>[]): Promise<void> {
  if (tags.length === 0) return;
  await tx.sql
    .insertInto('events.tags')
    .values(tags.map(({ Key, Value }) => ({ arn, key: Key, value: Value })))
    .onConflict((conflict) => conflict.columns(['arn', 'key']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })))
    .execute();
}

/** Only rules and buses that exist here can be tagged. */
async function requireResource(ctx: OperationContext<'ResourceNotFoundException'>, arn: string): Promise<void> {
  const [, , service, region, account, resource = ''] = arn.split(':');
  const path = resource.split('/');
  const place = { account: ctx.account, region: ctx.region };
  if (service === 'events' && region === ctx.region && account === ctx.account) {
    if (path[0] === 'event-bus' && path[1] === 'default') return;
    if (path[0] === 'event-bus') {
      const bus = await ctx.read
        .selectFrom('events.buses')
        .select('name')
        .where((eb) => eb.and({ ...place, name: path[1]! }))
        .executeTakeFirst();
      if (bus) return;
    }
    if (path[0] === 'rule') {
      const [bus, name] = path.length > 2 ? [path.slice(1, -1).join('/'), path.at(-1)!] : ['default', path[1] ?? ''];
      const rule = await ctx.read
        .selectFrom('events.rules')
        .select('name')
        .where((eb) => eb.and({ ...place, bus, name }))
        .executeTakeFirst();
      if (rule) return;
    }
  }
  throw ctx.error('ResourceNotFoundException', `Resource ${arn} does not exist.`);
}

export const tagResource = operation('events', 'TagResource', {
  authorize: (input) => ({ resource: input.ResourceARN, requestTags: Object.fromEntries(input.Tags.map((tag) => [tag.Key, tag.Value])) }),
  async handle(ctx, { ResourceARN, Tags }) {
    await requireResource(ctx, ResourceARN);
    await ctx.transaction(async (tx) => {
      await writeTags(tx, ResourceARN, Tags);
      const { count } = await tx.sql
        .selectFrom('events.tags')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('arn', '=', ResourceARN)
        .executeTakeFirstOrThrow();
      if (count > MAX_TAGS) throw ctx.error('ValidationException', `A resource can have at most ${MAX_TAGS} tags.`);
    });
    return {};
  },
});

export const untagResource = operation('events', 'UntagResource', {
  authorize: (input) => input.ResourceARN,
  async handle(ctx, { ResourceARN, TagKeys }) {
    await requireResource(ctx, ResourceARN);
    if (TagKeys.length > 0) {
      await ctx.transaction((tx) => tx.sql.deleteFrom('events.tags').where('arn', '=', ResourceARN).where('key', 'in', TagKeys).execute());
    }
    return {};
  },
});

export const listTagsForResource = operation('events', 'ListTagsForResource', {
  authorize: (input) => input.ResourceARN,
  async handle(ctx, { ResourceARN }) {
    await requireResource(ctx, ResourceARN);
    const rows = await ctx.read.selectFrom('events.tags').select(['key', 'value']).where('arn', '=', ResourceARN).orderBy('key').execute();
    return { Tags: rows.map(({ key, value }) => ({ Key: key, Value: value })) };
  },
});
