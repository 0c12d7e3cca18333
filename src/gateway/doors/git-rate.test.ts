import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GitRate } from './git-rate.ts';

test('a bucket of ten seconds, filled steadily, for each on his own', () => {
  const rate = new GitRate(2);
  for (let count = 0; count < 20; count++) rate.take('ada', 0);
  const exceeded = { code: 'ThrottlingException', message: 'Rate Exceeded', status: 429 };
  assert.throws(() => rate.take('ada', 0), exceeded);
  rate.take('grace', 0);
  assert.throws(() => rate.take('ada', 400), exceeded);
  rate.take('ada', 900);
  assert.throws(() => rate.take('ada', 900), exceeded);
  for (let count = 0; count < 20; count++) rate.take('ada', 1_000_000);
  assert.throws(() => rate.take('ada', 1_000_000), exceeded);
});

test('no limit at all', () => {
  const rate = new GitRate(0);
  for (let count = 0; count < 1000; count++) rate.take('ada', 0);
});
