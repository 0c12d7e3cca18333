import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('so many at a time, in order, and who leaves is passed over', async () => {
  const turns = new Turns(2);
  const never = new AbortController().signal;
  const done: string[] = [];
  const open: (() => void)[] = [];
  const enter = (name: string, signal = never) =>
    turns.take(signal, () => new Promise<void>((resolve) => open.push(resolve)).then(() => void done.push(name)));
  const [a, b] = [enter('a'), enter('b')];
  const leaving = new AbortController();
  const c = enter('c', leaving.signal);
  const d = enter('d');
  assert.equal(open.length, 2);
  leaving.abort(new Error('gone'));
  await assert.rejects(c, /gone/);
  open[0]!();
  await a;
  await new Promise(setImmediate);
  assert.equal(open.length, 3, 'd has the turn of a');
  open[1]!();
  open[2]!();
  await Promise.all([b, d]);
  assert.deepEqual(done.toSorted(), ['a', 'b', 'd']);
  await assert.rejects(
    turns.take(never, () => Promise.reject(new Error('failed'))),
    /failed/,
  );
  assert.equal(await turns.take(never, async () => 'free again'), 'free again');
});
