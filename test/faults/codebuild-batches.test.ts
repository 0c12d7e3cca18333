import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BuildBatch } from '@aws-sdk/client-codebuild';
import { type BatchBench, batchBench, batchspec, groupLines } from '../support/batches.ts';
import { type BuildBench, buildBench } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let batches: BatchBench;
let marks: string;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  batches = await batchBench(bench);
  marks = await mkdtemp(path.join(tmpdir(), 'batch-marks-'));
});
after(async () => {
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

const GRAPH = `build-graph:
  - identifier: a
  - { identifier: b, depend-on: [a] }
  - { identifier: c, depend-on: [a] }
  - { identifier: d, depend-on: [b, c] }`;

/** A batch of four builds with combined artifacts; each build notes its id outside of every machine. */
async function project(name: string, ...list: string[]): Promise<void> {
  const note = `echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER $CODEBUILD_BUILD_ID" >>${marks}/${name}`;
  const spec = `${batchspec(GRAPH, note, 'echo $CODEBUILD_BATCH_BUILD_IDENTIFIER >out', ...list)}artifacts: { files: [out] }\n`;
  await bench.project(name, spec, {
    buildBatchConfig: { ...batches.buildBatchConfig, combineArtifacts: true },
    artifacts: { type: 'S3', location: bench.bucket, name: `${name}.zip`, packaging: 'ZIP' },
  });
}

function ran(name: string): string[] {
  const file = path.join(marks, name);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

const statuses = (batch: BuildBatch) => groupLines(batch).join(', ');

test('killed while a build of the batch runs: that build ends FAULT, the batch fails, and a retry finishes it', async () => {
  const held = path.join(marks, 'held-b');
  await project('held', `[ $CODEBUILD_BATCH_BUILD_IDENTIFIER != b ] || [ -e ${held} ] || { touch ${held}; sleep 800; }`);
  const { buildBatch } = await bench.codebuild.startBuildBatch({ projectName: 'held' });
  while (!existsSync(held)) await delay(10);
  await server.kill();
  await server.restart();
  const failed = await batches.wait(buildBatch!.id!);
  assert.equal(failed.buildBatchStatus, 'FAILED', statuses(failed));
  assert.match(statuses(failed), /a SUCCEEDED, b FAULT, c (SUCCEEDED|FAULT), d STOPPED/);
  await bench.codebuild.retryBuildBatch({ id: failed.id!, retryType: 'RETRY_FAILED_BUILDS' });
  const again = await batches.wait(failed.id!);
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
  const ended = await Promise.all(ids.map((id) => batches.wait(id)));
  for (const batch of ended) {
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
  const known = ended.flatMap((batch) => batch.buildGroups!.map((group) => group.currentBuildSummary!.arn!.split('build/')[1]));
  assert.deepEqual(
    started!.filter((id) => !known.includes(id)),
    [],
    'no build that its batch does not know',
  );
});

test('killed while it was being stopped: the batch ends STOPPED', async () => {
  const began = path.join(marks, 'stopping-began');
  const told = path.join(marks, 'stopping-told');
  // Deaf to TERM, but for noting it: then the stop is on record, and the build not over.
  await project('stopping', `trap 'touch ${told}' TERM; touch ${began}; sleep 801 & while :; do wait; done`);
  const { buildBatch } = await bench.codebuild.startBuildBatch({ projectName: 'stopping' });
  while (!existsSync(began)) await delay(10);
  const stopping = bench.codebuild.stopBuildBatch({ id: buildBatch!.id! }).catch(() => undefined);
  while (!existsSync(told)) await delay(10);
  await server.kill();
  await stopping;
  await server.restart();
  const stopped = await batches.wait(buildBatch!.id!);
  assert.deepEqual(groupLines(stopped), ['DOWNLOAD_SOURCE SUCCEEDED', 'a STOPPED', 'b STOPPED', 'c STOPPED', 'd STOPPED']);
  assert.equal(stopped.buildBatchStatus, 'STOPPED');
});
