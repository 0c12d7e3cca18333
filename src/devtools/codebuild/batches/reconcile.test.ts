import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import { claimNext } from '../engine/claim.ts';
import { endBuild } from '../engine/record.ts';
import type { FinalStatus } from '../runner/outcome.ts';
import { codebuild } from '../service.ts';
import { DOWNLOAD_SOURCE } from './names.ts';
import { batchReconciler } from './reconcile.ts';

const MINUTE_MS = 60_000;
const BATCHSPEC =
  'version: 0.2\nbatch:\n  build-graph:\n    - identifier: a\n    - { identifier: b, depend-on: [a] }\n    - { identifier: c, ignore-failure: true }\n';

let bench: TestPlatform;
let platform: Platform;
let now = new Date('2026-11-22T12:00:00Z');
/** What becomes of a call that starts a build. */
let onStart: (start: () => Promise<unknown>) => Promise<unknown>;

before(async () => {
  bench = await openPlatform(codebuild, {
    now: () => now,
    processes: { id: '1', isAlive: async () => true } as never,
    config: { dataDir: '/nonexistent', concurrentBuilds: 0, endpoints: { http: '' } } as never,
    signals: { wait: async () => false } as never,
    aws: {
      credentials: async () => ({}),
      as: async () => ({
        codebuild: { startBatchedBuild: (input: never) => onStart(() => bench.call('codebuild', 'StartBatchedBuild', input)) },
      }),
    } as never,
  });
  platform = bench.platform;
  await bench.call('codebuild', 'CreateProject', {
    name: 'app',
    source: { type: 'NO_SOURCE', buildspec: BATCHSPEC },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
    serviceRole: 'arn:aws:iam::123456789012:role/builds',
    buildBatchConfig: { serviceRole: 'arn:aws:iam::123456789012:role/batches', timeoutInMins: 30 },
  });
});
after(() => bench[Symbol.asyncDispose]());
beforeEach(async () => {
  onStart = (start) => start();
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.builds').execute());
});

async function start(): Promise<string> {
  const { buildBatch } = await bench.call('codebuild', 'StartBuildBatch', { projectName: 'app' });
  return buildBatch!.id!.split(':')[1]!;
}

const run = (id: string) => batchReconciler.run(platform, id, new AbortController().signal);

async function look(id: string) {
  const { buildBatches } = await bench.call('codebuild', 'BatchGetBuildBatches', { ids: [`app:${id}`] });
  return buildBatches![0]!;
}

async function groups(id: string): Promise<string[]> {
  return (await look(id)).buildGroups!.map(({ identifier, currentBuildSummary }) => `${identifier} ${currentBuildSummary!.buildStatus}`);
}

/** Runs the next queued build to its end; its identifier. */
async function build(status: FinalStatus = 'SUCCEEDED', batchspec = BATCHSPEC): Promise<string> {
  const claimed = await claimNext(platform);
  const { id, batch_build } = claimed!.row;
  const spec = batch_build!.identifier === DOWNLOAD_SOURCE ? { batchspec } : {};
  await endBuild(platform, { id, owner: claimed!.owner }, { outcome: { status, contexts: [] }, status, ...spec });
  return batch_build!.identifier;
}

/** A batch whose buildspec has been read. */
async function begun(): Promise<string> {
  const id = await start();
  await run(id);
  assert.equal(await build(), DOWNLOAD_SOURCE);
  await run(id);
  return id;
}

test('however often it is called, each build starts once', async () => {
  const id = await start();
  for (let index = 0; index < 3; index += 1) await run(id);
  assert.equal(await build(), DOWNLOAD_SOURCE);
  assert.equal(await claimNext(platform), undefined);
  for (let index = 0; index < 3; index += 1) await run(id);
  assert.deepEqual([await build(), await build()].sort(), ['a', 'c']);
  assert.equal(await claimNext(platform), undefined);
  await run(id);
  assert.equal(await build(), 'b');
  await run(id);
  const batch = await look(id);
  assert.deepEqual([batch.buildBatchStatus, batch.currentPhase], ['SUCCEEDED', 'SUCCEEDED']);
});

test('a process that dies between a decision and a start, or after it, leaves the start to the next', async () => {
  const id = await start();
  onStart = async () => {
    throw new Error('killed before');
  };
  await assert.rejects(run(id), /killed before/);
  onStart = async (begin) => {
    await begin();
    throw new Error('killed after');
  };
  await assert.rejects(run(id), /killed after/);
  onStart = (begin) => begin();
  await run(id);
  assert.equal(await build(), DOWNLOAD_SOURCE);
  assert.equal(await claimNext(platform), undefined);
});

