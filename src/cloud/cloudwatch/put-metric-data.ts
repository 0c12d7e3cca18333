/** PutMetricData: values become rows of their second or minute, added to what is there. As on AWS, what is sent twice counts twice. */
import { sql } from 'kysely';
import { gatheredWrite } from '../../platform/database/batch.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type ShapeOf } from '../../platform/service.ts';
import { wakeAlarms } from './alarms/wake.ts';
import { invalidCombination, invalidValue } from './errors.ts';
import { type Metric, metricId, metricOf, type Place } from './metric.ts';
import type { PointsTable } from './tables.ts';

type Datum = ShapeOf<'cloudwatch', 'MetricDatum'>;

const MAX_METRICS = 1_000;
const MAX_VALUES = 150;
const LARGEST = 2 ** 360;
const TWO_WEEKS_S = 14 * 86_400;
const TWO_HOURS_S = 2 * 3_600;
/** So much newer must values be for the metric's row to say so. */
const LAST_AT_SLACK_S = 300;
/** Numbers in a distribution, above which it is made smaller before it is stored. */
const LONG_DISTRIBUTION = 1_000;

/** Values of one metric at one time, as they are stored. */
export interface Sample {
  place: Place;
  metric: Metric;
  /** Seconds since 1970. */
  at: number;
  unit: string;
  resolution: 1 | 60;
  count: number;
  sum: number;
  min: number;
  max: number;
  distribution: number[] | null;
}

export const putMetricData = operation('cloudwatch', 'PutMetricData', {
  authorize: ({ Namespace }) => ({ resource: '*', conditions: { 'cloudwatch:namespace': Namespace } }),
  partial: 'entities are accepted and not kept',
  async handle(ctx, { Namespace, MetricData = [], EntityMetricData = [] }) {
    const data = [...MetricData, ...EntityMetricData.flatMap(({ MetricData: own = [] }) => own)];
    if (data.length === 0) throw ctx.error('MissingParameter', 'The parameter MetricData is required.');
    if (data.length > MAX_METRICS) throw invalidValue(`The collection MetricData must not have a size greater than ${MAX_METRICS}.`);
    // AWS's own metrics are its services' affair.
    if (/^AWS\//i.test(Namespace) && ctx.principal.type !== 'Service') {
      throw invalidValue(`The value ${Namespace} for parameter Namespace is invalid.`);
    }
    const now = Math.floor(ctx.now().getTime() / 1000);
    const place = { account: ctx.account, region: ctx.region };
    const samples = data.map((datum, index) => sampleOf(place, Namespace, datum, `MetricData.member.${index + 1}`, now));
    await storeWithOthers(ctx, { samples, now });
    return {};
  },
});

const storeWithOthers = gatheredWrite((tx, items: { samples: Sample[]; now: number }[]) =>
  store(
    tx,
    items.flatMap(({ samples }) => samples),
    items[0]!.now,
  ),
);

function sampleOf(place: Place, namespace: string, datum: Datum, path: string, now: number): Sample {
  const { Unit: unit = 'None', StorageResolution: resolution = 60, Timestamp: timestamp } = datum;
  const metric = metricOf(namespace, datum.MetricName, datum.Dimensions, `${path}.Dimensions`);
  if (resolution !== 1 && resolution !== 60) throw invalidValue(`The parameter ${path}.StorageResolution must be 1 or 60.`);
  const at = timestamp ? Math.floor(timestamp.getTime() / 1000) : now;
  if (at < now - TWO_WEEKS_S) throw invalidValue(`The parameter ${path}.Timestamp must specify a time within the past two weeks.`);
  if (at > now + TWO_HOURS_S) {
    throw invalidValue(`The parameter ${path}.Timestamp must specify a time no more than two hours in the future.`);
  }
  return { place, metric, at: at - (at % resolution), unit, resolution, ...valuesOf(datum, path) };
}

type Values = Pick<Sample, 'count' | 'sum' | 'min' | 'max' | 'distribution'>;

function valuesOf(datum: Datum, path: string): Values {
  const { Value: value, Values: values, Counts: counts, StatisticValues: statistics } = datum;
  const given = Object.entries({ Value: value, Values: values, StatisticValues: statistics }).filter(([, item]) => item !== undefined);
  if (given.length > 1) {
    const [one, other] = given.map(([name]) => `${path}.${name}`);
    throw invalidCombination(`The parameters ${one} and ${other} are mutually exclusive and you have specified both.`);
  }
  if (statistics) return ofStatistics(statistics, `${path}.StatisticValues`);
  if (value !== undefined) return ofValues([value], [1], `${path}.Value`);
  if (!values)
    throw invalidCombination(`One of the parameters ${path}.Value, ${path}.Values and ${path}.StatisticValues must be specified.`);
  if (values.length === 0 || values.length > MAX_VALUES) {
    throw invalidValue(`The collection ${path}.Values must have a size between 1 and ${MAX_VALUES}.`);
  }
  if (counts && counts.length !== values.length) {
    throw invalidValue(`The parameters ${path}.Values and ${path}.Counts must be of the same size.`);
  }
  return ofValues(values, counts ?? values.map(() => 1), `${path}.Values`);
}

