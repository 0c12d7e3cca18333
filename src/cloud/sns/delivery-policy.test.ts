import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkSubscriptionPolicy, checkTopicPolicy, pauseAfter, retryPolicy } from './delivery-policy.ts';

/** All pauses until the end. */
function pauses(protocol: string, own?: object, topic?: object): number[] {
  const text = (policy: object | undefined) => policy && JSON.stringify(policy);
  const policy = retryPolicy(protocol, text(own), text(topic));
  const found: number[] = [];
  for (let failed = 1; ; failed++) {
    const pause = pauseAfter(policy, failed);
    if (pause === undefined) return found;
    found.push(Math.round(pause));
  }
}

const all = { numRetries: 10, numNoDelayRetries: 1, minDelayTarget: 10, numMinDelayRetries: 2, maxDelayTarget: 100, numMaxDelayRetries: 2 };
const topic = (retries: object, more: object = {}) => ({ http: { defaultHealthyRetryPolicy: retries, ...more } });

describe('delivery policies', () => {
  test('by default three tries follow, twenty seconds apart', () => assert.deepEqual(pauses('https'), [20, 20, 20]));

  test('pauses grow from the least to the longest', () => {
    assert.deepEqual(pauses('http', { healthyRetryPolicy: all }), [0, 10, 10, 25, 40, 55, 70, 85, 100, 100]);
    for (const backoffFunction of ['arithmetic', 'geometric', 'exponential']) {
      const grown = pauses('http', { healthyRetryPolicy: { ...all, backoffFunction } });
      assert.deepEqual(
        grown,
        grown.toSorted((a, b) => a - b),
      );
      assert.deepEqual([grown.length, grown[0], grown[1], grown.at(-1)], [10, 0, 10, 100]);
    }
  });

  test('a subscription’s own holds, unless its topic forbids it', () => {
    const own = { healthyRetryPolicy: { numRetries: 1, minDelayTarget: 5, maxDelayTarget: 5 } };
    const other = { numRetries: 2, minDelayTarget: 7, maxDelayTarget: 7 };
    assert.deepEqual(pauses('http', own, topic(other)), [5]);
    assert.deepEqual(pauses('http', undefined, topic(other)), [7, 7]);
    assert.deepEqual(pauses('http', own, topic(other, { disableSubscriptionOverrides: true })), [7, 7]);
  });

  test('queues and mail have policies that nobody sets', () => {
    assert.equal(pauses('email').length, 50);
    assert.deepEqual(pauses('sqs').slice(0, 5), [0, 0, 0, 1, 1]);
    assert.equal(pauses('sqs').length, 100_015);
  });

  test('refuse what cannot be', () => {
    const bad = [
      { numRetries: 101 },
      { numRetries: -1 },
      { numRetries: '3' },
      { minDelayTarget: 0 },
      { maxDelayTarget: 3601 },
      { minDelayTarget: 30, maxDelayTarget: 20 },
      { numRetries: 1, numNoDelayRetries: 2 },
      { backoffFunction: 'fast' },
      { __proto__x: 1 },
    ];
    for (const retries of bad) {
      assert.throws(() => checkSubscriptionPolicy(JSON.stringify({ healthyRetryPolicy: retries })), { code: 'InvalidParameter' });
      assert.throws(() => checkTopicPolicy(JSON.stringify(topic(retries))), { code: 'InvalidParameter' });
    }
    for (const text of ['{', '[]', 'null', '1']) assert.throws(() => checkTopicPolicy(text), { code: 'InvalidParameter' });
  });
});
