/** PutMetricAlarm and PutCompositeAlarm: a new alarm, or another configuration for one that is there; its state stays. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Transaction } from '../../../platform/platform.ts';
import { type Check, operation, type RequestContext } from '../../../platform/service.ts';
import { invalid } from '../errors.ts';
import type { Alarm, CompositeDefinition, MetricDefinition } from '../tables.ts';
import { checkActions } from './actions.ts';
import { ALARM_KIND, alarmArn, checkTags, lockAlarm, nameInArn, onAlarms, tagRecord } from './alarm.ts';
import { remember } from './history.ts';
import { configurationChangeEvent } from './messages.ts';
import { alarmsIn, checkNumber, parseRule } from './rule.ts';
import { checkDefinition, watchedMetrics } from './watched-metrics.ts';

type Tags = { Key: string; Value: string }[] | undefined;

async function onPut(ctx: RequestContext, name: string, tags: Tags): Promise<Check[]> {
  const requestTags = tags?.length ? tagRecord(tags) : undefined;
  const checks = await onAlarms(ctx, [name], { requestTags });
  return requestTags ? [...checks, { ...checks[0]!, action: 'cloudwatch:TagResource' }] : checks;
}

export const putMetricAlarm = operation('cloudwatch', 'PutMetricAlarm', {
  authorize: ({ AlarmName, Tags }, ctx) => onPut(ctx, AlarmName, Tags),
  partial:
    'actions are SNS topics; no anomaly detection, PromQL, Metrics Insights or SEARCH, warm-up, wall clock windows; EvaluateLowSampleCountPercentile ignore is refused',
  async handle(ctx, { AlarmName, Tags, ...definition }) {
    checkActions(definition, ctx.region);
    checkDefinition(ctx, definition);
    const watched = watchedMetrics(ctx, definition);
    await ctx.transaction(async (tx) => {
      const { id } = await put(tx, ctx, AlarmName, 'MetricAlarm', definition, Tags);
      await tx.sql.deleteFrom('cloudwatch.watched').where('alarm', '=', id).execute();
      await tx.sql
        .insertInto('cloudwatch.watched')
        .values(watched.map((metric) => ({ ...metric, alarm: id })))
        .execute();
      await tx.reconcile(ALARM_KIND, id);
    });
    return {};
  },
});

export const putCompositeAlarm = operation('cloudwatch', 'PutCompositeAlarm', {
  authorize: ({ AlarmName, Tags }, ctx) => onPut(ctx, AlarmName, Tags),
  partial: 'actions are SNS topics; no ActionsSuppressor, no AT_LEAST; rules that go round in a circle are refused',
  async handle(ctx, { AlarmName, Tags, ...definition }) {
    if (definition.ActionsSuppressor !== undefined) throw invalid('Penstock does not have the suppression of actions.');
    checkActions(definition, ctx.region);
    const named = [...new Set(alarmsIn(parseRule(definition.AlarmRule)).map((text) => nameInArn(ctx, text) ?? text))];
    checkNumber(named);
    await ctx.transaction(async (tx) => {
      const children = await lockChildren(tx, ctx, named);
      const { id } = await put(tx, ctx, AlarmName, 'CompositeAlarm', definition, Tags);
      await tx.sql.deleteFrom('cloudwatch.children').where('parent', '=', id).execute();
      if (children.length > 0) {
        await tx.sql
          .insertInto('cloudwatch.children')
          .values(children.map((child) => ({ parent: id, child: child.id })))
          .execute();
      }
      if (await isInCircle(tx, id)) throw invalid(`The rule of ${AlarmName} depends on ${AlarmName} itself.`);
      await tx.reconcile(ALARM_KIND, id);
    });
    return {};
  },
});

/** The alarms of a rule, which nobody deletes until the end of the transaction. */
async function lockChildren(
  tx: Transaction,
  { account, region }: RequestContext,
  names: string[],
): Promise<{ id: string; name: string }[]> {
  const known = names.filter((name) => !name.includes('\0'));
  const children =
    known.length === 0
      ? []
      : await tx.sql
          .selectFrom('cloudwatch.alarms')
          .select(['id', 'name'])
          .where('account', '=', account)
          .where('region', '=', region)
          .where('name', 'in', known)
          .orderBy('name')
          .forKeyShare()
          .execute();
  const missing = names.filter((name) => !children.some((child) => child.name === name));
  if (missing.length === 0) return children;
  throw invalid(`Could not save the composite alarm as alarms [${missing.join(', ')}] in the alarm rule do not exist`);
}

async function put(
  tx: Transaction,
  ctx: RequestContext,
  name: string,
  type: Alarm['type'],
  definition: MetricDefinition | CompositeDefinition,
  tags: Tags,
): Promise<Alarm> {
  checkName(name, definition.AlarmDescription);
  const now = ctx.now();
  const wanted = { definition: JSON.stringify(definition), configured_at: now };
  // Tags of an alarm that is there are changed by TagResource only.
  const created = (await lockAlarm(tx, ctx, name)) ? undefined : await create(tx, ctx, { name, type, ...wanted }, tagRecord(tags), now);
  // If it was not made, somebody else made it meanwhile.
  const before = created ? undefined : await lockAlarm(tx, ctx, name);
  if (before && before.type !== type) throw invalid(`${alarmArn(ctx, name)} is an alarm of another type.`);
  const after =
    created ??
    (await tx.sql.updateTable('cloudwatch.alarms').set(wanted).where('id', '=', before!.id).returningAll().executeTakeFirstOrThrow());
  const operation = before ? 'update' : 'create';
  const summary = `Alarm "${name}" ${operation}d`;
  await remember(tx, after, { at: now, item: 'ConfigurationUpdate', summary }, { type: before ? 'Update' : 'Create' });
  await tx.emit(configurationChangeEvent(after, operation, before, now));
  return after;
}

function create(
  tx: Transaction,
  { account, region }: RequestContext,
  wanted: { name: string; type: Alarm['type']; definition: string; configured_at: Date },
  tags: Record<string, string>,
  now: Date,
): Promise<Alarm | undefined> {
  checkTags(tags);
  const state = {
    state: 'INSUFFICIENT_DATA',
    state_reason: 'Unchecked: Initial alarm creation',
    state_at: now,
    transitioned_at: now,
  } as const;
  return tx.sql
    .insertInto('cloudwatch.alarms')
    .values({ id: randomUUID(), account, region, tags: JSON.stringify(tags), ...state, ...wanted })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
}

function checkName(name: string, description: string | undefined): void {
  if (/[\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed())
    throw invalid('The parameter AlarmName must not have control characters.');
  if (description?.includes('\0')) throw invalid('The parameter AlarmDescription holds characters that are not allowed.');
}

async function isInCircle(tx: Transaction, id: string): Promise<boolean> {
  const { rows } = await sql`with recursive below as (
      select child from cloudwatch.children where parent = ${id}
      union select children.child from cloudwatch.children join below on children.parent = below.child)
    select 1 from below where child = ${id}`.execute(tx.sql);
  return rows.length > 0;
}
