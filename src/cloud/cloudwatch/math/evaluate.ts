/** Computing an expression over the series of the queries beside it. */
import { FUNCTIONS, fill, type Span, sorted } from './functions.ts';
import { type Expression, MathError } from './parse.ts';
import { combine, isSeries, mapPoints, type Series, type Value } from './values.ts';

export interface Scope {
  span: Span;
  /** The value of another query by its id; throws MathError where there is none. */
  value(id: string): Value;
  /** The series of all queries that are metrics themselves, in their order. */
  metrics: Series[];
}

/** On AWS but not here: they look through all metrics, or learn from their past. */
const MISSING = ['SEARCH', 'ANOMALY_DETECTION_BAND', 'INSIGHT_RULE_METRIC', 'SERVICE_QUOTA', 'DB_PERF_INSIGHTS', 'LAMBDA', 'REMOVE_EMPTY'];

/** Those whose arguments are not all values. */
const SPECIAL: Record<string, { least: number; most: number }> = {
  METRICS: { least: 0, most: 1 },
  FILL: { least: 2, most: 2 },
  SORT: { least: 3, most: 4 },
};

const truth = (value: boolean): number => (value ? 1 : 0);
const OPERATIONS: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '^': (a, b) => a ** b,
  '==': (a, b) => truth(a === b),
  '!=': (a, b) => truth(a !== b),
  '<': (a, b) => truth(a < b),
  '>': (a, b) => truth(a > b),
  '<=': (a, b) => truth(a <= b),
  '>=': (a, b) => truth(a >= b),
  '&&': (a, b) => truth(a !== 0 && b !== 0),
  '||': (a, b) => truth(a !== 0 || b !== 0),
};

/** What is wrong with an expression can be told without any values: names of functions and the number of their arguments. */
export function checkFunctions(expression: Expression): void {
  if (expression.kind === 'call') {
    const { name, args } = expression;
    if (MISSING.includes(name)) throw new MathError(`Penstock does not have the function ${name}`);
    const known = [SPECIAL, FUNCTIONS].find((functions) => Object.hasOwn(functions, name))?.[name];
    if (!known) throw new MathError(`there is no function ${name}`);
    if (args.length < known.least || args.length > known.most) throw new MathError(`the function ${name} has a wrong number of arguments`);
    args.forEach(checkFunctions);
  } else if (expression.kind === 'list') expression.items.forEach(checkFunctions);
  else if (expression.kind === 'negative') checkFunctions(expression.of);
  else if (expression.kind === 'operation') {
    checkFunctions(expression.left);
    checkFunctions(expression.right);
  }
}

export function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'name':
      return scope.value(expression.name);
    case 'list':
      return expression.items.flatMap((item) => {
        const value = evaluate(item, scope);
        if (typeof value === 'number') throw new MathError('a list takes time series only');
        return value;
      });
    case 'negative':
      return combine(0, evaluate(expression.of, scope), (_, value) => -value);
    case 'operation':
      return combine(evaluate(expression.left, scope), evaluate(expression.right, scope), OPERATIONS[expression.operator]!);
    case 'call':
      return call(expression, scope);
    default:
      throw new MathError(`the text '${expression.value}' stands alone`);
  }
}

function call({ name, args }: Extract<Expression, { kind: 'call' }>, scope: Scope): Value {
  if (name === 'METRICS') {
    const part = args[0];
    if (part && part.kind !== 'text') throw new MathError('METRICS takes a text');
    return part ? scope.metrics.filter(({ id }) => id.includes(part.value)) : scope.metrics;
  }
  if (name === 'FILL') {
    const [value, filler] = args as [Expression, Expression];
    return fill(evaluate(value, scope), fillerOf(filler, scope), scope.span);
  }
  if (name === 'SORT') {
    const [value, by, direction, limit] = args as [Expression, Expression, Expression, Expression | undefined];
    return sorted(evaluate(value, scope), word(by), word(direction), limit?.kind === 'number' ? limit.value : undefined);
  }
  const values = args.map((arg) => evaluate(arg, scope));
  const result = FUNCTIONS[name]!.compute(values, scope.span);
  return isSeries(result) ? mapPoints(result, (value) => value) : result;
}

function word(expression: Expression): string {
  return expression.kind === 'name' ? expression.name : '';
}

function fillerOf(expression: Expression, scope: Scope): number | 'REPEAT' | 'LINEAR' | Series {
  const name = word(expression);
  if (name === 'REPEAT' || name === 'LINEAR') return name;
  const value = evaluate(expression, scope);
  if (Array.isArray(value)) throw new MathError('FILL takes a number, REPEAT, LINEAR or one time series');
  return value;
}
