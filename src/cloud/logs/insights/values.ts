/** What fields hold, and how they become numbers and texts. */

/** Moments are dates, so that they are shown as such. Undefined: there is no such field. */
export type Value = string | number | boolean | Date | undefined;

export interface Row {
  get(name: string): Value;
}

const NUMBER = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

export function toNumber(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof Date) return value.getTime();
  return typeof value === 'string' && value.length < 400 && NUMBER.test(value) ? Number(value) : undefined;
}

export function toText(value: Value): string | undefined {
  if (value instanceof Date) return value.toISOString().replace('T', ' ').replace('Z', '');
  return value === undefined ? undefined : String(value);
}

export function isTrue(value: Value): boolean {
  return value === true || value === 'true' || (typeof value === 'number' && value !== 0);
}

/** Numbers by their size, before texts by their characters; what is not there comes first. */
export function compareValues(a: Value, b: Value): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  const [left, right] = [toNumber(a), toNumber(b)];
  if (left !== undefined && right !== undefined) return left - right;
  if (left !== undefined || right !== undefined) return left !== undefined ? -1 : 1;
  const [one, other] = [toText(a)!, toText(b)!];
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Texts that look like numbers equal numbers. */
export function equalValues(a: Value, b: Value): boolean {
  const [left, right] = [toNumber(a), toNumber(b)];
  return left !== undefined && right !== undefined ? left === right : toText(a) === toText(b);
}