function ofValues(values: number[], counts: number[], path: string): Values {
  for (const value of values) checkNumber(value, path);
  for (const count of counts) {
    if (!(count >= 0 && count <= LARGEST))
      throw invalidValue(`The value ${count} for parameter ${path.replace(/Values$/, 'Counts')} is invalid.`);
  }
  const used = values.flatMap((value, index) => (counts[index]! > 0 ? [{ value, count: counts[index]! }] : []));
  if (used.length === 0) throw invalidValue(`The parameter ${path.replace(/Values$/, 'Counts')} must have a count above 0.`);
  const min = Math.min(...used.map(({ value }) => value));
  return {
    count: used.reduce((sum, { count }) => sum + count, 0),
    sum: used.reduce((sum, { value, count }) => sum + value * count, 0),
    min,
    max: Math.max(...used.map(({ value }) => value)),
    distribution: min < 0 ? null : used.flatMap(({ value, count }) => [value, count]),
  };
}

function ofStatistics(statistics: ShapeOf<'cloudwatch', 'StatisticSet'>, path: string): Values {
  const { SampleCount: count, Sum: sum, Minimum: min, Maximum: max } = statistics;
  for (const [name, value] of Object.entries(statistics)) checkNumber(value, `${path}.${name}`);
  if (count <= 0) throw invalidValue(`The value ${count} for parameter ${path}.SampleCount is invalid.`);
  if (min > max) throw invalidCombination(`The parameter ${path}.Minimum must be less than or equal to ${path}.Maximum.`);
  // Which values there were is known only when they were all the same (API reference).
  return { count, sum, min, max, distribution: min === max && min >= 0 ? [min, count] : null };
}

function checkNumber(value: number, path: string): void {
  if (!(Math.abs(value) <= LARGEST)) throw invalidValue(`The value ${value} for parameter ${path} is invalid.`);
}

/** Adds samples to what is there. Rows are taken in the order of their keys, so that writers of the same ones wait and none deadlocks. `now`: seconds. */
export async function store(tx: Transaction, samples: Sample[], now: number): Promise<void> {
  const metrics = new Map<string, Metric & Place & { id: string; last_at: number }>();
  const points = new Map<string, PointsTable>();
  for (const { place, metric, ...sample } of samples) {
    const id = metricId(place, metric);
    metrics.set(id, { id, ...place, ...metric, last_at: Math.max(sample.at, metrics.get(id)?.last_at ?? 0) });
    const key = `${id} ${String(sample.at).padStart(12, '0')} ${sample.unit} ${sample.resolution}`;
    const known = points.get(key);
    // A copy: if the transaction is run again, nothing may have been added yet.
    points.set(
      key,
      known ? added(known, sample) : { metric: id, ...sample, distribution: sample.distribution && [...sample.distribution] },
    );
  }
  const inOrder = <T>(map: Map<string, T>): string =>
    JSON.stringify([...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row));
  await sql`insert into cloudwatch.metrics as known (id, account, region, namespace, name, dimensions, last_at)
    select id, account, region, namespace, name, dimensions, last_at
    from json_to_recordset(${inOrder(metrics)}::json) as new(id uuid, account text, region text, namespace text, name text, dimensions jsonb, last_at bigint)
    on conflict (id) do update set last_at = excluded.last_at where excluded.last_at > known.last_at + ${LAST_AT_SLACK_S}`.execute(tx.sql);
  await sql`insert into cloudwatch.points as known (metric, at, unit, resolution, count, sum, min, max, distribution)
    select metric, at, unit, resolution, count, sum, min, max,
      case when cardinality(distribution) > ${LONG_DISTRIBUTION} then cloudwatch.merged(distribution, '{}') else distribution end
    from json_to_recordset(${inOrder(points)}::json) as new(metric uuid, at bigint, unit text, resolution integer, count double precision,
      sum double precision, min double precision, max double precision, distribution double precision[])
    on conflict (metric, at, unit, resolution) do update set
      count = known.count + excluded.count, sum = known.sum + excluded.sum,
      min = least(known.min, excluded.min), max = greatest(known.max, excluded.max),
      distribution = cloudwatch.appended(known.distribution, excluded.distribution)`.execute(tx.sql);
  const late = [...points.values()].filter(({ at }) => at < now - (now % 60)).map(({ metric }) => metric);
  await wakeAlarms(tx, [...metrics.keys()], [...new Set(late)]);
}

function added(known: PointsTable, more: Omit<Sample, 'metric' | 'place'>): PointsTable {
  known.count += more.count;
  known.sum += more.sum;
  known.min = Math.min(known.min, more.min);
  known.max = Math.max(known.max, more.max);
  if (known.distribution && more.distribution) known.distribution.push(...more.distribution);
  else known.distribution = null;
  return known;
}
