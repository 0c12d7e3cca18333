/** GetMetricStatistics: statistics of one metric, period by period. */
import { operation, type ShapeOf } from '../../platform/service.ts';
import { periodProblem, readBuckets, roundedStart } from './buckets.ts';
import { invalidCombination, invalidValue } from './errors.ts';
import { metricId, metricOf } from './metric.ts';
import { type Bucket, type Statistic, statisticOf } from './statistics.ts';

type Datapoint = ShapeOf<'cloudwatch', 'Datapoint'>;

const MAX_DATAPOINTS = 1_440;

export const getMetricStatistics = operation('cloudwatch', 'GetMetricStatistics', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { Namespace, MetricName, Dimensions, StartTime, EndTime, Period: period, Statistics, ExtendedStatistics, Unit } = input;
    if ((Statistics === undefined) === (ExtendedStatistics === undefined)) {
      throw invalidCombination('Must specify either Statistics or ExtendedStatistics');
    }
    const problem = periodProblem(period);
    if (problem !== undefined) throw invalidValue(problem);
    if (StartTime >= EndTime) throw invalidCombination('The parameter StartTime must be less than the parameter EndTime.');
    const start = roundedStart(StartTime, period, ctx.now());
    const end = Math.ceil(EndTime.getTime() / 1000);
    const datapoints = Math.ceil((end - start) / period);
    if (datapoints > MAX_DATAPOINTS) {
      throw invalidCombination(
        `You have requested up to ${datapoints} datapoints, which exceeds the limit of ${MAX_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time range.`,
      );
    }
    const statistics = (Statistics ?? ExtendedStatistics!).map((name) => [name, found(name, ExtendedStatistics !== undefined)] as const);
    const metric = metricId(ctx, metricOf(Namespace, MetricName, Dimensions));
    const distribution = ExtendedStatistics !== undefined;
    const buckets = await readBuckets(ctx.read, { metric, start, end, period, unit: Unit, byUnit: true, distribution, now: ctx.now() });
    return { Label: MetricName, Datapoints: buckets.flatMap((bucket) => datapoint(bucket, statistics, distribution)) };
  },
});

function found(name: string, extended: boolean): Statistic {
  const statistic = statisticOf(name);
  if (!statistic || statistic.needsDistribution !== extended)
    throw invalidValue(`The value ${name} for parameter ExtendedStatistics is not supported.`);
  return statistic;
}

function datapoint(bucket: Bucket, statistics: (readonly [string, Statistic])[], extended: boolean): Datapoint[] {
  const values = statistics.flatMap(([name, statistic]) => {
    const value = statistic.of(bucket);
    return value === undefined ? [] : [[name, value] as const];
  });
  if (values.length === 0) return [];
  const named = Object.fromEntries(values);
  return [
    {
      Timestamp: new Date(bucket.at * 1000),
      Unit: bucket.unit as Datapoint['Unit'],
      ...(extended ? { ExtendedStatistics: named } : named),
    },
  ];
}
