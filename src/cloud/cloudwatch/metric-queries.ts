/** The queries of GetMetricData and of alarms: each a metric's statistic, or an expression over the others. */
import type { Reader } from '../../platform/platform.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { periodProblem, readBuckets, roundedStart } from './buckets.ts';
import { invalid, notThere } from './errors.ts';
import { checkFunctions, evaluate, type Scope } from './math/evaluate.ts';
import { type Expression, MathError, namesIn, parseExpression } from './math/parse.ts';
import type { Series, Value } from './math/values.ts';
import { type Metric, metricId, metricOf, type Place } from './metric.ts';
import { type Statistic, statisticOf } from './statistics.ts';

type WireQuery = ShapeOf<'cloudwatch', 'MetricDataQuery'>;

interface Common {
  id: string;
  label: string | undefined;
  returned: boolean;
}

export interface MetricQuery extends Common {
  metric: Metric;
  stat: string;
  statistic: Statistic;
  period: number;
  unit: string | undefined;
}

export interface ExpressionQuery extends Common {
  expression: Expression;
}

export type Query = MetricQuery | ExpressionQuery;

const MAX_QUERIES = 500;

export function isMetric(query: Query): query is MetricQuery {
  return 'metric' in query;
}

/** Checked queries; throws ValidationError with the place of what is wrong. */
export function parseQueries(account: string, queries: WireQuery[], path = 'MetricDataQueries'): Query[] {
  if (queries.length > MAX_QUERIES) throw invalid(`The collection ${path} must not have a size greater than ${MAX_QUERIES}.`);
  const parsed = queries.map((query, index) => parseQuery(account, query, `${path}.member.${index + 1}`));
  const ids = new Set(parsed.map(({ id }) => id));
  if (ids.size < parsed.length) throw invalid(`The values for parameter id in ${path} are not unique.`);
  for (const [index, query] of parsed.entries()) {
    if (isMetric(query)) continue;
    const unknown = namesIn(query.expression).find((name) => !ids.has(name) && !/^[A-Z]+$/.test(name));
    if (unknown !== undefined)
      throw invalid(`Error in expression '${query.id}': Undefined variable ${unknown} in ${path}.member.${index + 1}`);
  }
  refuseCircles(parsed);
  return parsed;
}

function parseQuery(account: string, query: WireQuery, path: string): Query {
  const { Id: id, MetricStat: stat, Expression: text, Label: label, ReturnData: returned = true, AccountId } = query;
  if (!/^[a-z]\w*$/.test(id)) {
    throw invalid(`The value ${id} for parameter ${path}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.`);
  }
  if ((stat === undefined) === (text === undefined))
    throw invalid(`Exactly one of ${path}.MetricStat and ${path}.Expression must be given.`);
  if (AccountId !== undefined && AccountId !== account) throw notThere('metrics of linked accounts');
  if (text !== undefined) return { id, label, returned, expression: parsed(id, text) };
  const { Metric: metric = {}, Period: period, Stat, Unit: unit } = stat!;
  const { Namespace: namespace, MetricName: name, Dimensions: dimensions } = metric;
  if (namespace === undefined || name === undefined) throw invalid(`${path}.MetricStat.Metric must have a Namespace and a MetricName.`);
  const problem = periodProblem(period);
  if (problem !== undefined) throw invalid(problem);
  const statistic = statisticOf(Stat);
  if (!statistic) throw invalid(`The value ${Stat} for parameter ${path}.MetricStat.Stat is not supported.`);
  const at = `${path}.MetricStat.Metric.Dimensions`;
  return { id, label, returned, metric: metricOf(namespace, name, dimensions, at), stat: Stat, statistic, period, unit };
}

function parsed(id: string, text: string): Expression {
  if (/^\s*SELECT\s/i.test(text)) throw notThere('Metrics Insights queries');
  try {
    const expression = parseExpression(text);
    checkFunctions(expression);
    return expression;
  } catch (error) {
    throw asInvalid(id, error);
  }
}

function asInvalid(id: string, error: unknown): unknown {
  return error instanceof MathError ? invalid(`Error in expression '${id}': ${error.message}`) : error;
}

function refuseCircles(queries: Query[]): void {
  const byId = new Map(queries.map((query) => [query.id, query]));
  const done = new Set<string>();
  const visit = (id: string, above: string[]): void => {
    if (above.includes(id)) throw invalid(`Error in expression '${id}': it depends on itself`);
    const query = byId.get(id);
    if (!query || isMetric(query) || done.has(id)) return;
    for (const name of namesIn(query.expression)) visit(name, [...above, id]);
    done.add(id);
  };
  for (const { id } of queries) visit(id, []);
}

export interface Answer {
  query: Query;
  value: Value;
}

/** Values of all queries between two times. */
export async function answerQueries(
  read: Reader,
  where: Place & { now: Date },
  queries: Query[],
  range: { start: Date; end: Date },
): Promise<Answer[]> {
  const end = Math.ceil(range.end.getTime() / 1000);
  const metrics = new Map<string, Series>();
  for (const query of queries) {
    if (isMetric(query)) metrics.set(query.id, await readSeries(read, where, query, range.start, end));
  }
  const known = new Map<string, Value>(metrics);
  const byId = new Map(queries.map((query) => [query.id, query]));
  const find = (id: string): Value => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const query = byId.get(id);
    if (!query || isMetric(query)) throw new MathError(`there is nothing named ${id}`);
    const value = evaluate(query.expression, scopeOf(query));
    known.set(id, value);
    return value;
  };
  /** FILL and TIME_SERIES begin where the metrics beside them do. */
  const scopeOf = ({ expression }: ExpressionQuery): Scope => {
    const periods = periodsUnder(expression, byId);
    const periodOf = periods.length > 0 ? periods : [...metrics.values()].map(({ period }) => period);
    return {
      span: { start: roundedStart(range.start, Math.max(60, ...periodOf), where.now), end },
      value: find,
      metrics: [...metrics.values()],
    };
  };
  return queries.map((query) => {
    try {
      return { query, value: find(query.id) };
    } catch (error) {
      throw asInvalid(query.id, error);
    }
  });
}

function periodsUnder(expression: Expression, byId: Map<string, Query>): number[] {
  return namesIn(expression).flatMap((name) => {
    const query = byId.get(name);
    if (!query) return [];
    return isMetric(query) ? query.period : periodsUnder(query.expression, byId);
  });
}

async function readSeries(read: Reader, where: Place & { now: Date }, query: MetricQuery, from: Date, end: number): Promise<Series> {
  const { id, metric, period, statistic, unit, label } = query;
  const start = roundedStart(from, period, where.now);
  const range = { start, end, period };
  const buckets = await readBuckets(read, {
    ...range,
    metric: metricId(where, metric),
    unit,
    byUnit: false,
    distribution: statistic.needsDistribution,
    now: where.now,
  });
  const points = new Map<number, number>();
  for (const bucket of buckets) {
    const value = statistic.of(bucket);
    if (value !== undefined) points.set(bucket.at, value);
  }
  return { id, label: label ?? metric.name, period, points };
}
