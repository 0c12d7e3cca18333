import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { createLogger, type Logger } from '../../../platform/log.ts';
import { Journal } from './journal.ts';
import { lives, type Owner, ownerOf, readLines, segmentIds, segmentPath, self } from './segment.ts';

let folder: string;
let journal: Journal | undefined;
const errors: object[] = [];
const log = { ...createLogger('silent'), error: (facts: object) => errors.push(facts), warn: () => {} } as unknown as Logger;
const owner: Owner = self({ id: '7' });

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'penstock-journal-'));
  errors.length = 0;
});
afterEach(async () => {
  journal?.close();
  await rm(folder, { recursive: true, force: true });
});

const open = (): Journal => {
  journal = new Journal(folder, () => owner, log);
  return journal;
};

test('lines of one turn are written together, before anybody who waits goes on', async () => {
  const writer = open();
  const waiting = Array.from({ length: 50 }, (_, n) => writer.append(`["${n} é"]\n`));
  await waiting[0];
  const [{ id, head, size }] = writer.segments as [(typeof writer.segments)[0]];
  const text = await readFile(segmentPath(folder, id));
  assert.equal(text.length, size);
  const { lines, end } = await readLines(segmentPath(folder, id), head, 64);
  assert.deepEqual(lines.slice(0, 2), ['["0 é"]', '["1 é"]']);
  const rest = await readLines(segmentPath(folder, id), end, 64 * 1024);
  assert.equal(lines.length + rest.lines.length, 50);
  assert.equal(rest.end, size);
  await Promise.all(waiting);
});

test('a rotated segment is closed, and the next line begins another', async () => {
  const writer = open();
  await writer.append('[1]\n');
  writer.rotate();
  await writer.append('[2]\n');
  assert.deepEqual(
    writer.segments.map(({ closed }) => closed),
    [true, false],
  );
  assert.equal((await segmentIds(folder)).length, 2);
});

test('a segment says whose it is; nobody else of the same number is taken for it', async () => {
  const writer = open();
  await writer.append('[1]\n');
  const found = await ownerOf(segmentPath(folder, writer.segments[0]!.id));
  assert.deepEqual(found, owner);
  const nobody = { isAlive: async () => false };
  assert.equal(await lives(owner, nobody), true);
  assert.equal(await lives({ ...owner, startedAt: owner.startedAt + 1 }, nobody), false);
  assert.equal(await lives({ ...owner, place: 'another host' }, nobody), false);
  assert.equal(await lives({ ...owner, place: 'another host' }, { isAlive: async () => true }), true);
});

test('a line that was not finished is none', async () => {
  const writer = open();
  await writer.append('[1]\n');
  const [{ id, head }] = writer.segments as [(typeof writer.segments)[0]];
  await appendFile(segmentPath(folder, id), '[2');
  const { lines, end } = await readLines(segmentPath(folder, id), head, 1024);
  assert.deepEqual(lines, ['[1]']);
  assert.deepEqual(await readLines(segmentPath(folder, id), end, 1024), { lines: [], end });
});

test('when nothing can be written, callers go on and the log says so, once in a while', async () => {
  const writer = open();
  await rm(folder, { recursive: true });
  await Promise.all([writer.append('[1]\n'), writer.append('[2]\n')]);
  await writer.append('[3]\n');
  assert.equal(errors.length, 1);
  assert.deepEqual((errors[0] as { lost: number }).lost, 2);
});
