import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve, UnresolvedVariableError, variablesIn } from './variables.ts';

const values = new Map([
  ['Source.CommitId', 'abc'],
  ['variables.stage', 'beta'],
  ['Source.CommitMessage', 'costs $& and #{Source.CommitId}'],
]);

test('every expression is replaced, also several in one text', () => {
  const configuration = { a: '#{Source.CommitId}/#{variables.stage}/#{Source.CommitId}', b: 'nothing here' };
  assert.deepEqual(resolve(configuration, values), { a: 'abc/beta/abc', b: 'nothing here' });
});

test('a value is taken as it is: it is not looked through for expressions, nor for what a replacement may mean', () => {
  assert.deepEqual(resolve({ a: '#{Source.CommitMessage}' }, values), { a: 'costs $& and #{Source.CommitId}' });
});

test('a variable without a value is an error that names it and the key', () => {
  assert.throws(
    () => resolve({ CustomData: 'x #{Build.Tag}' }, values),
    (error: Error) => error instanceof UnresolvedVariableError && /CustomData has the variable #\{Build\.Tag\}/.test(error.message),
  );
});

for (const [text, found] of [
  ['#{a.b}', ['a.b']],
  ['#{a.b}#{c.d}', ['a.b', 'c.d']],
  ['#{a}', []],
  ['#{ a.b }', []],
  ['${a.b} {a.b} #a.b', []],
  ['#{a.b', []],
] as const) {
  test(`expressions in ${text}`, () => assert.deepEqual(variablesIn(text), found));
}
