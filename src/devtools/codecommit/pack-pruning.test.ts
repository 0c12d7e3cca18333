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
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { SignalHub } from '../../platform/signals.ts';
import type { BlobFault } from '../../ports/blobs/dummy.ts';
import { createDummyBlobs } from '../../ports/blobs/dummy.ts';
import type { BlobStore } from '../../ports/blobs/port.ts';
import { prunePacks } from './pack-pruning.ts';
import { deletePacks } from './packs.ts';
import { openView } from './repository.ts';
import { codecommit } from './service.ts';

const DAY_MS = 24 * 3_600_000;
let home: string;
let tested: TestPlatform;
let now = Date.now();
const faults: BlobFault[] = [];
const never = new AbortController().signal;
let counter = 0;
let repositoryName: string;
let id: string;
/** `base` on main; `kept` on main after it; `lost` on a branch that is deleted, as is its child `later`, which has more on top. */
let commits: { base: string; kept: string; lost: string };

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-pruning-'));
  const { config } = readConfig({ data: home }, {});
  const parts = { config, blobs: createDummyBlobs(faults), aws: dataKeysStandIn(), signals: new SignalHub() };
  tested = await openPlatform(codecommit, { ...parts, now: () => new Date(now) });
});
after(async () => {
  const { readers, cache } = gitStore(tested.platform);
  readers.closeAll();
  cache.close();
  await tested[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const call: TestPlatform['call'] = (...args) => tested.call(...args);
const row = () => tested.platform.read.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const prune = () => prunePacks.run(tested.platform, id, never);
const exists = (commitId: string) =>
  call('codecommit', 'GetCommit', { repositoryName, commitId }).then(
    () => true,
    (error) => {
      assert.ok(error instanceof AwsError && error.code === 'CommitIdDoesNotExistException', String(error));
      return false;
    },
  );

async function packsOfNeedless(): Promise<number> {
  const packs = tested.platform.read
    .selectFrom('codecommit.packs')
    .select('name')
    .where('repository_id', '=', id)
    .where('state', '=', 'live');
  return (await packs.where('unneeded_since', 'is not', null).execute()).length;
}

async function commit(branchName: string, parentCommitId?: string): Promise<string> {
  const putFiles = [{ filePath: 'file', fileContent: Buffer.from(`${Math.random()}`) }];
  return (await call('codecommit', 'CreateCommit', { repositoryName, branchName, parentCommitId, putFiles })).commitId!;
}

async function branch(branchName: string, commitId: string): Promise<void> {
  await call('codecommit', 'CreateBranch', { repositoryName, branchName, commitId });
}

/** From rows and blobs alone: everything is there and whole. */
async function proveFromBlobs(): Promise<void> {
  const { cache, readers } = gitStore(tested.platform);
  readers.close(id);
  await cache.remove(id);
  const fsck = await runGit(['fsck', '--full', '--strict'], { place: await openView(tested.platform, await row()) });
  assert.equal(fsck.code, 0, fsck.stderr);
  assert.doesNotMatch(fsck.stdout.toString(), /missing|broken/);
}

beforeEach(async () => {
  faults.length = 0;
  await makeRepository();
});

async function makeRepository(): Promise<void> {
  repositoryName = `repository-${counter++}`;
  id = (await call('codecommit', 'CreateRepository', { repositoryName })).repositoryMetadata!.repositoryId!;
  const base = await commit('main');
  await branch('side', base);
  const lost = await commit('side', base);
  const kept = await commit('main', base);
  commits = { base, kept, lost };
  now += 8 * DAY_MS;
}

test('what nothing needs stays for the time of grace, then goes', async () => {
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  assert.ok((await prunePacks.pending(tested.platform)).includes(id));
  await prune();
  assert.ok(await exists(commits.lost), 'it is not long since it was needed');
  now += 10 * DAY_MS;
  await prune();
  assert.ok(await exists(commits.lost));
  assert.equal((await row()).epoch, 0);
  now += 8 * DAY_MS;
  await prune();
  assert.equal(await exists(commits.lost), false);
  assert.ok((await exists(commits.kept)) && (await exists(commits.base)));
  assert.equal((await row()).epoch, 1);
  await proveFromBlobs();
  now += DAY_MS;
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`))).length, 1);
  await commit('main', commits.kept);
  await proveFromBlobs();
});

test('a branch deleted by mistake can be made again, and its objects then stay for good', async () => {
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  await prune();
  now += 10 * DAY_MS;
  assert.equal(await packsOfNeedless(), 1);
  await branch('again', commits.lost);
  for (let i = 0; i < 4; i++) {
    now += 8 * DAY_MS;
    await commit('main', (await call('codecommit', 'GetBranch', { repositoryName, branchName: 'main' })).branch!.commitId);
    await prune();
  }
  assert.ok(await exists(commits.lost));
  assert.equal(await packsOfNeedless(), 0);
  await proveFromBlobs();
});

test('what a pull request names is needed', async () => {
  const targets = [{ repositoryName, sourceReference: 'side', destinationReference: 'main' }];
  await call('codecommit', 'CreatePullRequest', { title: 'side', targets });
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  for (let i = 0; i < 4; i++) {
    await prune();
    now += 8 * DAY_MS;
  }
  assert.ok(await exists(commits.lost));
});

test('what something younger needs stays with it', async () => {
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  await prune();
  // On top of what nothing needed for long, and deleted in its turn: its parent is needed by it.
  now += 13 * DAY_MS;
  await branch('again', commits.lost);
  const child = await commit('again', commits.lost);
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'again' });
  now += 7 * DAY_MS;
  await prune();
  now += 8 * DAY_MS;
  await prune();
  assert.ok(await exists(child));
  assert.ok(await exists(commits.lost));
  await proveFromBlobs();
  now += 8 * DAY_MS;
  await prune();
  assert.equal(await exists(child), false);
  assert.equal(await exists(commits.lost), false);
  await proveFromBlobs();
});

test('a change that counted on what is dropped meanwhile is refused, and a change before it keeps everything', async () => {
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  await prune();
  now += 15 * DAY_MS;
  // The branch comes back after the objects were sorted, while the outcome is being stored.
  // Something else is not needed any more, so that there is something to store.
  await branch('other', commits.kept);
  await commit('other', commits.kept);
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'other' });
  faults.push({ prefix: `git/${id}/`, delayMs: 300, times: 1 });
  let over = false;
  const pruning = prune().finally(() => {
    over = true;
  });
  while (faults[0]!.times === 1 && !over) await new Promise(setImmediate);
  assert.equal(over, false);
  await branch('back', commits.lost);
  await pruning;
  assert.ok(await exists(commits.lost));
  assert.equal((await row()).epoch, 0);
  await proveFromBlobs();
  // The other way round: found before, dropped meanwhile, wanted after.
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'back' });
  const before = await row();
  await openView(tested.platform, before);
  await prune();
  assert.equal((await row()).epoch, 1);
  const { changeReferences } = await import('./references.ts');
  const change = { name: 'refs/heads/back', oldId: undefined, newId: commits.lost };
  const [result] = await changeReferences(tested.platform, before, [change], { caller: 'arn:aws:iam::123456789012:user/tester' });
  assert.equal(result!.error, 'failed to update ref');
  await assert.rejects(branch('back', commits.lost), { code: 'CommitDoesNotExistException' });
  await proveFromBlobs();
});

test('a full disk leaves everything as it was', async () => {
  await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
  faults.push({ prefix: `git/${id}/`, failPutAfter: 50 });
  await assert.rejects(prune(), { code: 'ENOSPC' });
  faults.length = 0;
  await deletePacks.run(tested.platform, id, never);
  assert.equal((await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`))).length, 3);
  await proveFromBlobs();
  await prune();
  await proveFromBlobs();
});

