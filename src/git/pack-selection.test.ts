import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packsToCombine } from './pack-selection.ts';

const chosen = (...sizes: number[]) => packsToCombine(sizes.map((objects) => ({ objects }))).map(({ objects }) => objects);

test('leaves few packs alone', () => {
  assert.deepEqual(chosen(), []);
  assert.deepEqual(chosen(3, 3, 3), []);
});

test('leaves packs alone that are each twice the one before', () => {
  assert.deepEqual(chosen(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024), []);
});

test('combines the small ones and spares the large one', () => {
  assert.deepEqual(chosen(1_000_000, ...Array(11).fill(3)), Array(11).fill(3));
});

test('takes in what the new pack would crowd', () => {
  assert.deepEqual(chosen(...Array(11).fill(3), 40, 1000), [...Array(11).fill(3), 40]);
  assert.deepEqual(chosen(...Array(11).fill(3), 40, 100), [...Array(11).fill(3), 40, 100]);
});

test('an object is written again seldom, however many pushes come', () => {
  let packs: { objects: number }[] = [];
  let written = 0;
  for (let push = 0; push < 2000; push++) {
    packs.push({ objects: 3 });
    const combined = packsToCombine(packs);
    if (combined.length === 0) continue;
    const objects = combined.reduce((sum, pack) => sum + pack.objects, 0);
    written += objects;
    packs = [...packs.filter((pack) => !combined.includes(pack)), { objects }];
    assert.ok(packs.length <= 10);
  }
  assert.ok(written < 6000 * 12, `${written} objects written for 6000`);
});
