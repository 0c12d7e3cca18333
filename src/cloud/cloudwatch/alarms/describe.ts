/** DescribeAlarms and DescribeAlarmsForMetric. */
import { sql } from 'kysely';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { invalid } from '../errors.ts';
import { metricId, metricOf } from '../metric.ts';
import type { Alarm, MetricDefinition } from '../tables.ts';
import { alarmArn, nameInArn, onAlarms, toCompositeAlarm, toMetricAlarm } from './alarm.ts';

const PAGE = 50;

export const describeAlarms = operation('cloudwatch', 'DescribeAlarms', {
  authorize: ({ AlarmNames }, ctx) => (AlarmNames?.length ? onAlarms(ctx, AlarmNames) : alarmArn(ctx, '*')),
  partial: 'there are no log alarms',
  async handle(ctx, input) {
    const { AlarmNames, AlarmNamePrefix, ChildrenOfAlarmName, ParentsOfAlarmName, MaxRecords = PAGE, NextToken, ...filters } = input;
    if (AlarmNames?.length && AlarmNamePrefix !== undefined) throw invalid('AlarmNamePrefix and AlarmNames cannot both be specified.');
    const family = ChildrenOfAlarmName ?? ParentsOfAlarmName;
    const alone = [AlarmNames, AlarmNamePrefix, filters.AlarmTypes, filters.StateValue, filters.ActionPrefix].every(
      (item) => item === undefined,
    );
    if (family !== undefined && (!alone || (ChildrenOfAlarmName !== undefined && ParentsOfAlarmName !== undefined))) {
      throw invalid('ChildrenOfAlarmName and ParentsOfAlarmName can be combined with MaxRecords and NextToken only.');
    }
    const scope = `cloudwatch:DescribeAlarms:${ctx.account}:${ctx.region}`;
    const after = NextToken === undefined ? undefined : ctx.paging.open<string>(scope, NextToken);
    if (NextToken !== undefined && after === undefined) throw ctx.error('InvalidNextToken', 'The specified nextToken is invalid.');
    if ([AlarmNamePrefix, filters.ActionPrefix, family, ...(AlarmNames ?? [])].some((text) => text?.includes('\0')))
      return { MetricAlarms: [] };

    const types = family === undefined ? (filters.AlarmTypes ?? ['MetricAlarm']) : ['MetricAlarm', 'CompositeAlarm'];
    let query = alarmsHere(ctx).where('type', 'in', types as Alarm['type'][]);
    if (AlarmNames?.length) query = query.where('name', 'in', AlarmNames);
    if (AlarmNamePrefix !== undefined) query = query.where(sql<boolean>`starts_with(name, ${AlarmNamePrefix})`);
    if (filters.StateValue !== undefined) query = query.where('state', '=', filters.StateValue);
    if (filters.ActionPrefix !== undefined) query = query.where(hasAction(filters.ActionPrefix));
    if (family !== undefined)
      query = query.where('id', 'in', relatives(ctx, nameInArn(ctx, family) ?? family, ChildrenOfAlarmName !== undefined));
    if (after !== undefined) query = query.where('name', '>', after);
    const rows = await query
      .orderBy('name')
      .limit(MaxRecords + 1)
      .execute();
    const page = rows.slice(0, MaxRecords);
    return {
      MetricAlarms: page.filter(({ type }) => type === 'MetricAlarm').map(toMetricAlarm),
      CompositeAlarms: page.filter(({ type }) => type === 'CompositeAlarm').map(toCompositeAlarm),
      NextToken: rows.length > MaxRecords ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});

function alarmsHere({ read, account, region }: RequestContext) {
  return read.selectFrom('cloudwatch.alarms').selectAll().where('account', '=', account).where('region', '=', region);
}

function hasAction(prefix: string) {
  const list = (name: string) => sql`coalesce(definition -> ${sql.lit(name)}, '[]')`;
  const all = sql`${list('OKActions')} || ${list('AlarmActions')} || ${list('InsufficientDataActions')}`;
  return sql<boolean>`exists (select 1 from jsonb_array_elements_text(${all}) as action where starts_with(action, ${prefix}))`;
}

/** Ids of the alarms in a composite alarm's rule, or of the composite alarms whose rules name an alarm. */
function relatives(ctx: RequestContext, name: string, children: boolean) {
  const [wanted, given] = children ? (['child', 'parent'] as const) : (['parent', 'child'] as const);
  return ctx.read
    .selectFrom('cloudwatch.children')
    .select(`cloudwatch.children.${wanted} as id`)
    .where(`cloudwatch.children.${given}`, 'in', alarmsHere(ctx).clearSelect().select('id').where('name', '=', name));
}

export const describeAlarmsForMetric = operation('cloudwatch', 'DescribeAlarmsForMetric', {
  authorize: () => '*',
  async handle(ctx, { Namespace, MetricName, Dimensions, Statistic, ExtendedStatistic, Period, Unit }) {
    const metric = metricId(ctx, metricOf(Namespace, MetricName, Dimensions));
    const rows = await alarmsHere(ctx)
      .where('id', 'in', ctx.read.selectFrom('cloudwatch.watched').select('alarm').where('metric', '=', metric))
      .orderBy('name')
      .execute();
    const wanted = { Statistic, ExtendedStatistic, Period, Unit };
    const fits = (definition: MetricDefinition): boolean =>
      definition.Metrics === undefined &&
      Object.entries(wanted).every(([name, value]) => value === undefined || definition[name as keyof MetricDefinition] === value);
    return { MetricAlarms: rows.filter(({ definition }) => fits(definition as MetricDefinition)).map(toMetricAlarm) };
  },
});
