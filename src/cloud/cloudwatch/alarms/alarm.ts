/** Alarms as other operations find them, and as answers show them. */
import type { Reader, Transaction } from '../../../platform/platform.ts';
import type { Check, RequestContext, ShapeOf } from '../../../platform/service.ts';
import { invalid } from '../errors.ts';
import type { Place } from '../metric.ts';
import type { Alarm, CompositeDefinition, MetricDefinition } from '../tables.ts';

export const ALARM_KIND = 'cloudwatch.alarm';

export function alarmArn({ account, region }: Place, name: string): string {
  return `arn:aws:cloudwatch:${region}:${account}:alarm:${name}`;
}

/** Undefined for what is no ARN of an alarm in this place. */
export function nameInArn({ account, region }: Place, arn: string): string | undefined {
  const prefix = alarmArn({ account, region }, '');
  return arn.startsWith(prefix) && arn.length > prefix.length ? arn.slice(prefix.length) : undefined;
}

export async function findAlarms(read: Pick<Reader, 'selectFrom'>, { account, region }: Place, names: string[]): Promise<Alarm[]> {
  // PostgreSQL knows no such text, so no alarm has such a name.
  const known = [...new Set(names)].filter((name) => !name.includes('\0'));
  if (known.length === 0) return [];
  return read
    .selectFrom('cloudwatch.alarms')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', 'in', known)
    .orderBy('name')
    .execute();
}

/** The alarm, which nobody else changes until the end of the transaction. */
export function lockAlarm(tx: Transaction, { account, region }: Place, name: string): Promise<Alarm | undefined> {
  return tx.sql
    .selectFrom('cloudwatch.alarms')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
}

/** Asks for the operation on each named alarm. */
export async function onAlarms(ctx: RequestContext, names: string[], more: Partial<Check> = {}): Promise<Check[]> {
  const found = new Map((await findAlarms(ctx.read, ctx, names)).map((alarm) => [alarm.name, alarm]));
  return names.map((name) => ({ resource: alarmArn(ctx, name), resourceTags: found.get(name)?.tags, ...more }));
}

export function isMetricAlarm(alarm: Alarm): alarm is Alarm & { definition: MetricDefinition } {
  return alarm.type === 'MetricAlarm';
}

function shared(alarm: Alarm) {
  return {
    AlarmName: alarm.name,
    AlarmArn: alarmArn(alarm, alarm.name),
    AlarmConfigurationUpdatedTimestamp: alarm.configured_at,
    StateValue: alarm.state,
    StateReason: alarm.state_reason,
    StateReasonData: alarm.state_reason_data ?? undefined,
    StateUpdatedTimestamp: alarm.state_at,
    StateTransitionedTimestamp: alarm.transitioned_at,
  };
}

export function toMetricAlarm(alarm: Alarm): ShapeOf<'cloudwatch', 'MetricAlarm'> {
  const definition = alarm.definition as MetricDefinition;
  return { ...withActions(definition), ...(definition.Metrics ? {} : { Dimensions: definition.Dimensions ?? [] }), ...shared(alarm) };
}

export function toCompositeAlarm(alarm: Alarm): ShapeOf<'cloudwatch', 'CompositeAlarm'> {
  return { ...withActions(alarm.definition as CompositeDefinition), ...shared(alarm) };
}

function withActions<T extends MetricDefinition | CompositeDefinition>(definition: T) {
  const { ActionsEnabled = true, OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = definition;
  return { ...definition, ActionsEnabled, OKActions, AlarmActions, InsufficientDataActions };
}

const MAX_TAGS = 50;

export function tagRecord(tags: { Key: string; Value: string }[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key, Value]));
}

export function checkTags(tags: Record<string, string>): void {
  if (Object.keys(tags).length > MAX_TAGS) throw invalid(`An alarm can have up to ${MAX_TAGS} tags.`);
  for (const [key, value] of Object.entries(tags)) {
    if (/^aws:/i.test(key)) throw invalid('Tag keys that begin with aws: are reserved.');
    if (`${key}${value}`.includes('\0')) throw invalid('A tag holds characters that are not allowed.');
  }
}
