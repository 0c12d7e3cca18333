/** Labels of results, with what they show of the values: `${MAX}`, `${LAST_TIME}`, `${PROP('Dim.ProjectName')}` (user guide, "Using dynamic labels"). */
import type { Series } from './math/values.ts';
import { isMetric, type Query } from './metric-queries.ts';

const MAX_DYNAMIC = 6;

type Points = [at: number, value: number][];

const VALUES: Record<string, (points: Points) => [number, number] | undefined> = {
  FIRST: (points) => points[0],
  LAST: (points) => points.at(-1),
  MAX: (points) => points.reduce<Points[0] | undefined>((best, point) => (!best || point[1] > best[1] ? point : best), undefined),
  MIN: (points) => points.reduce<Points[0] | undefined>((best, point) => (!best || point[1] < best[1] ? point : best), undefined),
};

const NUMBERS: Record<string, (points: Points) => number | undefined> = {
  SUM: (points) => points.reduce((sum, [, value]) => sum + value, 0),
  AVG: (points) => (points.length === 0 ? undefined : points.reduce((sum, [, value]) => sum + value, 0) / points.length),
  DATAPOINT_COUNT: (points) => points.length,
};

/** The label of one series. `timezone` is as in LabelOptions: `+0130`. */
export function labelOf(query: Query, series: Series, timezone: string | undefined): string {
  const label = query.label ?? (isMetric(query) ? query.metric.name : query.id);
  let shown = 0;
  return label.replace(/\$\{([A-Z_]+)(?:\('([^']{1,300})'\))?\}/g, (whole, name: string, argument?: string) => {
    shown += 1;
    return shown > MAX_DYNAMIC ? whole : (dynamic(name, argument, query, series, timezone) ?? whole);
  });
}

function dynamic(name: string, argument: string | undefined, query: Query, series: Series, timezone?: string): string | undefined {
  if (name === 'PROP') return argument === undefined ? undefined : property(argument, query);
  const points: Points = [...series.points];
  if (name === 'LABEL') return isMetric(query) ? query.metric.name : query.id;
  const time = name.endsWith('_TIME') ? VALUES[name.slice(0, -'_TIME'.length)] : undefined;
  if (time) return moment(time(points)?.[0], timezone);
  const value = VALUES[name]?.(points)?.[1] ?? NUMBERS[name]?.(points);
  if (value === undefined) return name in VALUES || name in NUMBERS ? '--' : undefined;
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

function property(name: string, query: Query): string | undefined {
  if (!isMetric(query)) return undefined;
  const { metric, stat, period } = query;
  if (name.startsWith('Dim.')) return metric.dimensions.find(({ Name }) => Name === name.slice('Dim.'.length))?.Value ?? '';
  return { Namespace: metric.namespace, MetricName: metric.name, Stat: stat, Period: String(period) }[name];
}

function moment(at: number | undefined, timezone = '+0000'): string {
  if (at === undefined) return '--';
  const [, sign, hours, minutes] = /^([+-])(\d\d)(\d\d)$/.exec(timezone)!;
  const shift = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60 : 60);
  return new Date((at + shift) * 1000).toISOString().replace('T', ' ').slice(0, 19);
}
