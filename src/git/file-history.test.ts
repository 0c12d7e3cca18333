import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { git } from './client.ts';
import type { HistoryPosition } from './file-history.ts';
import { historyOf, walkHistory } from './file-history.ts';
import { lastChange } from './history.ts';
import { changedNames, lastChangesOf } from './last-changes.ts';
import { serveMemoryRepository } from './memory-repository.ts';
import { formatTree, modes, objectId, parseCommit } from './objects.ts';

let memory: Awaited<ReturnType<typeof serveMemoryRepository>>;
let home: string;
before(async () => {
  memory = await serveMemoryRepository();
  home = await mkdtemp(path.join(tmpdir(), 'penstock-history-'));
});
after(async () => {
  await memory.close();
  await rm(home, { recursive: true, force: true });
});

/** Pushes what a `git fast-import` stream makes; gives the tip of each branch. */
async function pushHistory(stream: string): Promise<Map<string, string>> {
  const directory = await mkdtemp(path.join(home, 'r-'));
  await git(home, ['init', '-q', '--bare', directory]);
  await new Promise<void>((resolve, reject) => {
    const child = execFile('git', ['-C', directory, 'fast-import', '--quiet', '--force'], (error) => (error ? reject(error) : resolve()));
    child.stdin!.end(stream);
  });
  const branches = (await git(directory, ['for-each-ref', '--format=%(refname:short) %(objectname)'])).split('\n');
  await git(directory, ['push', '-q', '--force', memory.url, 'refs/heads/*:refs/heads/*']);
  await memory.open();
  return new Map(branches.map((line) => line.split(' ') as [string, string]));
}

function history() {
  return { place: memory.store.cache.base(memory.id), read: (id: string) => memory.store.readers.read(memory.id, id) };
}

interface Step {
  branch: string;
  from?: number[];
  files?: Record<string, string | null>;
  renames?: [string, string][];
}

