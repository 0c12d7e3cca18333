/** Targets of rules: where matched events go. */
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { busName, ruleArn } from './arns.ts';
import { InputError, parsePath } from './inputs.ts';
import { QUEUE_ARN, targetKind } from './invoke.ts';
import { findRule, passRole } from './rules.ts';
import type { Target } from './tables.ts';
import './tables.ts';

/** AWS allows five targets a rule unless asked for more. */
const MAX_TARGETS = 5;
const MAX_PATHS = 100;
const PAGE = 100;

const ofRule = (input: { Rule: string; EventBusName?: string | undefined }, ctx: { account: string; region: string }): string =>
  ruleArn(ctx, busName(input.EventBusName), input.Rule);

export const putTargets = operation('events', 'PutTargets', {
  authorize: (input, ctx) => [
    { resource: ofRule(input, ctx), conditions: { 'events:TargetArn': input.Targets.map((target) => target.Arn) } },
    ...[...new Set(input.Targets.map((target) => target.RoleArn))].flatMap((role) => passRole(role)),
  ],
  partial: 'targets are CodePipeline pipelines, CodeBuild projects, SNS topics, SQS queues, log groups and event buses; others are refused',
  async handle(ctx, input) {
    const rule = await findRule(ctx, { Name: input.Rule, EventBusName: input.EventBusName });
    const ids = new Set(input.Targets.map((target) => target.Id));
    if (ids.size < input.Targets.length) throw ctx.error('ValidationException', 'Duplicate target ids are not allowed.');
    for (const target of input.Targets) {
      const wrong = complaint(target);
      if (wrong) throw ctx.error('ValidationException', wrong);
    }
    const key = { account: ctx.account, region: ctx.region, bus: rule.bus, rule: rule.name };
    await ctx.transaction(async (tx) => {
      // The lock on the rule makes the count of its targets true.
      await tx.sql
        .selectFrom('events.rules')
        .select('name')
        .where((eb) => eb.and({ account: ctx.account, region: ctx.region, bus: rule.bus, name: rule.name }))
        .forUpdate()
        .execute();
      for (const target of input.Targets) {
        const value = JSON.stringify(target);
        await tx.sql
          .insertInto('events.targets')
          .values({ ...key, id: target.Id, target: value })
          .onConflict((conflict) => conflict.columns(['account', 'region', 'bus', 'rule', 'id']).doUpdateSet({ target: value }))
          .execute();
      }
      const { count } = await tx.sql
        .selectFrom('events.targets')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where((eb) => eb.and(key))
        .executeTakeFirstOrThrow();
      if (count > MAX_TARGETS) throw ctx.error('LimitExceededException', 'The requested resource exceeds the maximum number allowed.');
    });
    return { FailedEntryCount: 0, FailedEntries: [] };
  },
});

/** What is wrong with a target, as EventBridge says it. */
function complaint(target: Target): string | undefined {
  const given = [target.Input, target.InputPath, target.InputTransformer].filter((value) => value !== undefined);
  if (given.length > 1) return `Only one of Input, InputPath, or InputTransformer must be provided for target ${target.Id}.`;
  const kind = targetKind(target.Arn);
  if (!kind) return `Provided Arn is not in correct format, or Penstock cannot deliver to ${target.Arn} yet.`;
  if (kind.needsRole && !target.RoleArn) return `RoleArn is required for target ${target.Arn}.`;
  const dead = target.DeadLetterConfig?.Arn;
  if (dead !== undefined && (!QUEUE_ARN.test(dead) || dead.endsWith('.fifo'))) {
    return `Parameter DeadLetterConfig.Arn of target ${target.Id} is not valid. Reason: it must be the ARN of a standard queue.`;
  }
  if (target.Arn.endsWith('.fifo') && !target.SqsParameters?.MessageGroupId) {
    return `Parameter(s) SqsParameters.MessageGroupId must be specified for target: ${target.Id}.`;
  }
  if (target.Input !== undefined && !isJson(target.Input)) return `JSON syntax error in input for target ${target.Id}.`;
  const paths = Object.values(target.InputTransformer?.InputPathsMap ?? {});
  if (paths.length > MAX_PATHS) return `InputPathsMap has more than ${MAX_PATHS} entries for target ${target.Id}.`;
  const reserved = Object.keys(target.InputTransformer?.InputPathsMap ?? {}).find((name) => /^aws\./i.test(name));
  if (reserved) return `InputPathsMap key ${reserved} is reserved for target ${target.Id}.`;
  try {
    for (const path of [target.InputPath, ...paths]) if (path !== undefined) parsePath(path);
  } catch (error) {
    if (error instanceof InputError) return `Invalid InputPath for target ${target.Id}. ${error.message}`;
    throw error;
  }
  return undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export const removeTargets = operation('events', 'RemoveTargets', {
  authorize: ofRule,
  async handle(ctx, input) {
    const rule = await findRule(ctx, { Name: input.Rule, EventBusName: input.EventBusName });
    const key = { account: ctx.account, region: ctx.region, bus: rule.bus, rule: rule.name };
    const removed = await ctx.transaction((tx) =>
      tx.sql
        .deleteFrom('events.targets')
        .where((eb) => eb.and(key))
        .where('id', 'in', input.Ids)
        .returning('id')
        .execute(),
    );
    const gone = new Set(removed.map(({ id }) => id));
    const failed = input.Ids.filter((id) => !gone.has(id)).map(
      (id): ShapeOf<'events', 'RemoveTargetsResultEntry'> => ({
        TargetId: id,
        ErrorCode: 'ResourceNotFoundException',
        ErrorMessage: `Rule ${rule.name} does not have target ${id}.`,
      }),
    );
    return { FailedEntryCount: failed.length, FailedEntries: failed };
  },
});

export const listTargetsByRule = operation('events', 'ListTargetsByRule', {
  authorize: ofRule,
  async handle(ctx, { Rule, EventBusName, NextToken, Limit = PAGE }) {
    const rule = await findRule(ctx, { Name: Rule, EventBusName });
    const scope = `events:ListTargetsByRule:${ruleArn(ctx, rule.bus, rule.name)}`;
    const after = NextToken === undefined ? '' : ctx.paging.open<string>(scope, NextToken);
    if (after === undefined) throw ctx.error('ValidationException', 'The token is not valid.');
    const rows = await ctx.read
      .selectFrom('events.targets')
      .select(['id', 'target'])
      .where((eb) => eb.and({ account: ctx.account, region: ctx.region, bus: rule.bus, rule: rule.name }))
      .where('id', '>', after)
      .orderBy('id')
      .limit(Limit + 1)
      .execute();
    const page = rows.slice(0, Limit);
    return {
      Targets: page.map(({ target }) => target),
      NextToken: rows.length > Limit ? ctx.paging.seal(scope, page.at(-1)!.id) : undefined,
    };
  },
});
