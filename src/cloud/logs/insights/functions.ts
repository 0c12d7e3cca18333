/** The functions that an expression can call; those over many rows are in `aggregates.ts`. */
import { type Expression, QueryError } from './syntax.ts';
import { type Row, toNumber, toText, type Value } from './values.ts';

interface RowFunction {
  least: number;
  most: number;
  /** One of its arguments must be a period. */
  withPeriod?: boolean;
  compute(args: Value[], row: Row): Value;
}

const SECOND = 1_000;
const UNITS: [RegExp, number][] = [
  [/^(ms|msec|millisecond)/, 1],
  [/^(mo|mon|month)/, 30 * 86_400 * SECOND],
  [/^s/, SECOND],
  [/^m/, 60 * SECOND],
  [/^h/, 3_600 * SECOND],
  [/^d/, 86_400 * SECOND],
  [/^w/, 7 * 86_400 * SECOND],
  [/^q/, 91 * 86_400 * SECOND],
  [/^y/, 365 * 86_400 * SECOND],
];

export function periodMs({ number, unit }: Extract<Expression, { kind: 'period' }>): number {
  const ms = number * UNITS.find(([pattern]) => pattern.test(unit))![1];
  if (!(ms >= 1)) throw new QueryError('a period must not be zero');
  return ms;
}

function moment(ms: number): Value {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms) : undefined;
}

function rounded(value: Value, period: Value, round: (parts: number) => number): Value {
  const at = toNumber(value);
  const step = toNumber(period);
  return at === undefined || step === undefined ? undefined : moment(round(at / step) * step);
}

const numeric =
  (compute: (...values: number[]) => number) =>
  (args: Value[]): Value => {
    const numbers = args.map(toNumber);
    if (numbers.some((number) => number === undefined)) return undefined;
    const result = compute(...(numbers as number[]));
    return Number.isFinite(result) ? result : undefined;
  };

const textual =
  (compute: (text: string, ...args: Value[]) => Value) =>
  ([first, ...rest]: Value[]): Value => {
    const text = toText(first);
    return text === undefined ? undefined : compute(text, ...rest);
  };

/** Without the given characters at an end; without white space where none are given. */
function trim(text: string, characters: Value, start: boolean, end: boolean): string {
  const unwanted = characters === undefined ? ' \t\r\n' : toText(characters)!;
  let from = 0;
  let to = text.length;
  while (start && from < to && unwanted.includes(text[from]!)) from += 1;
  while (end && to > from && unwanted.includes(text[to - 1]!)) to -= 1;
  return text.slice(from, to);
}

const define = (least: number, most: number, compute: RowFunction['compute'], withPeriod = false): RowFunction => ({
  least,
  most,
  compute,
  withPeriod,
});

export const FUNCTIONS: Record<string, RowFunction> = {
  abs: define(1, 1, numeric(Math.abs)),
  ceil: define(1, 1, numeric(Math.ceil)),
  floor: define(1, 1, numeric(Math.floor)),
  greatest: define(1, 50, numeric(Math.max)),
  least: define(1, 50, numeric(Math.min)),
  log: define(1, 1, numeric(Math.log)),
  sqrt: define(1, 1, numeric(Math.sqrt)),

  bin: define(1, 1, ([period], row) => rounded(row.get('@timestamp'), period, Math.floor), true),
  datefloor: define(2, 2, ([value, period]) => rounded(value, period, Math.floor), true),
  dateceil: define(2, 2, ([value, period]) => rounded(value, period, Math.ceil), true),
  frommillis: define(1, 1, ([value]) => moment(toNumber(value) ?? Number.NaN)),
  tomillis: define(1, 1, ([value]) => toNumber(value)),

  ispresent: define(1, 1, ([value]) => value !== undefined),
  coalesce: define(1, 50, (args) => args.find((value) => value !== undefined)),

  isempty: define(1, 1, ([value]) => value === undefined || toText(value) === ''),
  isblank: define(1, 1, ([value]) => value === undefined || toText(value)!.trim() === ''),
  concat: define(1, 50, (args) => args.map((value) => toText(value) ?? '').join('')),
  ltrim: define(
    1,
    2,
    textual((text, characters) => trim(text, characters, true, false)),
  ),
  rtrim: define(
    1,
    2,
    textual((text, characters) => trim(text, characters, false, true)),
  ),
  trim: define(
    1,
    2,
    textual((text, characters) => trim(text, characters, true, true)),
  ),
  strlen: define(
    1,
    1,
    textual((text) => [...text].length),
  ),
  toupper: define(
    1,
    1,
    textual((text) => text.toUpperCase()),
  ),
  tolower: define(
    1,
    1,
    textual((text) => text.toLowerCase()),
  ),
  substr: define(
    2,
    3,
    textual((text, from, length) => {
      const start = Math.max(0, toNumber(from) ?? 0);
      return text.slice(start, length === undefined ? undefined : start + Math.max(0, toNumber(length) ?? 0));
    }),
  ),
  replace: define(
    3,
    3,
    textual((text, what, by) => (toText(what) ? text.replaceAll(toText(what)!, () => toText(by) ?? '') : text)),
  ),
  strcontains: define(
    2,
    2,
    textual((text, what) => (text.includes(toText(what) ?? '') ? 1 : 0)),
  ),
};