test('killed at any step, it leaves all that is needed, and the next run does the rest', async () => {
  let steps = 0;
  for (let killed = true; killed; steps++) {
    await makeRepository();
    await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'side' });
    await prune();
    now += 15 * DAY_MS;
    // Needless since today only: it is put aside, which is stored.
    await branch('other', commits.kept);
    await commit('other', commits.kept);
    await call('codecommit', 'DeleteBranch', { repositoryName, branchName: 'other' });
    const dying = diesAt(steps);
    killed = await prunePacks.run(dying, id, never).then(
      () => false,
      (error) => {
        assert.equal(error, death);
        return true;
      },
    );
    gitStore(dying).readers.closeAll();
    gitStore(dying).cache.close();
    await proveFromBlobs();
    assert.ok((await exists(commits.kept)) && (await exists(commits.base)));
    await prune();
    assert.equal(await exists(commits.lost), false);
    now += 2 * DAY_MS;
    await deletePacks.run(tested.platform, id, never);
    assert.equal(
      (await Array.fromAsync(tested.platform.blobs.list(`git/${id}/`))).length,
      2,
      'what is needed, what is put aside, and nothing half made',
    );
    await proveFromBlobs();
  }
  assert.ok(steps > 3, 'it stores, records and forgets');
});

const death = new Error('killed');

/** The platform as a process sees it that is killed when it has written `writes` times, to the blobs or to the database: nothing it does later happens. */
function diesAt(writes: number): Platform {
  let left = writes;
  const alive = () => {
    if (left-- <= 0) throw death;
  };
  const mortal = (blobs: BlobStore): BlobStore =>
    Object.assign(Object.create(blobs), {
      under: (key: Parameters<BlobStore['under']>[0]) => mortal(blobs.under(key)),
      put: async (...args: Parameters<BlobStore['put']>) => {
        alive();
        return blobs.put(...args);
      },
      delete: async (key: string) => {
        alive();
        return blobs.delete(key);
      },
    });
  const { blobs, transaction } = tested.platform;
  return Object.assign(Object.create(tested.platform), {
    // The store of git is one for each process, which is known by its configuration.
    config: { ...tested.platform.config },
    blobs: mortal(blobs),
    transaction: async (work: Parameters<typeof transaction>[0]) => {
      alive();
      return transaction(work);
    },
  });
}

test('an empty repository is left alone', async () => {
  repositoryName = `repository-${counter++}`;
  id = (await call('codecommit', 'CreateRepository', { repositoryName })).repositoryMetadata!.repositoryId!;
  now += 8 * DAY_MS;
  await prune();
  assert.equal((await prunePacks.pending(tested.platform)).includes(id), false);
  await commit('main');
  await proveFromBlobs();
});
