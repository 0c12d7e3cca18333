import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CacheUpkeep } from './cache-upkeep.ts';
import { git } from './client.ts';
import { runGit } from './program.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-upkeep-'));
});
after(() => rm(home, { recursive: true, force: true }));

/** A bare repository of `packs` packs with so many commits in each. */
async function makeRepository(name: string, packs: number, commits: number) {
  const gitDir = path.join(home, name);
  await git(home, ['init', '-q', '--bare', gitDir]);
  for (let pack = 0; pack < packs; pack++) {
    const from = pack === 0 ? '' : 'from refs/heads/main^0\n';
    const stream = Array.from({ length: commits }, (_, n) => {
      const content = `${pack} ${n}`;
      const parent = n === 0 ? from : '';
      return `commit refs/heads/main\ncommitter A <a@b> ${1_700_000_000 + pack * commits + n} +0000\ndata 1\nx\n${parent}M 644 inline d${n % 50}/f\ndata ${content.length}\n${content}\n`;
    }).join('');
    execFileSync('git', ['-c', 'fastimport.unpackLimit=0', 'fast-import', '--quiet'], { cwd: gitDir, input: stream });
  }
  await git(gitDir, ['pack-refs', '--all']);
  return { gitDir, objects: path.join(gitDir, 'objects') };
}

async function packsOf(objects: string): Promise<{ name: string; objects: number }[]> {
  const files = (await readdir(path.join(objects, 'pack'))).filter((file) => file.endsWith('.idx'));
  return Promise.all(
    files.map(async (file) => {
      const listed = execFileSync('git', ['show-index'], { input: execFileSync('cat', [path.join(objects, 'pack', file)]) });
      return { name: file.slice(5, 45), objects: listed.toString().trim().split('\n').length };
    }),
  );
}

const bitmapOf = async (objects: string) => (await readdir(path.join(objects, 'pack'))).find((file) => file.endsWith('.bitmap'));

test('makes bitmaps and the commit-graph of a large repository, and again when much is new', async () => {
  const place = await makeRepository('large', 2, 400);
  const upkeep = new CacheUpkeep();
  const packs = await packsOf(place.objects);
  assert.equal(packs.length, 2);
  await upkeep.lookAfter(place, packs);
  const first = await bitmapOf(place.objects);
  assert.ok(first, 'there is a bitmap');
  assert.equal((await runGit(['commit-graph', 'verify'], { place })).code, 0);
  assert.equal((await runGit(['multi-pack-index', 'verify'], { place })).code, 0);
  const counted = await runGit(['rev-list', '--count', '--objects', '--use-bitmap-index', '--all'], { place });
  assert.equal(Number(counted.stdout.toString()), Number((await git(place.gitDir, ['rev-list', '--count', '--objects', '--all'])).trim()));
  await upkeep.lookAfter(place, packs);
  assert.equal(await bitmapOf(place.objects), first, 'nothing is made twice');
});

test('leaves small repositories alone', async () => {
  const place = await makeRepository('small', 2, 3);
  await new CacheUpkeep().lookAfter(place, await packsOf(place.objects));
  assert.equal(await bitmapOf(place.objects), undefined);
});

test('removes packs an hour after others took their place, and readers never miss an object', async () => {
  const place = await makeRepository('replaced', 3, 300);
  let now = 1_000_000;
  const upkeep = new CacheUpkeep(() => now);
  const old = await packsOf(place.objects);
  await upkeep.lookAfter(place, old);
  const names = old.map(({ name }) => `pack-${name}.pack\n`).join('');
  execFileSync('git', ['pack-objects', '-q', '--stdin-packs', 'objects/pack/pack'], { cwd: place.gitDir, input: names });
  const all = await packsOf(place.objects);
  const replacement = all.filter(({ name }) => !old.some((each) => each.name === name));
  await upkeep.lookAfter(place, replacement);
  now += 3_000_000;
  await upkeep.lookAfter(place, replacement);
  assert.equal((await packsOf(place.objects)).length, 4, 'still there for who began before');
  now += 1_000_000;
  await upkeep.lookAfter(place, replacement);
  assert.deepEqual(await packsOf(place.objects), replacement);
  assert.equal((await runGit(['multi-pack-index', 'verify'], { place })).code, 0);
  assert.equal((await runGit(['fsck', '--full'], { place })).code, 0);
});
