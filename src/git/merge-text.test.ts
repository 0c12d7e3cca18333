import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { git } from './client.ts';
import { isBinary, mergeText } from './merge-text.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-text-'));
  await git(home, ['init', '-q', home]);
});
after(() => rm(home, { recursive: true, force: true }));

async function stored(text: string) {
  await writeFile(path.join(home, 'file'), text, 'latin1');
  return { id: await git(home, ['hash-object', '-w', 'file']), text };
}

async function merge(base: string | undefined, source: string, destination: string) {
  const gitDir = path.join(home, '.git');
  const place = { gitDir, objects: path.join(gitDir, 'objects') };
  const old = base === undefined ? undefined : await stored(base);
  return mergeText(place, old, await stored(source), await stored(destination));
}

const text = (...lines: string[]) => lines.map((line) => `${line}\n`).join('');

test('changes apart from each other are both taken, those that touch are a conflict', async () => {
  const apart = await merge(text('a', 'b', 'c', 'd'), text('A', 'b', 'c', 'd'), text('a', 'b', 'x', 'y', 'd'));
  assert.equal(apart.merged(undefined), text('A', 'b', 'x', 'y', 'd'));
  const touching = await merge(text('a', 'b', 'c'), text('A', 'b', 'c'), text('a', 'B', 'c'));
  assert.equal(touching.merged(undefined), undefined);
  assert.equal(touching.merged('source'), text('A', 'b', 'c'));
  assert.equal(touching.merged('destination'), text('a', 'B', 'c'));
  assert.deepEqual(
    touching.hunks.map(({ conflict, base }) => [conflict, base.start, base.lines.length]),
    [[true, 0, 2]],
  );
});

test('the same change on both sides, deletions, and files that both sides made', async () => {
  const same = await merge(text('a', 'b', 'c'), text('a', 'x', 'c'), text('a', 'x', 'c', 'd'));
  assert.equal(same.merged(undefined), text('a', 'x', 'c', 'd'));
  const deleted = await merge(text('a', 'b', 'c', 'd', 'e'), text('c', 'd', 'e'), text('a', 'b', 'c', 'd'));
  assert.equal(deleted.merged(undefined), text('c', 'd'));
  const made = await merge(undefined, text('x'), text('y'));
  assert.equal(made.merged(undefined), undefined);
  assert.equal(made.merged('source'), text('x'));
});

test('last lines without an end, carriage returns, bytes that are no UTF-8 and lines that look like headers survive', async () => {
  const ends = await merge('a\nb\nc', 'A\nb\nc', 'a\nb\nC');
  assert.equal(ends.merged(undefined), 'A\nb\nC');
  const odd = await merge('\xff\nx\ny\n', '\xff\r@@ -1,9 +1,9 @@\nx\ny\n', '\xff\nx\ny\n@@ -1 +1 @@\n');
  assert.equal(odd.merged(undefined), '\xff\r@@ -1,9 +1,9 @@\nx\ny\n@@ -1 +1 @@\n');
  assert.equal(isBinary(Buffer.from('a\0b')), true);
  assert.equal(isBinary(Buffer.from('ab')), false);
});

test('agrees with git merge-file on random texts', async () => {
  let seed = 7;
  const random = (limit: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * limit);
  };
  const change = (lines: string[], side: string) =>
    lines.flatMap((line, index) => [[line], [line], [line], [line], [`${side}${index}`], [], [line, `${side}+${index}`]][random(7)]!);
  for (let round = 0; round < 12; round++) {
    const base = Array.from({ length: 24 }, (_, index) => `line ${index}`);
    const [source, destination] = [change(base, 's'), change(base, 'd')];
    const merged = await merge(text(...base), text(...source), text(...destination));
    for (const [name, lines] of Object.entries({ base, source, destination })) await writeFile(path.join(home, name), text(...lines));
    const expected = await git(home, ['merge-file', '-p', '--theirs', 'destination', 'base', 'source']);
    assert.equal(merged.merged('source')!.trimEnd(), expected.trimEnd(), `round ${round}`);
  }
});