/** A stream in which step n is the mark n + 1. */
function streamOf(steps: Step[]): string {
  const marks = new Map<string, number>();
  return steps
    .map(({ branch, from, files = {}, renames = [] }, index) => {
      const [first, ...merged] = from ?? [marks.get(branch) ?? -1].filter((mark) => mark >= 0);
      marks.set(branch, index);
      const parents = first === undefined ? '' : `from :${first + 1}\n${merged.map((mark) => `merge :${mark + 1}\n`).join('')}`;
      const changes = [
        ...renames.map(([old, now]) => `R ${old} ${now}\n`),
        ...Object.entries(files).map(([name, text]) =>
          text === null ? `D ${name}\n` : `M 100644 inline ${name}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
        ),
      ];
      const message = `step ${index}`;
      const head = `commit refs/heads/${branch}\nmark :${index + 1}\ncommitter A <a@b> ${1_600_000_000 + index} +0000\ndata ${message.length}\n`;
      return `${head}${message}\n${parents}${changes.join('')}\n`;
    })
    .join('');
}

/** A history of branches and merges that is the same in every run. */
function randomSteps(count: number): Step[] {
  let seed = 7;
  const random = (n: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % n;
  };
  const steps: Step[] = [{ branch: 'main', files: Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`d${n % 3}/f${n}`, `${n}`])) }];
  for (let index = 1; index < count; index++) {
    const file = `d${random(3)}/f${random(30)}`;
    const files = { [file]: random(9) === 0 ? null : `${random(5)}` };
    const kind = random(10);
    const older = Math.max(0, index - 1 - random(12));
    if (kind < 6 || index < 5) steps.push({ branch: 'main', from: [index - 1], files });
    else if (kind < 8) steps.push({ branch: 'main', from: [older], files });
    else steps.push({ branch: 'main', from: [index - 1, ...(older === index - 1 ? [] : [older])], files: kind === 8 ? {} : files });
  }
  return steps;
}

test('the history of a path is what git log tells, on whatever pages it is read', async () => {
  const tip = (await pushHistory(streamOf(randomSteps(200)))).get('main')!;
  for (const file of ['d0/f0', 'd1/f1', 'd2/f20', 'd0', 'nowhere']) {
    const place = history().place;
    const env = { GIT_OBJECT_DIRECTORY: place.objects, GIT_DIR: place.gitDir };
    const expected = (await git(home, ['rev-list', tip, '--', file], env)).split('\n').filter(Boolean);
    for (const size of [1, 3, 1000]) {
      const found: string[] = [];
      const children = new Map<string, string[]>();
      let position: HistoryPosition | undefined = await historyOf(history(), tip, file);
      while (position) {
        // As a token would carry it.
        const page = await walkHistory(history(), JSON.parse(JSON.stringify(position)), size);
        assert.ok(page.versions.length <= size);
        for (const version of page.versions) {
          for (const child of version.children) assert.ok(found.includes(child), 'newer versions come first');
          found.push(version.id);
          children.set(version.id, version.children);
        }
        position = page.next;
      }
      assert.deepEqual(new Set(found), new Set(expected), `${file} by ${size}`);
      assert.equal(found.length, expected.length, 'each commit once');
      const heads = [...children].filter(([, newer]) => newer.length === 0);
      assert.equal(heads.length, Math.min(1, expected.length), 'only the newest version has no newer one');
    }
  }
});

test('the last changes of a folder are those of its entries one by one', async () => {
  const steps = randomSteps(900);
  const tips = await pushHistory(streamOf([...steps.slice(0, 800), { branch: 'early', from: [799] }]));
  const early = tips.get('early')!;
  const tip = (await pushHistory(streamOf(steps))).get('main')!;
  const { place } = history();
  for (const commit of [early, tip]) {
    for (const folder of ['', 'd0', 'd1', 'd2']) {
      const readFolder = (id: string) => memory.store.readers.readAt(memory.id, id, folder);
      const changes = await lastChangesOf({ repository: memory.id, place, folder, readFolder }, commit);
      const listed = await git(home, ['ls-tree', '--name-only', `${commit}:${folder}`], {
        GIT_OBJECT_DIRECTORY: place.objects,
        GIT_DIR: place.gitDir,
      });
      assert.deepEqual([...changes.keys()].sort(), listed.split('\n').filter(Boolean).sort());
      for (const [name, change] of changes) {
        const file = folder === '' ? name : `${folder}/${name}`;
        assert.equal(change, await lastChange(place, commit, file), `${file} at ${commit}`);
      }
    }
  }
});

test('entries of a folder that have not changed for long are found behind many commits', async () => {
  const steps: Step[] = [
    { branch: 'long', files: { 'x/old': '0', 'x/busy': '0', 'x/gone back': '0' } },
    { branch: 'long', files: { 'x/gone back': '1' } },
    { branch: 'long', files: { 'x/gone back': '0' } },
    ...Array.from({ length: 900 }, (_, index): Step => ({ branch: 'long', files: { 'x/busy': `${index + 1}` } })),
  ];
  const tip = (await pushHistory(streamOf(steps))).get('long')!;
  const { place } = history();
  const readFolder = (id: string) => memory.store.readers.readAt(memory.id, id, 'x');
  const changes = await lastChangesOf({ repository: memory.id, place, folder: 'x', readFolder }, tip);
  const messages = await Promise.all(
    ['old', 'busy', 'gone back'].map(async (name) => parseCommit((await history().read(changes.get(name)!))!.data).message),
  );
  assert.deepEqual(messages, ['step 0', 'step 902', 'step 2']);
});

test('a file is followed under its old names, and no older file of its name is taken for it', async () => {
  const text = Array.from({ length: 20 }, (_, n) => `line ${n}\n`).join('');
  const steps: Step[] = [
    { branch: 'follow', files: { 'b.txt': 'another file\n', 'old/a.txt': text } },
    { branch: 'follow', files: { 'b.txt': null } },
    { branch: 'follow', files: { 'old/a.txt': `${text}more\n` } },
    { branch: 'follow', files: { 'c d.txt': `${text}more\nand more\n`, 'old/a.txt': null } },
    { branch: 'follow', files: { other: 'x' } },
    { branch: 'follow', renames: [['"c d.txt"', 'b.txt']] },
    { branch: 'follow', files: { 'b.txt': text } },
    { branch: 'follow', files: { 'b.txt': null } },
  ];
  const tip = (await pushHistory(streamOf(steps))).get('follow')!;
  const from = await historyOf(history(), tip, 'b.txt');
  const { versions, next } = await walkHistory(history(), from!, 100);
  assert.equal(next, undefined);
  assert.deepEqual(
    versions.map(({ commit, path: name, entry, children }) => [commit.message, name, entry?.id, children.length]),
    [
      ['step 7', 'b.txt', undefined, 0],
      ['step 6', 'b.txt', objectId('blob', Buffer.from(text)), 1],
      ['step 5', 'b.txt', objectId('blob', Buffer.from(`${text}more\nand more\n`)), 1],
      ['step 3', 'c d.txt', objectId('blob', Buffer.from(`${text}more\nand more\n`)), 1],
      ['step 2', 'old/a.txt', objectId('blob', Buffer.from(`${text}more\n`)), 1],
      ['step 0', 'old/a.txt', objectId('blob', Buffer.from(text)), 1],
    ],
  );
  for (const [index, { children }] of versions.entries()) if (index > 0) assert.deepEqual(children, [versions[index - 1]!.id]);
});

test('a file is followed through a commit that moves everything', async () => {
  const files = Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`before/a folder with a long name/${n}`, `${n}\n`]));
  const steps: Step[] = [
    { branch: 'move', files },
    { branch: 'move', renames: [['before', 'after']] },
  ];
  const tip = (await pushHistory(streamOf(steps))).get('move')!;
  const from = await historyOf(history(), tip, 'after/a folder with a long name/2999');
  const { versions } = await walkHistory(history(), from!, 100);
  assert.deepEqual(
    versions.map(({ path: name }) => name),
    ['after/a folder with a long name/2999', 'before/a folder with a long name/2999'],
  );
});

test('trees are compared by entry: contents, modes, and files that became folders', () => {
  const id = (n: number) => String(n).padStart(40, '0');
  const file = (name: string, n: number, mode: string = modes.file) => ({ mode, name, id: id(n) });
  const mine = formatTree([file('a', 1), file('a.b', 2), file('c', 3, modes.tree), file('d', 4, modes.executable), file('z', 5)]);
  const theirs = formatTree([file('a', 1, modes.tree), file('a.b', 2), file('b', 9), file('c', 3, modes.tree), file('d', 4)]);
  assert.deepEqual(changedNames(mine, theirs), ['a', 'd', 'z']);
  assert.deepEqual(changedNames(mine, mine), []);
  assert.deepEqual(changedNames(mine, Buffer.alloc(0)), ['a', 'a.b', 'c', 'd', 'z']);
  assert.throws(() => changedNames(mine.subarray(0, -3), theirs), /damaged/);
});
