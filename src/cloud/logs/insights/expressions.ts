/** Expressions as functions of a row, compiled once for a query. Regular expressions never backtrack. */
import { RE2JS } from 're2js';
import { FUNCTIONS, periodMs } from './functions.ts';
import { type Expression, type Pattern, QueryError } from './syntax.ts';
import { compareValues, equalValues, isTrue, type Row, toNumber, toText, type Value } from './values.ts';

export type Evaluate = (row: Row) => Value;

const ARITHMETIC: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '^': (a, b) => a ** b,
};

const COMPARISONS: Record<string, (a: Value, b: Value) => boolean> = {
  '=': equalValues,
  '<': (a, b) => compareValues(a, b) < 0,
  '<=': (a, b) => compareValues(a, b) <= 0,
  '>': (a, b) => compareValues(a, b) > 0,
  '>=': (a, b) => compareValues(a, b) >= 0,
};

/** Throws QueryError for functions that are not there and expressions that are none. */
export function compileExpression(expression: Expression): Evaluate {
  switch (expression.kind) {
    case 'value':
      return () => expression.value;
    case 'field':
      return (row) => row.get(expression.name);
    case 'period': {
      const ms = periodMs(expression);
      return () => ms;
    }
    case 'unary': {
      const of = compileExpression(expression.of);
      if (expression.operator === 'not') return (row) => !isTrue(of(row));
      return (row) => finite(-(toNumber(of(row)) ?? Number.NaN));
    }
    case 'binary':
      return compileBinary(expression);
    case 'match': {
      const of = compileExpression(expression.of);
      const test = compilePattern(expression.pattern);
      return (row) => {
        const text = toText(of(row));
        return (text !== undefined && test(text)) !== expression.negated;
      };
    }
    case 'in': {
      const of = compileExpression(expression.of);
      const items = expression.items.map(compileExpression);
      return (row) => {
        const value = of(row);
        return (value !== undefined && items.some((item) => equalValues(value, item(row)))) !== expression.negated;
      };
    }
    case 'call':
      return compileCall(expression);
  }
}

function compileBinary({ operator, left: one, right: other }: Extract<Expression, { kind: 'binary' }>): Evaluate {
  const left = compileExpression(one);
  const right = compileExpression(other);
  if (operator === 'and') return (row) => isTrue(left(row)) && isTrue(right(row));
  if (operator === 'or') return (row) => isTrue(left(row)) || isTrue(right(row));
  if (operator === '!=') return (row) => !equalValues(left(row), right(row));
  const compare = COMPARISONS[operator];
  if (compare) {
    return (row) => {
      const [a, b] = [left(row), right(row)];
      return a !== undefined && b !== undefined && compare(a, b);
    };
  }
  const compute = ARITHMETIC[operator]!;
  return (row) => finite(compute(toNumber(left(row)) ?? Number.NaN, toNumber(right(row)) ?? Number.NaN));
}

/** Nothing, where a number cannot be computed. */
function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

function compileCall({ name, args, all }: Extract<Expression, { kind: 'call' }>): Evaluate {
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (!known || all) throw new QueryError(`there is no function ${name}${all ? '(*)' : ''} here`);
  if (args.length < known.least || args.length > known.most) throw new QueryError(`the function ${name} has a wrong number of arguments`);
  if (known.withPeriod) {
    const period = args.find((arg) => arg.kind === 'period');
    if (period?.kind !== 'period') throw new QueryError(`the function ${name} takes a period such as 5m`);
  }
  const compiled = args.map(compileExpression);
  return (row) =>
    known.compute(
      compiled.map((arg) => arg(row)),
      row,
    );
}

export function compileRegex(source: string): RE2JS {
  try {
    return RE2JS.compile(source);
  } catch (error) {
    throw new QueryError(`/${source}/ is not a regular expression: ${(error as Error).message}`);
  }
}

function compilePattern(pattern: Pattern): (text: string) => boolean {
  if (pattern.kind === 'text') return (text) => text.includes(pattern.text);
  const expression = compileRegex(pattern.source);
  return (text) => expression.matcher(text).find();
}
