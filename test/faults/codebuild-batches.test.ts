import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BuildBatch } from '@aws-sdk/client-codebuild';
import { type BuildBench, buildBench, commands } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let marks: string;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  marks = await mkdtemp(path.join(tmpdir(), 'batch-marks-'));
});
after(async () => {
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

const GRAPH = `batch:
  build-graph:
    - identifier: a
    - { identifier: b, depend-on: [a] }
    - { identifier: c, depend-on: [a] }
    - { identifier: d, depend-on: [b, c] }
`;

/** A batch of four builds with combined artifacts; each build notes its id outside of every machine. */
async function project(name: string, ...list: string[]): Promise<void> {
  const note = `echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER $CODEBUILD_BUILD_ID" >>${marks}/${name}`;
  const spec = `${commands(note, 'echo $CODEBUILD_BATCH_BUILD_IDENTIFIER >out', ...list).replace('phases:', `${GRAPH}phases:`)}artifacts: { files: [out] }\n`;
  await bench.project(name, spec, {
    buildBatchConfig: { serviceRole: bench.role, combineArtifacts: true },
    artifacts: { type: 'S3', location: bench.bucket, name: `${name}.zip`, packaging: 'ZIP' },
  });
}

function ran(name: string): string[] {
  const file = path.join(marks, name);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

async function wait(id: string, until = (batch: BuildBatch) => batch.complete === true): Promise<BuildBatch> {
  for (;;) {
    const { buildBatches } = await bench.codebuild.batchGetBuildBatches({ ids: [id] });
    if (buildBatches?.[0] && until(buildBatches[0])) return buildBatches[0];
    await delay(10);
  }
}

const statuses = (batch: BuildBatch) =>
  batch.buildGroups!.map((group) => `${group.identifier} ${group.currentBuildSummary!.buildStatus}`).join(', ');

test('killed while a build of the batch runs: that build ends FAULT, the batch fails, and a retry finishes it', async () => {
  const held = path.join(marks, 'held-b');
  await project('held', `[ $CODEBUILD_BATCH_BUILD_IDENTIFIER != b ] || [ -e ${held} ] || { touch ${held}; sleep 800; }`);
  const { buildBatch } = await bench.codebuild.startBuildBatch({ projectName: 'held' });
  while (!existsSync(held)) await delay(10);
  await server.kill();
  await server.restart();
  const failed = await wait(buildBatch!.id!);
  assert.equal(failed.buildBatchStatus, 'FAILED', statuses(failed));
  assert.match(statuses(failed), /a SUCCEEDED, b FAULT, c (SUCCEEDED|FAULT), d STOPPED/);
  await bench.codebuild.retryBuildBatch({ id: failed.id!, retryType: 'RETRY_FAILED_BUILDS' });
  const again = await wait(failed.id!);
  assert.equal(again.buildBatchStatus, 'SUCCEEDED', statuses(again));
  assert.equal(ran('held').filter((line) => line.startsWith('a ')).length, 1, 'what had succeeded was not repeated');
  await bench.s3.headObject({ Bucket: bench.bucket, Key: 'held.zip' });
});

test('killed at random, over and over: every batch ends, no build ran twice, and what succeeded was combined', async () => {
  await project('random', 'sleep 0.1');
  const ids: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    ids.push((await bench.codebuild.startBuildBatch({ projectName: 'random' })).buildBatch!.id!);
    await delay(Math.random() * 1500);
    await server.kill();
    await server.restart();
  }
  const batches = await Promise.all(ids.map((id) => wait(id)));
  for (const batch of batches) {
    for (const { identifier, currentBuildSummary } of batch.buildGroups!.slice(1)) {
      const { arn, buildStatus } = currentBuildSummary!;
      const count = ran('random').filter((line) => line === `${identifier} ${arn!.split('build/')[1]}`).length;
      const told = `${batch.id} ${identifier} ${buildStatus} ran ${count} times`;
      if (buildStatus === 'SUCCEEDED') assert.equal(count, 1, told);
      else assert.ok(count <= (buildStatus === 'FAULT' ? 1 : 0), told);
    }
    if (batch.buildBatchStatus === 'SUCCEEDED') assert.match(batch.artifacts!.location!, /random\.zip$/);
    else assert.match(statuses(batch), /FAULT/, statuses(batch));
  }
  const { ids: started } = await bench.codebuild.listBuildsForProject({ projectName: 'random' });
  const known = batches.flatMap((batch) => batch.buildGroups!.map((group) => group.currentBuildSummary!.arn!.split('build/')[1]));
  assert.deepEqual(
    started!.filter((id) => !known.includes(id)),
    [],
    'no build that its batch does not know',
  );
});

test('killed while it was being stopped: the batch ends STOPPED', async () => {
  const began = path.join(marks, 'stopping-began');
  await project('stopping', `touch ${began}`, "trap '' TERM", 'sleep 801 & while :; do wait; done');
  const { buildBatch } = await bench.codebuild.startBuildBatch({ projectName: 'stopping' });
  while (!existsSync(began)) await delay(10);
  const stopping = bench.codebuild.stopBuildBatch({ id: buildBatch!.id! }).catch(() => undefined);
  await wait(buildBatch!.id!, (batch) => batch.buildGroups!.length > 1);
  await server.kill();
  await stopping;
  await server.restart();
  const { buildBatch: told } = await bench.codebuild.stopBuildBatch({ id: buildBatch!.id! });
  assert.equal((await wait(told!.id!)).buildBatchStatus, 'STOPPED');
});
