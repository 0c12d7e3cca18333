/** The functions of `stats`: each has a state for each group of rows. */
import { compileExpression, type Evaluate } from './expressions.ts';
import { type Expression, QueryError } from './syntax.ts';
import { compareValues, type Row, toNumber, toText, type Value } from './values.ts';

export interface State {
  add(row: Row): void;
  result(): Value;
}

export type Aggregate = () => State;

/** Values that a group keeps for a percentile or a distinct count, above which the query fails. */
const MAX_KEPT = 500_000;

/** A number folded over all rows that have one. */
function fold(value: Evaluate, step: (sum: number, number: number) => number): State {
  let result: number | undefined;
  return {
    add(row) {
      const number = toNumber(value(row));
      if (number !== undefined) result = result === undefined ? number : step(result, number);
    },
    result: () => result,
  };
}

function counter(value: Evaluate | undefined): State {
  let count = 0;
  return {
    add(row) {
      if (!value || value(row) !== undefined) count += 1;
    },
    result: () => count,
  };
}

function distinct(value: Evaluate): State {
  const seen = new Set<string>();
  return {
    add(row) {
      const text = toText(value(row));
      if (text === undefined) return;
      seen.add(text);
      if (seen.size > MAX_KEPT) throw new QueryError(`count_distinct met more than ${MAX_KEPT} values`);
    },
    result: () => seen.size,
  };
}

function average(value: Evaluate): State {
  const sum = fold(value, (total, number) => total + number);
  const count = fold(
    (row) => (toNumber(value(row)) === undefined ? undefined : 1),
    (total, one) => total + one,
  );
  return {
    add(row) {
      sum.add(row);
      count.add(row);
    },
    result() {
      const total = toNumber(sum.result());
      return total === undefined ? undefined : total / toNumber(count.result())!;
    },
  };
}

/** Welford's way: no sum of squares that could lose what matters. */
function deviation(value: Evaluate): State {
  let count = 0;
  let mean = 0;
  let squares = 0;
  return {
    add(row) {
      const number = toNumber(value(row));
      if (number === undefined) return;
      count += 1;
      const before = number - mean;
      mean += before / count;
      squares += before * (number - mean);
    },
    result: () => (count === 0 ? undefined : Math.sqrt(squares / count)),
  };
}

function percentile(value: Evaluate, percent: number): State {
  const numbers: number[] = [];
  return {
    add(row) {
      const number = toNumber(value(row));
      if (number === undefined) return;
      if (numbers.length === MAX_KEPT) throw new QueryError(`pct met more than ${MAX_KEPT} values in one group`);
      numbers.push(number);
    },
    result() {
      if (numbers.length === 0) return undefined;
      numbers.sort((a, b) => a - b);
      const place = (percent / 100) * (numbers.length - 1);
      const below = numbers[Math.floor(place)]!;
      return below + (numbers[Math.ceil(place)]! - below) * (place - Math.floor(place));
    },
  };
}

/** The value of the row that is first by `rank`. */
function pick(value: Evaluate, rank: (row: Row, value: Value) => Value, sign: 1 | -1): State {
  let best: { value: Value; rank: Value } | undefined;
  return {
    add(row) {
      const found = value(row);
      if (found === undefined) return;
      const place = rank(row, found);
      if (!best || compareValues(place, best.rank) * sign < 0) best = { value: found, rank: place };
    },
    result: () => best?.value,
  };
}

const time = (row: Row): Value => row.get('@timestamp');
const itself = (_: Row, value: Value): Value => value;

const BY_NAME: Record<string, (value: Evaluate) => State> = {
  sum: (value) => fold(value, (sum, number) => sum + number),
  min: (value) => fold(value, Math.min),
  max: (value) => fold(value, Math.max),
  avg: average,
  stddev: deviation,
  count: counter,
  count_distinct: distinct,
  earliest: (value) => pick(value, time, 1),
  latest: (value) => pick(value, time, -1),
  sortsfirst: (value) => pick(value, itself, 1),
  sortslast: (value) => pick(value, itself, -1),
};

/** Throws QueryError for what is not an aggregate. */
export function compileAggregate(expression: Expression): Aggregate {
  if (expression.kind !== 'call') throw new QueryError('stats takes functions such as count(*) or avg(field)');
  const { name, args, all } = expression;
  if (name === 'count' && (all || args.length === 0)) return () => counter(undefined);
  if (name === 'pct' || name === 'percentile') return compilePercentile(args);
  const make = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
  if (!make || all) throw new QueryError(`there is no function ${name}${all ? '(*)' : ''} for stats`);
  if (args.length !== 1) throw new QueryError(`the function ${name} takes one argument`);
  const value = compileExpression(args[0]!);
  return () => make(value);
}

function compilePercentile(args: Expression[]): Aggregate {
  const [of, percent] = args;
  if (args.length !== 2 || percent?.kind !== 'value' || typeof percent.value !== 'number' || percent.value > 100) {
    throw new QueryError('pct takes a field and a number from 0 to 100');
  }
  const value = compileExpression(of!);
  const wanted = percent.value;
  return () => percentile(value, wanted);
}