test('a batch that takes longer than timeoutInMins is stopped and ends TIMED_OUT', async () => {
  const id = await begun();
  const before = now;
  now = new Date(now.getTime() + 31 * MINUTE_MS);
  await run(id);
  await run(id);
  now = before;
  const batch = await look(id);
  assert.deepEqual([batch.buildBatchStatus, batch.currentPhase], ['TIMED_OUT', 'FAILED']);
  assert.equal(batch.phases!.at(-2)!.phaseStatus, 'TIMED_OUT');
  assert.deepEqual(await groups(id), [`${DOWNLOAD_SOURCE} SUCCEEDED`, 'a STOPPED', 'b STOPPED', 'c STOPPED']);
});

test('a build that is retried by itself gives its place to the next one', async () => {
  await bench.call('codebuild', 'UpdateProject', { name: 'app', autoRetryLimit: 1 });
  const id = await begun();
  await build('FAILED');
  await run(id);
  assert.deepEqual(await groups(id), [`${DOWNLOAD_SOURCE} SUCCEEDED`, 'a IN_PROGRESS', 'b PENDING', 'c IN_PROGRESS']);
  await build();
  await build();
  await run(id);
  await build();
  await run(id);
  const batch = await look(id);
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED');
  const [prior] = batch.buildGroups![1]!.priorBuildSummaryList!;
  assert.equal(prior!.buildStatus, 'FAILED');
  assert.notEqual(prior!.arn, batch.buildGroups![1]!.currentBuildSummary!.arn);
  await bench.call('codebuild', 'UpdateProject', { name: 'app', autoRetryLimit: 0 });
});

test('all builds retried: by what the buildspec says now, with the builds of before as the prior ones', async () => {
  const id = await begun();
  for (const status of ['FAILED', 'SUCCEEDED'] as const) await build(status);
  await run(id);
  assert.equal((await look(id)).buildBatchStatus, 'FAILED');
  await bench.call('codebuild', 'RetryBuildBatch', { id: `app:${id}` });
  await run(id);
  assert.equal(await build('SUCCEEDED', BATCHSPEC.replace('identifier: b', 'identifier: e')), DOWNLOAD_SOURCE);
  await run(id);
  assert.deepEqual(await groups(id), [`${DOWNLOAD_SOURCE} SUCCEEDED`, 'a IN_PROGRESS', 'e PENDING', 'c IN_PROGRESS']);
  const prior = (await look(id)).buildGroups!.map(({ priorBuildSummaryList = [] }) =>
    priorBuildSummaryList.map(({ buildStatus }) => buildStatus),
  );
  assert.deepEqual(prior, [['SUCCEEDED'], ['FAILED'], [], ['SUCCEEDED']]);
});

test('a build that was deleted before the batch saw its end counts as failed; a batch that lost its buildspec fails', async () => {
  const id = await begun();
  await build();
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.builds').where('status', '=', 'SUCCEEDED').execute());
  await run(id);
  await build();
  await run(id);
  assert.equal((await look(id)).buildBatchStatus, 'FAILED');
  assert.match((await look(id)).phases!.at(-2)!.contexts![0]!.message!, /a \(FAULT\), b \(STOPPED\)/);
  const other = await start();
  await run(other);
  await build();
  await platform.transaction((tx) => tx.sql.deleteFrom('codebuild.builds').execute());
  await run(other);
  assert.deepEqual([(await look(other)).buildBatchStatus, await groups(other)], ['FAULT', [`${DOWNLOAD_SOURCE} FAULT`]]);
});

test('a role that loses its rights stops the batch: what runs is stopped, the batch fails', async () => {
  const id = await begun();
  assert.equal(await build(), 'a');
  onStart = async () => {
    throw new AwsError('AccessDeniedException', 'no');
  };
  await run(id);
  await run(id);
  assert.match((await look(id)).phases!.at(-2)!.contexts![0]!.message!, /could not start a build: AccessDeniedException: no/);
  assert.deepEqual(
    [(await look(id)).buildBatchStatus, await groups(id)],
    ['FAILED', [`${DOWNLOAD_SOURCE} SUCCEEDED`, 'a SUCCEEDED', 'b STOPPED', 'c STOPPED']],
  );
});
