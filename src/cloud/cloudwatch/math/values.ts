/** What expressions compute with: numbers, series of them in time, and lists of series. */
import { MathError } from './parse.ts';

export interface Series {
  /** The query that it comes from, and what it is called in the answer. */
  id: string;
  label: string;
  /** Seconds. */
  period: number;
  /** By seconds since 1970, in order. */
  points: Map<number, number>;
}

export type Value = number | Series | Series[];

export function isSeries(value: Value): value is Series {
  return typeof value === 'object' && !Array.isArray(value);
}

/** Each point changed; those without a finite value are left out, as after a division by zero. */
export function mapPoints(series: Series, change: (value: number, at: number) => number | undefined): Series {
  const points = new Map<number, number>();
  for (const [at, value] of series.points) {
    const changed = change(value, at);
    if (changed !== undefined && Number.isFinite(changed)) points.set(at, changed);
  }
  return { ...series, points };
}

/** Numbers, series and lists in any combination, point by point. Of two series, where both have a value. */
export function combine(left: Value, right: Value, compute: (a: number, b: number) => number): Value {
  if (Array.isArray(left) && Array.isArray(right)) throw new MathError('an operator cannot stand between two lists of time series');
  if (Array.isArray(left)) return left.map((item) => combine(item, right, compute) as Series);
  if (Array.isArray(right)) return right.map((item) => combine(left, item, compute) as Series);
  if (typeof left === 'number' && typeof right === 'number') return compute(left, right);
  if (typeof left === 'number') return mapPoints(right as Series, (value) => compute(left, value));
  if (typeof right === 'number') return mapPoints(left, (value) => compute(value, right));
  const joined = mapPoints(left, (value, at) => (right.points.has(at) ? compute(value, right.points.get(at)!) : undefined));
  return { ...joined, period: Math.max(left.period, right.period) };
}

/** Over all series that have a value at a time. */
export function across(list: Series[], compute: (values: number[]) => number): Series {
  const all = new Map<number, number[]>();
  for (const { points } of list) {
    for (const [at, value] of points) all.set(at, [...(all.get(at) ?? []), value]);
  }
  const points = new Map<number, number>();
  for (const at of [...all.keys()].sort((a, b) => a - b)) {
    const value = compute(all.get(at)!);
    if (Number.isFinite(value)) points.set(at, value);
  }
  return { id: '', label: '', period: Math.max(60, ...list.map(({ period }) => period)), points };
}
