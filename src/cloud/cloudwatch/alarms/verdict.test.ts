/** The tables of the user guide ("Configuring how CloudWatch alarms treat missing data"): 0 does not breach, X breaches, - is missing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge, type Watched } from './verdict.ts';

type Treatment = Watched['treatMissing'];
const TREATMENTS: Treatment[] = ['missing', 'ignore', 'breaching', 'notBreaching'];

/** Datapoints oldest first, and the states by treatment; `same`: it stays as it is. */
type Row = [datapoints: string, ...states: string[]];

const THREE_OF_THREE: Row[] = [
  ['0 - X - X', 'OK', 'OK', 'OK', 'OK'],
  ['- - - - 0', 'OK', 'OK', 'OK', 'OK'],
  ['- - - - -', 'INSUFFICIENT_DATA', 'same', 'ALARM', 'OK'],
  ['0 X X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['- - X - -', 'ALARM', 'same', 'ALARM', 'OK'],
];

const TWO_OF_THREE: Row[] = [
  ['0 - X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['0 0 X 0 X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['0 - X - -', 'OK', 'OK', 'ALARM', 'OK'],
  ['- - - - 0', 'OK', 'OK', 'ALARM', 'OK'],
  ['- - - X -', 'ALARM', 'same', 'ALARM', 'OK'],
];

function verdict(text: string, needed: number, treatMissing: Treatment): string {
  const values = text.split(' ').map((sign) => (sign === '-' ? undefined : sign === 'X' ? 10 : 0));
  const datapoints = values.map((value, index) => ({ at: index * 60, value })).reverse();
  const watched = { evaluationPeriods: 3, datapointsToAlarm: needed, treatMissing, breaches: (value: number) => value > 5 };
  return judge(datapoints, watched).state ?? 'same';
}

for (const [needed, rows] of [[3, THREE_OF_THREE] as const, [2, TWO_OF_THREE] as const]) {
  describe(`${needed} of 3`, () => {
    for (const [datapoints, ...states] of rows) {
      test(datapoints, () => {
        const found = TREATMENTS.map((treatment) => verdict(datapoints, needed, treatment));
        assert.deepEqual(found, states);
      });
    }
  });
}

test('a breach too young to be enough does not alarm yet', () => {
  assert.equal(verdict('- - - - X', 3, 'missing'), 'same');
  assert.equal(verdict('- - - - X', 1, 'missing'), 'ALARM');
});
