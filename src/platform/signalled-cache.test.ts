import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transaction } from './platform.ts';
import { SignalledCache } from './signalled-cache.ts';
import { SignalHub } from './signals.ts';

function setUp(maxAgeMs = 60_000) {
  const signals = new SignalHub();
  let loads = 0;
  return { signals, cache: new SignalledCache({ signals }, 'thing.changed', maxAgeMs), load: async () => ++loads };
}

test('loads once, and again after the signal of its group', async () => {
  const { signals, cache, load } = setUp();
  assert.equal(await cache.get('a', 'x', load), 1);
  assert.equal(await cache.get('a', 'x', load), 1);
  assert.equal(await cache.get('b', 'x', load), 2);
  signals.receive('thing.changed\na');
  assert.equal(await cache.get('a', 'x', load), 3);
  assert.equal(await cache.get('b', 'x', load), 2);
});

test('forgets everything after a gap in listening', async () => {
  const { signals, cache, load } = setUp();
  await cache.get('a', 'x', load);
  signals.wakeAll();
  assert.equal(await cache.get('a', 'x', load), 2);
});

test('does not keep what a change overtook, nor what failed, nor what is too old', async () => {
  const { cache, load } = setUp();
  let finish: (value: number) => void = () => {};
  const slow = cache.get('a', 'x', () => new Promise<number>((resolve) => (finish = resolve)));
  cache.forget('a');
  finish(0);
  assert.equal(await slow, 0);
  assert.equal(await cache.get('a', 'x', load), 1);

  await assert.rejects(
    cache.get('a', 'y', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await cache.get('a', 'y', load), 2);

  const old = setUp(-1);
  await old.cache.get('a', 'x', old.load);
  assert.equal(await old.cache.get('a', 'x', old.load), 2);
});

test('a change is signalled in its transaction and forgotten after its commit', async () => {
  const { cache, load } = setUp();
  const signalled: string[] = [];
  const committed: (() => void)[] = [];
  await cache.get('a', 'x', load);
  const tx = {
    signal: async (topic: string, group: string) => signalled.push(`${topic} ${group}`),
    onCommit: (then: () => void) => committed.push(then),
  };
  await cache.changed(tx as unknown as Transaction, 'a');
  assert.deepEqual(signalled, ['thing.changed a']);
  assert.equal(await cache.get('a', 'x', load), 1);
  for (const then of committed) then();
  assert.equal(await cache.get('a', 'x', load), 2);
});
