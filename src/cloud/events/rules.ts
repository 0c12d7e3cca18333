/** Rules: which events go where, or when. */
import { sql } from 'kysely';
import { asRecords, batchedChange } from '../../platform/database/batch.ts';
import { compilePattern, PatternError } from '../../platform/event-patterns/patterns.ts';
import type { OperationContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { busName, ruleArn } from './arns.ts';
import { requireBus } from './buses.ts';
import { nextFire, parseSchedule, ScheduleError } from './schedule.ts';
import type { RulesTable } from './tables.ts';
import './tables.ts';
import { writeTags } from './tags.ts';

const MAX_RULES = 300;
const PAGE = 100;

type Named = { Name: string; EventBusName?: string | undefined };

const ruleOf = (input: Named, ctx: { account: string; region: string }): string => ruleArn(ctx, busName(input.EventBusName), input.Name);

export const putRule = operation('events', 'PutRule', {
  authorize: async (input, ctx) => [
    { resource: ruleOf(input, ctx), requestTags: Object.fromEntries((input.Tags ?? []).map((tag) => [tag.Key, tag.Value])) },
    ...passRole(input.RoleArn),
  ],
  async handle(ctx, input) {
    const bus = busName(input.EventBusName);
    await requireBus(ctx, bus);
    if (input.EventPattern === undefined && input.ScheduleExpression === undefined) {
      throw ctx.error('ValidationException', 'Parameter(s) EventPattern or ScheduleExpression must be specified.');
    }
    checkPattern(ctx, input.EventPattern);
    checkSchedule(ctx, bus, input.ScheduleExpression);
    const key = { account: ctx.account, region: ctx.region, bus, name: input.Name };
    const values = {
      pattern: input.EventPattern ?? null,
      schedule: input.ScheduleExpression ?? null,
      state: input.State ?? 'ENABLED',
      description: input.Description ?? null,
      role_arn: input.RoleArn ?? null,
      next_fire: input.ScheduleExpression === undefined ? null : (nextFire(input.ScheduleExpression, ctx.now()) ?? null),
    };
    const arn = ruleArn(ctx, bus, input.Name);
    if (values.schedule === null && (await changing(ctx, { ...key, ...values }))) return { RuleArn: arn };
    await ctx.transaction(async (tx) => {
      const existing = await tx.sql.selectFrom('events.rules').select('name').where(matches(key)).forUpdate().executeTakeFirst();
      if (!existing) {
        const { count } = await tx.sql
          .selectFrom('events.rules')
          .select((eb) => eb.fn.countAll<number>().as('count'))
          .where((eb) => eb.and({ account: ctx.account, region: ctx.region, bus }))
          .executeTakeFirstOrThrow();
        if (count >= MAX_RULES) throw ctx.error('LimitExceededException', 'The requested resource exceeds the maximum number allowed.');
        if (input.Tags) await writeTags(tx, arn, input.Tags);
      }
      await tx.sql
        .insertInto('events.rules')
        .values({ ...key, ...values, created_by: ctx.account })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'bus', 'name']).doUpdateSet(values))
        .execute();
      if (values.next_fire) await tx.reconcile('events.schedule', arn, values.next_fire);
    });
    return { RuleArn: arn };
  },
});

/** A new pattern and the like for a rule that is there. False when it is not, or is being changed by somebody else just now. */
const changing = batchedChange<Omit<RulesTable, 'created_by' | 'schedule' | 'next_fire'>, RuleKey>({
  key: ({ account, region, bus, name }) => JSON.stringify([account, region, bus, name]),
  statement: (items) => sql`
    with wanted as (
      select wanted.* from json_populate_recordset(null::events.rules, ${asRecords(items)}) wanted
      join events.rules rule using (account, region, bus, name) for update of rule skip locked)
    update events.rules rule set pattern = wanted.pattern, schedule = null, state = wanted.state, description = wanted.description,
      role_arn = wanted.role_arn, next_fire = null
    from wanted where (rule.account, rule.region, rule.bus, rule.name) = (wanted.account, wanted.region, wanted.bus, wanted.name)
    returning rule.account, rule.region, rule.bus, rule.name`,
});

/** Passing a role to EventBridge needs iam:PassRole on it. */
export function passRole(role: string | undefined) {
  if (!role) return [];
  return [{ action: 'iam:PassRole', resource: role, conditions: { 'iam:PassedToService': 'events.amazonaws.com' } }];
}

function checkPattern(ctx: OperationContext<'InvalidEventPatternException'>, pattern: string | undefined): void {
  if (pattern === undefined) return;
  try {
    compilePattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw ctx.error('InvalidEventPatternException', `Event pattern is not valid. Reason: ${error.message}`);
  }
}

