/** The functions of metric math. */
import { MathError } from './parse.ts';
import { across, isSeries, mapPoints, type Series, type Value } from './values.ts';

/** Where the expression is computed. */
export interface Span {
  start: number;
  end: number;
}

type MathFunction = (args: Value[], span: Span) => Value;

const total = (values: number[]): number => values.reduce((sum, value) => sum + value, 0);
const deviation = (values: number[]): number => {
  const mean = total(values) / values.length;
  return Math.sqrt(total(values.map((value) => (value - mean) ** 2)) / values.length);
};

/** Of a series the number over all its points; of a list the series over all of it. */
function summary(compute: (values: number[]) => number): MathFunction {
  return ([value]) => {
    if (Array.isArray(value)) return across(value, compute);
    if (typeof value === 'number') return value;
    const values = [...value!.points.values()];
    return values.length === 0 ? Number.NaN : compute(values);
  };
}

function pointwise(compute: (value: number, at: number) => number): MathFunction {
  return ([value]) => {
    if (typeof value === 'number') return compute(value, Number.NaN);
    return Array.isArray(value) ? value.map((series) => mapPoints(series, compute)) : mapPoints(value!, compute);
  };
}

/** Of one series or each of a list. */
function each(change: (series: Series) => Series): MathFunction {
  return ([value]) => {
    if (typeof value === 'number') throw new MathError('a time series is expected instead of a number');
    return Array.isArray(value) ? value.map(change) : change(value!);
  };
}

/** Each point and the one before it; the first has none. */
function stepwise(compute: (value: number, before: number, seconds: number) => number): MathFunction {
  return each((series) => {
    let last: [number, number] | undefined;
    return mapPoints(series, (value, at) => {
      const before = last;
      last = [at, value];
      return before && compute(value, before[1], at - before[0]);
    });
  });
}

/** A part of the date of each point. */
function calendar(part: (date: Date) => number): MathFunction {
  return each((series) => mapPoints(series, (_, at) => part(new Date(at * 1000))));
}

function single(value: Value | undefined): Series {
  if (value === undefined || !isSeries(value)) throw new MathError('a time series is expected');
  return value;
}

function listOf(value: Value | undefined): Series[] {
  if (!Array.isArray(value)) throw new MathError('a list of time series is expected');
  return value;
}

function numberOf(value: Value | undefined): number {
  if (typeof value !== 'number') throw new MathError('a number is expected');
  return value;
}

function runningSum(series: Series): Series {
  let sum = 0;
  return mapPoints(series, (value) => {
    sum += value;
    return sum;
  });
}

/** The second where the first is not zero, else the third, or nothing. */
function choose([condition, yes, no]: Value[]): Value {
  if (typeof condition === 'number') {
    if (condition !== 0) return yes!;
    if (no === undefined) throw new MathError('IF with a number as condition needs what holds otherwise');
    return no;
  }
  const at = (value: Value | undefined, time: number): number | undefined => {
    if (value === undefined || typeof value === 'number') return value;
    return single(value).points.get(time);
  };
  return mapPoints(single(condition), (value, time) => at(value === 0 ? no : yes, time));
}

function slice([list, from, to]: Value[]): Value {
  const items = listOf(list).slice(numberOf(from), to === undefined ? undefined : numberOf(to));
  return items.length === 1 ? items[0]! : items;
}

function timeSeries([value]: Value[], { start, end }: Span): Value {
  const number = numberOf(value);
  const points = new Map<number, number>();
  for (let at = start; at < end; at += 60) points.set(at, number);
  return { id: '', label: '', period: 60, points };
}

