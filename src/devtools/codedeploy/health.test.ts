import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canStart, judge, minimumHealthy, type Progress } from './health.ts';
import type { MinimumHealthyHosts } from './tables.ts';

const percent = (value: number): MinimumHealthyHosts => ({ type: 'FLEET_PERCENT', value });
const count = (value: number): MinimumHealthyHosts => ({ type: 'HOST_COUNT', value });
const oneAtATime = percent(99);
const halfAtATime = percent(50);
const allAtOnce = count(0);

/** Deploys to `total` instances in order; `fails` names those that fail. What happened, batch by batch, and how it ended. */
function play(rule: MinimumHealthyHosts, total: number, fails: number[] = []): { batches: number[]; end: string } {
  const state: Progress = { pending: total, inProgress: 0, succeeded: 0, failed: 0 };
  const batches: number[] = [];
  let index = 0;
  for (;;) {
    const verdict = judge(rule, state);
    if (verdict.next !== 'go on') return { batches, end: verdict.next };
    assert.ok(verdict.start > 0, 'a deployment with nothing in progress must begin something or end');
    batches.push(verdict.start);
    for (let done = 0; done < verdict.start; done++, index++) state[fails.includes(index) ? 'failed' : 'succeeded']++;
    state.pending -= verdict.start;
  }
}

describe('minimum healthy hosts', () => {
  test('percentages round up and always leave one instance to deploy to', () => {
    assert.equal(minimumHealthy(halfAtATime, 9), 5);
    assert.equal(minimumHealthy(percent(95), 20), 19);
    assert.equal(minimumHealthy(oneAtATime, 3), 2);
    assert.equal(minimumHealthy(oneAtATime, 1), 0);
    assert.equal(minimumHealthy(percent(100), 4), 3);
    assert.equal(minimumHealthy(count(7), 3), 7);
  });

  test('a count that leaves nothing to deploy to cannot start', () => {
    assert.equal(canStart(count(3), 3), false);
    assert.equal(canStart(count(2), 3), true);
    assert.equal(canStart(oneAtATime, 1), true);
  });
});

describe('judging a deployment', () => {
  test('OneAtATime goes one by one and bears only the failure of the last', () => {
    assert.deepEqual(play(oneAtATime, 3), { batches: [1, 1, 1], end: 'succeed' });
    assert.deepEqual(play(oneAtATime, 3, [2]), { batches: [1, 1, 1], end: 'succeed' });
    assert.deepEqual(play(oneAtATime, 3, [0]), { batches: [1], end: 'fail' });
    assert.deepEqual(play(oneAtATime, 3, [1]), { batches: [1, 1], end: 'fail' });
    assert.deepEqual(play(oneAtATime, 1, [0]), { batches: [1], end: 'fail' });
  });

  test('HalfAtATime takes half rounded down at once and needs half rounded up', () => {
    assert.deepEqual(play(halfAtATime, 9), { batches: [4, 4, 1], end: 'succeed' });
    assert.deepEqual(play(halfAtATime, 9, [0]), { batches: [4, 3, 2], end: 'succeed' });
    assert.deepEqual(play(halfAtATime, 9, [0, 1, 2, 3]), { batches: [4], end: 'fail' });
    assert.deepEqual(play(halfAtATime, 9, [5, 6, 7, 8]), { batches: [4, 4, 1], end: 'succeed' });
  });

  test('AllAtOnce takes all and needs one', () => {
    assert.deepEqual(play(allAtOnce, 100), { batches: [100], end: 'succeed' });
    assert.deepEqual(play(allAtOnce, 3, [0, 1]), { batches: [3], end: 'succeed' });
    assert.deepEqual(play(allAtOnce, 3, [0, 1, 2]), { batches: [3], end: 'fail' });
  });

  test('the next begins as soon as one is done', () => {
    assert.deepEqual(judge(halfAtATime, { pending: 4, inProgress: 3, succeeded: 1, failed: 0 }), { next: 'go on', start: 1 });
    assert.deepEqual(judge(halfAtATime, { pending: 4, inProgress: 3, succeeded: 0, failed: 1 }), { next: 'go on', start: 0 });
    assert.deepEqual(judge(count(2), { pending: 0, inProgress: 1, succeeded: 2, failed: 0 }), { next: 'go on', start: 0 });
  });

  test('a deployment whose instances have all gone has failed', () => {
    assert.deepEqual(judge(allAtOnce, { pending: 0, inProgress: 0, succeeded: 0, failed: 0 }), { next: 'fail' });
  });
});
