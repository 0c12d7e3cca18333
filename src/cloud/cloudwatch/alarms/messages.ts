/** What is told of an alarm: to the event bus, to topics, in its history (user guide, "Alarm events and EventBridge"). */
import { createHash } from 'node:crypto';
import type { AwsEvent } from '../../../platform/platform.ts';
import type { ShapeOf } from '../../../platform/service.ts';
import type { Alarm, CompositeDefinition, MetricDefinition, StateValue } from '../tables.ts';
import { alarmArn, isMetricAlarm } from './alarm.ts';

export interface AlarmState {
  value: StateValue;
  reason: string;
  reasonData: string | null;
  at: Date;
}

export function stateOf(alarm: Alarm): AlarmState {
  return { value: alarm.state, reason: alarm.state_reason, reasonData: alarm.state_reason_data, at: alarm.state_at };
}

/** `2019-10-02T17:04:40.989+0000` */
export function stamp(date: Date): string {
  return date.toISOString().replace('Z', '+0000');
}

function eventState({ value, reason, reasonData, at }: AlarmState) {
  return { value, reason, ...(reasonData !== null && { reasonData }), timestamp: stamp(at) };
}

function configuration(alarm: Alarm): Record<string, unknown> {
  const description = alarm.definition.AlarmDescription;
  const described = description === undefined ? {} : { description };
  if (!isMetricAlarm(alarm)) return { ...described, alarmRule: (alarm.definition as CompositeDefinition).AlarmRule };
  return { ...described, metrics: metricsOf(alarm.definition, alarm.id) };
}

type MetricStat = ShapeOf<'cloudwatch', 'MetricStat'>;

function metricsOf(definition: MetricDefinition, id: string): unknown[] {
  if (definition.Metrics) {
    return definition.Metrics.map(({ Id, MetricStat: stat, Expression, Label, ReturnData = true }) => ({
      id: Id,
      ...(Expression !== undefined && { expression: Expression }),
      ...(Label !== undefined && { label: Label }),
      ...(stat && { metricStat: metricStat(stat) }),
      returnData: ReturnData,
    }));
  }
  const { Namespace, MetricName, Dimensions, Period, Statistic, ExtendedStatistic, Unit } = definition;
  const stat = metricStat({ Metric: { Namespace, MetricName, Dimensions }, Period: Period!, Stat: Statistic ?? ExtendedStatistic!, Unit });
  return [{ id: idOf(id), metricStat: stat, returnData: true }];
}

/** AWS names the only metric by a random id; ours stays the same for an alarm. */
function idOf(alarmId: string): string {
  return createHash('sha256')
    .update(alarmId)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

function metricStat({ Metric: metric = {}, Period: period, Stat: stat, Unit: unit }: MetricStat) {
  const dimensions = Object.fromEntries((metric.Dimensions ?? []).map(({ Name, Value }) => [Name, Value]));
  return {
    metric: { namespace: metric.Namespace, name: metric.MetricName, dimensions },
    period,
    stat,
    ...(unit !== undefined && { unit }),
  };
}

export function stateChangeEvent(alarm: Alarm, before: AlarmState): AwsEvent {
  const state = stateOf(alarm);
  return {
    ...envelope(alarm, 'CloudWatch Alarm State Change', state.at),
    detail: {
      alarmName: alarm.name,
      state: eventState(state),
      previousState: eventState(before),
      configuration: configuration(alarm),
    },
  };
}

export function configurationChangeEvent(
  alarm: Alarm,
  operation: 'create' | 'update' | 'delete',
  before: Alarm | undefined,
  at: Date,
): AwsEvent {
  return {
    ...envelope(alarm, 'CloudWatch Alarm Configuration Change', at),
    detail: {
      alarmName: alarm.name,
      operation,
      state: eventState(stateOf(alarm)),
      configuration: fullConfiguration(alarm),
      ...(before && { previousConfiguration: fullConfiguration(before) }),
    },
  };
}

function fullConfiguration(alarm: Alarm): Record<string, unknown> {
  const { ActionsEnabled = true, OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = alarm.definition;
  const metric = isMetricAlarm(alarm) ? alarm.definition : undefined;
  return {
    ...configuration(alarm),
    alarmName: alarm.name,
    actionsEnabled: ActionsEnabled,
    okActions: OKActions,
    alarmActions: AlarmActions,
    insufficientDataActions: InsufficientDataActions,
    timestamp: stamp(alarm.configured_at),
    ...(metric && {
      evaluationPeriods: metric.EvaluationPeriods,
      datapointsToAlarm: metric.DatapointsToAlarm,
      threshold: metric.Threshold,
      comparisonOperator: metric.ComparisonOperator,
      treatMissingData: metric.TreatMissingData,
    }),
  };
}

function envelope(alarm: Alarm, detailType: string, time: Date): Omit<AwsEvent, 'detail'> {
  const { account, region, name } = alarm;
  return { account, region, source: 'aws.cloudwatch', detailType, resources: [alarmArn(alarm, name)], time };
}

const MAX_SUBJECT = 100;

/** What a topic is told: in the form that mail filters and chat bots have read for years. */
export function notification(alarm: Alarm, before: AlarmState): { subject: string; message: string } {
  const { account, region, name, definition } = alarm;
  const { OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = definition;
  const message = {
    AlarmName: name,
    AlarmDescription: definition.AlarmDescription ?? null,
    AWSAccountId: account,
    AlarmConfigurationUpdatedTimestamp: stamp(alarm.configured_at),
    NewStateValue: alarm.state,
    NewStateReason: alarm.state_reason,
    StateChangeTime: stamp(alarm.state_at),
    Region: region,
    AlarmArn: alarmArn(alarm, name),
    OldStateValue: before.value,
    OKActions,
    AlarmActions,
    InsufficientDataActions,
    ...(isMetricAlarm(alarm) ? { Trigger: trigger(alarm.definition) } : { AlarmRule: (definition as CompositeDefinition).AlarmRule }),
  };
  const subject = `${alarm.state}: "${name}" in ${region}`.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_SUBJECT);
  return { subject, message: JSON.stringify(message) };
}

function trigger(definition: MetricDefinition): Record<string, unknown> {
  const { MetricName, Namespace, Statistic, ExtendedStatistic, Unit, Dimensions = [], Period, Metrics } = definition;
  const own = Metrics
    ? { Metrics }
    : {
        MetricName,
        Namespace,
        StatisticType: Statistic ? 'Statistic' : 'ExtendedStatistic',
        ...(Statistic ? { Statistic: Statistic.toUpperCase() } : { ExtendedStatistic }),
        Unit: Unit ?? null,
        Dimensions: Dimensions.map(({ Name, Value }) => ({ value: Value, name: Name })),
      };
  return {
    ...own,
    ...(Metrics ? {} : { Period }),
    EvaluationPeriods: definition.EvaluationPeriods,
    DatapointsToAlarm: definition.DatapointsToAlarm ?? definition.EvaluationPeriods,
    ComparisonOperator: definition.ComparisonOperator,
    Threshold: definition.Threshold,
    TreatMissingData: definition.TreatMissingData ?? 'missing',
    EvaluateLowSampleCountPercentile: definition.EvaluateLowSampleCountPercentile ?? '',
  };
}