/** By name, with the least and largest number of arguments. */
export const FUNCTIONS: Record<string, { least: number; most: number; compute: MathFunction }> = Object.fromEntries(
  Object.entries<[number, number, MathFunction]>({
    ABS: [1, 1, pointwise(Math.abs)],
    AVG: [1, 1, summary((values) => total(values) / values.length)],
    CEIL: [1, 1, pointwise(Math.ceil)],
    DATAPOINT_COUNT: [1, 1, summary((values) => values.length)],
    DATE: [1, 1, calendar((date) => date.getUTCDate())],
    DAY: [1, 1, calendar((date) => date.getUTCDay() || 7)],
    DIFF: [1, 1, stepwise((value, before) => value - before)],
    DIFF_TIME: [1, 1, stepwise((_value, _before, seconds) => seconds)],
    EPOCH: [1, 1, calendar((date) => date.getTime() / 1000)],
    FIRST: [1, 1, ([list]) => listOf(list)[0] ?? across([], total)],
    FLOOR: [1, 1, pointwise(Math.floor)],
    HOUR: [1, 1, calendar((date) => date.getUTCHours())],
    IF: [2, 3, choose],
    LAST: [1, 1, ([list]) => listOf(list).at(-1) ?? across([], total)],
    LOG: [1, 1, pointwise(Math.log)],
    LOG10: [1, 1, pointwise(Math.log10)],
    MAX: [1, 1, summary((values) => Math.max(...values))],
    METRIC_COUNT: [1, 1, ([list]) => listOf(list).length],
    MIN: [1, 1, summary((values) => Math.min(...values))],
    MINUTE: [1, 1, calendar((date) => date.getUTCMinutes())],
    MONTH: [1, 1, calendar((date) => date.getUTCMonth() + 1)],
    PERIOD: [1, 1, ([series]) => single(series).period],
    RATE: [1, 1, stepwise((value, before, seconds) => (value - before) / seconds)],
    RUNNING_SUM: [1, 1, each(runningSum)],
    SLICE: [2, 3, slice],
    STDDEV: [1, 1, summary(deviation)],
    SUM: [1, 1, summary(total)],
    TIME_SERIES: [1, 1, timeSeries],
    YEAR: [1, 1, calendar((date) => date.getUTCFullYear())],
  }).map(([name, [least, most, compute]]) => [name, { least, most, compute }]),
);

export type Filler = number | 'REPEAT' | 'LINEAR';

/** FILL: a value where the series has none, over the whole span. */
export function fill(value: Value, filler: Filler | Series, { start, end }: Span): Value {
  if (Array.isArray(value)) return value.map((series) => fill(series, filler, { start, end }) as Series);
  const series = single(value);
  const known = [...series.points];
  const points = new Map<number, number>();
  let next = 0;
  for (let at = start; at < end; at += series.period) {
    while (next < known.length && known[next]![0] <= at) next += 1;
    const before = known[next - 1];
    const found = before?.[0] === at ? before[1] : filled(at, filler, before, known[next]);
    if (found !== undefined) points.set(at, found);
  }
  return { ...series, points };
}

function filled(
  at: number,
  filler: Filler | Series,
  before: [number, number] | undefined,
  after: [number, number] | undefined,
): number | undefined {
  if (typeof filler === 'number') return filler;
  if (typeof filler === 'object') return filler.points.get(at);
  if (filler === 'REPEAT') return before?.[1];
  if (!before || !after) return undefined;
  return before[1] + ((after[1] - before[1]) * (at - before[0])) / (after[0] - before[0]);
}

const ORDERS: Record<string, (values: number[]) => number> = {
  AVG: (values) => total(values) / values.length,
  MAX: (values) => Math.max(...values),
  MIN: (values) => Math.min(...values),
  SUM: total,
  STDDEV: deviation,
};

/** SORT: the series by one of their numbers, at most so many. */
export function sorted(value: Value, by: string, direction: string, limit: number | undefined): Value {
  const order = ORDERS[by];
  if (!order || (direction !== 'ASC' && direction !== 'DESC'))
    throw new MathError('SORT takes AVG, MAX, MIN, SUM or STDDEV, and ASC or DESC');
  const keyed = listOf(value).map((series) => ({ series, key: order([...series.points.values()]) }));
  keyed.sort((a, b) => (direction === 'ASC' ? a.key - b.key : b.key - a.key));
  return keyed.slice(0, limit).map(({ series }) => series);
}
