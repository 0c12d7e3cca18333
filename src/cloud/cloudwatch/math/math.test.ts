/** Metric math on made-up series: what is computed, and what is no expression. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkFunctions, evaluate, type Scope } from './evaluate.ts';
import { MathError, parseExpression } from './parse.ts';
import type { Series, Value } from './values.ts';

const START = 1_200;

function series(id: string, values: (number | undefined)[]): Series {
  const points = values.flatMap((value, index): [number, number][] => (value === undefined ? [] : [[START + index * 60, value]]));
  return { id, label: id, period: 60, points: new Map(points) };
}

const known: Record<string, Series> = {
  m1: series('m1', [1, 2, undefined, 8]),
  m2: series('m2', [10, undefined, 30, 0]),
};
const scope: Scope = {
  span: { start: START, end: START + 240 },
  metrics: Object.values(known),
  value(id) {
    const found = known[id];
    if (!found) throw new MathError(`there is nothing named ${id}`);
    return found;
  },
};

function compute(text: string): Value {
  const expression = parseExpression(text);
  checkFunctions(expression);
  return evaluate(expression, scope);
}

/** The values of four minutes; `-` where there is none. */
function minutes(text: string): string {
  const value = compute(text);
  if (typeof value === 'number' || Array.isArray(value)) throw new Error('no single series');
  return [0, 1, 2, 3].map((index) => value.points.get(START + index * 60) ?? '-').join(' ');
}

describe('series', () => {
  const cases: Record<string, string> = {
    'm1 + m2': '11 - - 8',
    'm1 / m2': '0.1 - - -',
    '-m1 ^ 2': '1 4 - 64',
    '2 * (m1 - 1)': '0 2 - 14',
    'm1 > 1 AND m1 < 5': '0 1 - 0',
    'm1 == 1 || m1 == 8': '1 0 - 1',
    'SUM(METRICS())': '11 2 30 8',
    'SUM([m1, m2])': '11 2 30 8',
    'AVG(METRICS("m2"))': '10 - 30 0',
    'MAX([m1, m2]) - MIN([m1, m2])': '9 0 0 8',
    'FILL(m1, 0)': '1 2 0 8',
    'FILL(m1, REPEAT)': '1 2 2 8',
    'FILL(m1, LINEAR)': '1 2 5 8',
    'FILL(m2, m1)': '10 2 30 0',
    'IF(m1 > 1, m1, 0)': '0 2 - 8',
    'IF(m1 > 1, m1)': '- 2 - 8',
    'RATE(m1) * 60': '- 1 - 3',
    'DIFF(m1)': '- 1 - 6',
    'DIFF_TIME(m1)': '- 60 - 120',
    'RUNNING_SUM(m1)': '1 3 - 11',
    'm1 - SUM(m1) / 11': '0 1 - 7',
    'm1 * PERIOD(m1)': '60 120 - 480',
    'TIME_SERIES(3)': '3 3 3 3',
    'SLICE(METRICS(), 0, 1) + 1': '2 3 - 9',
    'FIRST(SORT(METRICS(), MAX, DESC))': '10 - 30 0',
    'LOG10(m1 * 100 / m1)': '2 2 - 2',
    'MINUTE(m1)': '20 21 - 23',
  };
  for (const [expression, expected] of Object.entries(cases)) {
    test(expression, () => assert.equal(minutes(expression), expected));
  }
});

test('numbers', () => {
  const cases: Record<string, number> = {
    '1 + 2 * 3 ^ 2': 19,
    '10 - 4 - 3': 3,
    '.5e1': 5,
    'METRIC_COUNT(METRICS())': 2,
    'DATAPOINT_COUNT(m1)': 3,
    'STDDEV(TIME_SERIES(4))': 0,
    'AVG(m1) > 3': 1,
  };
  for (const [expression, expected] of Object.entries(cases)) assert.equal(compute(expression), expected, expression);
});

test('what is no expression is refused, however deep', () => {
  const broken = ['', '1 +', '(1', '1)', 'm1 m2', 'SUM()', 'SUM(1, 2)', 'NOTHING(m1)', '$', '"text"', 'm9', 'RATE(1)', 'METRICS(m1)'];
  broken.push(
    'METRICS() + METRICS()',
    'FIRST(m1)',
    'SEARCH("a", "Sum")',
    'constructor(m1)',
    '[1]',
    '"',
    '('.repeat(2_000),
    '-'.repeat(2_000),
  );
  for (const text of broken) assert.throws(() => compute(text), MathError, text.slice(0, 40));
});