function checkSchedule(ctx: OperationContext<never>, bus: string, schedule: string | undefined): void {
  if (schedule === undefined) return;
  if (bus !== 'default') throw ctx.error('ValidationException', 'ScheduleExpression is supported only on the default event bus.');
  try {
    parseSchedule(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
    throw ctx.error('ValidationException', 'Parameter ScheduleExpression is not valid.');
  }
}

type RuleKey = Pick<RulesTable, 'account' | 'region' | 'bus' | 'name'>;

function matches(key: { account: string; region: string; bus: string; name: string }) {
  return (eb: any) => eb.and(key);
}

export async function findRule(ctx: OperationContext<'ResourceNotFoundException'>, { Name, EventBusName }: Named): Promise<RulesTable> {
  const bus = busName(EventBusName);
  await requireBus(ctx, bus);
  const row = await ctx.read
    .selectFrom('events.rules')
    .selectAll()
    .where(matches({ account: ctx.account, region: ctx.region, bus, name: Name }))
    .executeTakeFirst();
  if (row) return row as RulesTable;
  throw ctx.error('ResourceNotFoundException', `Rule ${Name} does not exist on EventBus ${bus}.`);
}

export const describeRule = operation('events', 'DescribeRule', {
  authorize: ruleOf,
  async handle(ctx, input) {
    const row = await findRule(ctx, input);
    return { ...describe(ctx, row), CreatedBy: row.created_by };
  },
});

function describe(ctx: { account: string; region: string }, row: RulesTable): ShapeOf<'events', 'Rule'> {
  return {
    Name: row.name,
    Arn: ruleArn(ctx, row.bus, row.name),
    EventPattern: row.pattern ?? undefined,
    ScheduleExpression: row.schedule ?? undefined,
    State: row.state as 'ENABLED',
    Description: row.description ?? undefined,
    RoleArn: row.role_arn ?? undefined,
    EventBusName: row.bus,
  };
}

export const deleteRule = operation('events', 'DeleteRule', {
  authorize: ruleOf,
  async handle(ctx, input) {
    const bus = busName(input.EventBusName);
    await requireBus(ctx, bus);
    const arn = ruleArn(ctx, bus, input.Name);
    await ctx.transaction(async (tx) => {
      const key = { account: ctx.account, region: ctx.region, bus, rule: input.Name };
      const target = await tx.sql
        .selectFrom('events.targets')
        .select('id')
        .where((eb) => eb.and(key))
        .executeTakeFirst();
      if (target) throw ctx.error('ValidationException', "Rule can't be deleted since it has targets.");
      await tx.sql
        .deleteFrom('events.rules')
        .where(matches({ account: ctx.account, region: ctx.region, bus, name: input.Name }))
        .execute();
      await tx.sql.deleteFrom('events.tags').where('arn', '=', arn).execute();
    });
    return {};
  },
});

async function setState(ctx: OperationContext<'ResourceNotFoundException'>, input: Named, state: 'ENABLED' | 'DISABLED') {
  const rule = await findRule(ctx, input);
  await ctx.transaction(async (tx) => {
    const next = rule.schedule && state === 'ENABLED' ? (nextFire(rule.schedule, ctx.now()) ?? null) : null;
    await tx.sql
      .updateTable('events.rules')
      .set({ state, next_fire: next })
      .where(matches({ account: ctx.account, region: ctx.region, bus: rule.bus, name: rule.name }))
      .execute();
    if (next) await tx.reconcile('events.schedule', ruleArn(ctx, rule.bus, rule.name), next);
  });
  return {};
}

export const enableRule = operation('events', 'EnableRule', {
  authorize: ruleOf,
  handle: (ctx, input) => setState(ctx, input, 'ENABLED'),
});

export const disableRule = operation('events', 'DisableRule', {
  authorize: ruleOf,
  handle: (ctx, input) => setState(ctx, input, 'DISABLED'),
});

export const listRules = operation('events', 'ListRules', {
  authorize: (input, ctx) => ruleArn(ctx, busName(input.EventBusName), '*'),
  async handle(ctx, input) {
    const bus = busName(input.EventBusName);
    await requireBus(ctx, bus);
    const rows = await pageOfRules(ctx, 'ListRules', bus, input, (name) => name.startsWith(input.NamePrefix ?? ''));
    return { Rules: rows.page.map((row) => describe(ctx, row)), NextToken: rows.nextToken };
  },
});

export const listRuleNamesByTarget = operation('events', 'ListRuleNamesByTarget', {
  authorize: (input, ctx) => ruleArn(ctx, busName(input.EventBusName), '*'),
  async handle(ctx, input) {
    const bus = busName(input.EventBusName);
    await requireBus(ctx, bus);
    const targets = await ctx.read
      .selectFrom('events.targets')
      .select(['rule', 'target'])
      .where((eb) => eb.and({ account: ctx.account, region: ctx.region, bus }))
      .execute();
    const names = new Set(targets.filter(({ target }) => target.Arn === input.TargetArn).map(({ rule }) => rule));
    const rows = await pageOfRules(ctx, 'ListRuleNamesByTarget', bus, input, (name) => names.has(name));
    return { RuleNames: rows.page.map((row) => row.name), NextToken: rows.nextToken };
  },
});

/** At most 300 rules exist on a bus: they are read in one go and cut into pages by name. */
async function pageOfRules(
  ctx: OperationContext<never>,
  list: string,
  bus: string,
  { NextToken, Limit = PAGE }: { NextToken?: string | undefined; Limit?: number | undefined },
  wanted: (name: string) => boolean,
): Promise<{ page: RulesTable[]; nextToken: string | undefined }> {
  const scope = `events:${list}:${ctx.account}:${ctx.region}:${bus}`;
  const after = NextToken === undefined ? '' : ctx.paging.open<string>(scope, NextToken);
  if (after === undefined) throw ctx.error('ValidationException', 'The token is not valid.');
  const rows = await ctx.read
    .selectFrom('events.rules')
    .selectAll()
    .where((eb) => eb.and({ account: ctx.account, region: ctx.region, bus }))
    .where('name', '>', after)
    .orderBy('name')
    .execute();
  const found = (rows as RulesTable[]).filter((row) => wanted(row.name));
  const page = found.slice(0, Limit);
  return { page, nextToken: found.length > Limit ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined };
}
