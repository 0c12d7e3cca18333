import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { dataKeysStandIn } from '../../../test/support/kms.ts';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { runGit } from '../../git/program.ts';
import { gitStore } from '../../git/store.ts';
import { readConfig } from '../../platform/config.ts';
import { forgetDataKeys } from '../../platform/data-keys.ts';
import { SignalHub } from '../../platform/signals.ts';
import type { BlobFault } from '../../ports/blobs/dummy.ts';
import { createDummyBlobs } from '../../ports/blobs/dummy.ts';
import { combinePacks } from './pack-maintenance.ts';
import { deletePacks, MAINTENANCE } from './packs.ts';
import { openView } from './repository.ts';
import { codecommit } from './service.ts';

let home: string;
let tested: TestPlatform;
let now = Date.now();
const faults: BlobFault[] = [];
const kms = { disabled: false };
const never = new AbortController().signal;
let counter = 0;
let name: string;
let id: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-maintenance-'));
  const { config } = readConfig({ data: home }, {});
  const parts = { config, blobs: createDummyBlobs(faults), aws: dataKeysStandIn(kms), signals: new SignalHub() };
  tested = await openPlatform(codecommit, { ...parts, now: () => new Date(now) });
});
after(async () => {
  gitStore(tested.platform).readers.closeAll();
  gitStore(tested.platform).cache.close();
  await tested[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  faults.length = 0;
  name = `repository-${counter++}`;
  const { repositoryMetadata } = await tested.call('codecommit', 'CreateRepository', { repositoryName: name });
  id = repositoryMetadata!.repositoryId!;
});

/** Each commit is a pack of its own. */
async function commit(times: number): Promise<string> {
  let parentCommitId: string | undefined;
  for (let i = 0; i < times; i++) {
    const { branches } = await tested.call('codecommit', 'ListBranches', { repositoryName: name });
    if (branches!.length > 0)
      parentCommitId = (await tested.call('codecommit', 'GetBranch', { repositoryName: name, branchName: 'main' })).branch!.commitId;
    const putFiles = [{ filePath: `folder/file-${i}`, fileContent: Buffer.from(`${Math.random()}`) }];
    const made = await tested.call('codecommit', 'CreateCommit', { repositoryName: name, branchName: 'main', parentCommitId, putFiles });
    parentCommitId = made.commitId;
  }
  return parentCommitId!;
}

const packs = (state: 'live' | 'retired' | 'pending') =>
  tested.platform.read.selectFrom('codecommit.packs').selectAll().where('repository_id', '=', id).where('state', '=', state).execute();

/** From rows and blobs alone: everything is there and whole, from every reference to the last file. Gives the number of commits. */
async function proveFromBlobs(): Promise<number> {
  const { cache, readers } = gitStore(tested.platform);
  readers.close(id);
  await cache.remove(id);
  const row = await tested.platform.read.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const view = await openView(tested.platform, row);
  const fsck = await runGit(['fsck', '--full', '--strict', '--no-dangling'], { place: view });
  assert.equal(fsck.code, 0, fsck.stderr);
  return Number((await runGit(['rev-list', '--count', '--all'], { place: view })).stdout.toString());
}

test('many packs become few, and their blobs go when nobody can need them any more', async () => {
  await tested.clearJobs();
  await commit(13);
  const wanted = (await tested.jobs()).filter(({ payload }) => payload.kind === MAINTENANCE);
  assert.ok(wanted.length > 0 && wanted.every(({ payload }) => payload.id === id), 'the commits asked for it');
  assert.deepEqual(await combinePacks.pending(tested.platform), [id]);
  await combinePacks.run(tested.platform, id, never);
  assert.equal((await packs('live')).length, 1);
  assert.equal((await packs('retired')).length, 13);
  assert.deepEqual(await combinePacks.pending(tested.platform), []);
  // Clones that began before are still reading.
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await packs('retired')).length, 13);
  now += 2 * 3_600_000;
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await packs('retired')).length, 0);
  assert.deepEqual(
    (await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`))).map(({ key }) => key),
    [(await packs('live'))[0]!.blob_key],
  );
  assert.equal(await proveFromBlobs(), 13);
});

test('while the key is disabled nothing is done and nothing fails; afterwards it is', async () => {
  await commit(13);
  kms.disabled = true;
  forgetDataKeys(tested.platform);
  await combinePacks.run(tested.platform, id, never);
  assert.equal((await packs('live')).length, 13);
  kms.disabled = false;
  await combinePacks.run(tested.platform, id, never);
  assert.ok((await packs('live')).length < 13);
  assert.equal(await proveFromBlobs(), 13);
});

test('commits go on meanwhile, and are not lost', async () => {
  await commit(11);
  const prefix = `git/${id}/`;
  faults.push({ prefix, delayMs: 300, times: 1 });
  const running = combinePacks.run(tested.platform, id, never);
  while (faults[0]!.times === 1) await new Promise(setImmediate);
  const tip = await commit(2);
  await running;
  assert.equal((await packs('live')).length, 3);
  assert.equal(await proveFromBlobs(), 13);
  const { branch } = await tested.call('codecommit', 'GetBranch', { repositoryName: name, branchName: 'main' });
  assert.equal(branch!.commitId, tip);
});

test('a full disk leaves everything as it was', async () => {
  await commit(11);
  faults.push({ prefix: `git/${id}/`, failPutAfter: 100 });
  await assert.rejects(combinePacks.run(tested.platform, id, never), { code: 'ENOSPC' });
  faults.length = 0;
  assert.equal((await packs('live')).length, 11);
  assert.equal((await packs('pending')).length, 0);
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await packs('retired')).length, 0, 'the announced blob is given up at once');
  await combinePacks.run(tested.platform, id, never);
  assert.equal(await proveFromBlobs(), 11);
});

test('of two that combine the same packs one wins', async () => {
  await commit(11);
  await Promise.all([combinePacks.run(tested.platform, id, never), combinePacks.run(tested.platform, id, never)]);
  assert.equal((await packs('live')).length, 1);
  now += 2 * 3_600_000;
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`))).length, 1);
  assert.equal(await proveFromBlobs(), 11);
});

test('a repository that is deleted meanwhile stays deleted, and its blobs go', async () => {
  await commit(11);
  faults.push({ prefix: `git/${id}/`, delayMs: 300, times: 1 });
  const running = combinePacks.run(tested.platform, id, never);
  while (faults[0]!.times === 1) await new Promise(setImmediate);
  await tested.call('codecommit', 'DeleteRepository', { repositoryName: name });
  await running;
  assert.equal((await packs('live')).length, 0);
  now += 2 * 3_600_000;
  await deletePacks.run(tested.platform, id, never);
  assert.deepEqual(await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`)), []);
});
