/** GetMetricData: many metrics and expressions over them in one call, page by page. */
import { createHash } from 'node:crypto';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { invalid } from './errors.ts';
import { labelOf } from './labels.ts';
import { isSeries, type Series } from './math/values.ts';
import { type Answer, answerQueries, isMetric, parseQueries } from './metric-queries.ts';

type Result = ShapeOf<'cloudwatch', 'MetricDataResult'>;

const MAX_DATAPOINTS = 100_800;

/** How many series are through, and how many points of the next. */
interface Position {
  series: number;
  points: number;
}

interface Named {
  id: string;
  label: string;
  series: Series;
}

export const getMetricData = operation('cloudwatch', 'GetMetricData', {
  authorize: () => '*',
  partial: 'no SEARCH, no anomaly detection, no Metrics Insights queries, no linked accounts',
  async handle(ctx, input) {
    const { MetricDataQueries, StartTime, EndTime, NextToken, ScanBy, MaxDatapoints = MAX_DATAPOINTS, LabelOptions } = input;
    if (StartTime >= EndTime) throw invalid('The parameter StartTime must be less than the parameter EndTime.');
    if (MaxDatapoints < 1 || MaxDatapoints > MAX_DATAPOINTS) {
      throw invalid(`The parameter MaxDatapoints must be between 1 and ${MAX_DATAPOINTS}.`);
    }
    const timezone = LabelOptions?.Timezone;
    if (timezone !== undefined && !/^[+-]\d{4}$/.test(timezone)) throw invalid('The parameter LabelOptions.Timezone must be as in +0130.');
    const queries = parseQueries(ctx.account, MetricDataQueries);
    if (!queries.some(({ returned }) => returned)) throw invalid('At least one of the queries must have ReturnData true.');
    refuseTooMuch(queries.filter(isMetric), StartTime, EndTime);
    const scope = scopeOf(ctx, input);
    const from = NextToken === undefined ? { series: 0, points: 0 } : ctx.paging.open<Position>(scope, NextToken);
    if (!from) throw ctx.error('InvalidNextToken', 'The specified nextToken is invalid.');
    const answers = await answerQueries(ctx.read, { ...ctx, now: ctx.now() }, queries, { start: StartTime, end: EndTime });
    const all = answers.filter(({ query }) => query.returned).flatMap((answer) => named(answer, timezone));
    const { results, next } = page(all, from, MaxDatapoints, ScanBy === 'TimestampAscending');
    return { MetricDataResults: results, Messages: [], NextToken: next && ctx.paging.seal(scope, next) };
  },
});

/** A token belongs to the very same questions. */
function scopeOf(ctx: RequestContext, input: object): string {
  const digest = createHash('sha256').update(JSON.stringify({ ...input, NextToken: undefined, MaxDatapoints: undefined }));
  return `cloudwatch:GetMetricData:${ctx.account}:${ctx.region}:${digest.digest('base64url')}`;
}

/** What would be gone through for one answer; AWS stops at the same number of points that it answers with. */
function refuseTooMuch(queries: { period: number }[], start: Date, end: Date): void {
  const seconds = (end.getTime() - start.getTime()) / 1000;
  const points = queries.reduce((sum, { period }) => sum + Math.min(seconds / period, MAX_DATAPOINTS), 0);
  if (points > MAX_DATAPOINTS * 10) throw invalid('The request is for too many datapoints: increase Period, or decrease the time range.');
}

function named({ query, value }: Answer, timezone: string | undefined): Named[] {
  if (typeof value === 'number') {
    throw invalid(`Error in expression '${query.id}': the result is a number; only time series can be returned.`);
  }
  const list = isSeries(value) ? [value] : value;
  return list.map((series) => ({
    id: query.id,
    label: isSeries(value) ? labelOf(query, series, timezone) : `${query.label ?? query.id} ${series.label}`.trim(),
    series,
  }));
}

function page(all: Named[], from: Position, limit: number, ascending: boolean): { results: Result[]; next: Position | undefined } {
  const results: Result[] = [];
  let room = limit;
  for (let index = from.series; index < all.length; index += 1) {
    const { id, label, series } = all[index]!;
    const ordered = ascending ? [...series.points] : [...series.points].reverse();
    const skipped = index === from.series ? from.points : 0;
    const points = ordered.slice(skipped, skipped + room);
    const complete = skipped + points.length === ordered.length;
    results.push({
      Id: id,
      Label: label,
      Timestamps: points.map(([at]) => new Date(at * 1000)),
      Values: points.map(([, value]) => value),
      StatusCode: complete ? 'Complete' : 'PartialData',
    });
    room -= points.length;
    if (!complete) return { results, next: { series: index, points: skipped + points.length } };
    if (room === 0 && index + 1 < all.length) return { results, next: { series: index + 1, points: 0 } };
  }
  return { results, next: undefined };
}
