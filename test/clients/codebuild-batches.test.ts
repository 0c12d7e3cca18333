/** Builds in batches, as users see them: order, failures and retries, stops, sources, artifacts. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import type { CodeBuild } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { fromBufferPromise } from 'yauzl';
import { type BatchBench, batchBench, batchPhases, batchspec, groupLines, groupOf } from '../support/batches.ts';
import { type BuildBench, buildBench, commands } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let batches: BatchBench;
let codebuild: CodeBuild;
let marks: string;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  batches = await batchBench(bench);
  codebuild = bench.codebuild;
  marks = await mkdtemp(path.join(tmpdir(), 'batches-'));
});
after(async () => {
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

const fails = (name: string, message: RegExp) => (error: Error) => error.name === name && message.test(error.message);

test('a graph runs its builds in order; batch, groups and builds tell of each other', async () => {
  await batches.project(
    'graph',
    `build-graph:
  - identifier: last
    depend-on: [left, right]
  - identifier: first
    env: { variables: { WHO: me }, image: other, compute-type: BUILD_GENERAL1_LARGE, type: ARM_CONTAINER, privileged-mode: true }
  - { identifier: left, depend-on: [first] }
  - { identifier: right, depend-on: [first] }`,
    `echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER" >>${marks}/graph`,
    'echo "I am $WHO"',
  );
  const { buildBatch: started } = await codebuild.startBuildBatch({
    projectName: 'graph',
    environmentVariablesOverride: [{ name: 'WHO', value: 'anybody' }],
    buildTimeoutInMinutesOverride: 11,
  });
  assert.match(started!.id!, /^graph:[0-9a-f-]{36}$/);
  assert.equal(started!.arn, `arn:aws:codebuild:${server.region}:${server.account}:build-batch/${started!.id}`);
  assert.equal(started!.currentPhase, 'SUBMITTED');
  assert.equal(started!.buildBatchStatus, 'IN_PROGRESS');
  assert.equal(started!.complete, false);
  const batch = await batches.wait(started!.id!);
  assert.deepEqual(batchPhases(batch), [
    'SUBMITTED SUCCEEDED',
    'DOWNLOAD_BATCHSPEC SUCCEEDED',
    'IN_PROGRESS SUCCEEDED',
    'COMBINE_ARTIFACTS SUCCEEDED',
    'SUCCEEDED',
  ]);
  assert.deepEqual(groupLines(batch), [
    'DOWNLOAD_SOURCE SUCCEEDED',
    'last SUCCEEDED',
    'first SUCCEEDED',
    'left SUCCEEDED',
    'right SUCCEEDED',
  ]);
  assert.deepEqual(groupOf(batch, 'last').dependsOn, ['left', 'right']);
  assert.deepEqual(groupOf(batch, 'last').currentBuildSummary!.primaryArtifact, { type: 'NO_ARTIFACTS', identifier: 'last' });
  const { buildBatchNumber, buildBatchStatus, complete, initiator, endTime } = batch;
  assert.deepEqual([buildBatchNumber, buildBatchStatus, complete, initiator], [1, 'SUCCEEDED', true, 'administrator']);
  assert.ok(endTime! >= batch.startTime!);
  assert.deepEqual(batch.buildBatchConfig, {
    ...batches.buildBatchConfig,
    restrictions: { maximumBuildsAllowed: 100 },
    timeoutInMins: 480,
  });

  const first = await batches.buildOf(batch, 'first');
  const { image, computeType, type, privilegedMode } = first.environment!;
  assert.deepEqual([image, computeType, type, privilegedMode], ['other', 'BUILD_GENERAL1_LARGE', 'ARM_CONTAINER', true]);
  assert.equal(first.buildBatchArn, batch.arn);
  assert.equal(first.timeoutInMinutes, 11);
  assert.match(await bench.log(first), /^I am me$/m);
  const left = await batches.buildOf(batch, 'left');
  assert.equal(left.environment!.computeType, 'BUILD_GENERAL1_SMALL');
  assert.match(await bench.log(left), /^I am anybody$/m);
  const { ids } = await codebuild.listBuildsForProject({ projectName: 'graph', sortOrder: 'ASCENDING' });
  assert.equal(ids!.length, 5);
  assert.equal(groupOf(batch, 'DOWNLOAD_SOURCE').currentBuildSummary!.arn!.split('build/')[1], ids![0]);
  assert.match(
    await bench.log(await batches.buildOf(batch, 'DOWNLOAD_SOURCE')),
    /Builds found in the batch section: last, first, left, right/,
  );

  const { Events } = await new CloudTrail(server.client).lookupEvents({
    LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'StartBuild' }],
  });
  const records = Events!.map((event) => JSON.parse(event.CloudTrailEvent!));
  const ofBatch = records.filter(({ requestParameters }) => requestParameters.batchId === started!.id!.split(':')[1]);
  assert.deepEqual(ofBatch.map(({ requestParameters }) => requestParameters.identifier).sort(), [
    'DOWNLOAD_SOURCE',
    'first',
    'last',
    'left',
    'right',
  ]);
  assert.equal(ofBatch[0].userIdentity.sessionContext.sessionIssuer.arn, batches.buildBatchConfig.serviceRole);
  assert.equal(ofBatch[0].userIdentity.invokedBy, 'codebuild.amazonaws.com');
});

test('what depends on a failed build does not run, unless its failure is ignored; the failed ones can be retried', async () => {
  const repaired = path.join(marks, 'repaired');
  await batches.project(
    'failing',
    `build-graph:
  - identifier: broken
  - { identifier: after_broken, depend-on: [broken] }
  - { identifier: after_that, depend-on: [after_broken], ignore-failure: true }
  - { identifier: shrugged, ignore-failure: true }
  - { identifier: after_shrugged, depend-on: [shrugged] }
  - identifier: fine`,
    `case $CODEBUILD_BATCH_BUILD_IDENTIFIER in broken|shrugged) [ -e ${repaired} ];; esac`,
    `echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER" >>${marks}/failing`,
  );
  const failed = await batches.run('failing');
  assert.equal(failed.buildBatchStatus, 'FAILED');
  assert.deepEqual(groupLines(failed), [
    'DOWNLOAD_SOURCE SUCCEEDED',
    'broken FAILED',
    'after_broken STOPPED',
    'after_that STOPPED',
    'shrugged FAILED',
    'after_shrugged SUCCEEDED',
    'fine SUCCEEDED',
  ]);
  assert.deepEqual(batchPhases(failed).slice(-2), ['IN_PROGRESS FAILED', 'FAILED']);
  assert.match(
    failed.phases![2]!.contexts![0]!.message!,
    /^Builds of the batch did not succeed: broken \(FAILED\), after_broken \(STOPPED\)$/,
  );
  const { builds } = await codebuild.batchGetBuilds({ ids: [groupOf(failed, 'after_broken').currentBuildSummary!.arn!] });
  assert.deepEqual(builds, [], 'a build that never began');

  await writeFile(repaired, '');
  const request = { id: failed.id!, retryType: 'RETRY_FAILED_BUILDS', idempotencyToken: 'again' } as const;
  const { buildBatch: again } = await codebuild.retryBuildBatch(request);
  assert.equal(again!.id, failed.id);
  assert.deepEqual(batchPhases(again!).slice(-2), ['FAILED FAILED', 'SUBMITTED']);
  const succeeded = await batches.wait(again!.id!);
  assert.equal(succeeded.buildBatchStatus, 'SUCCEEDED', groupLines(succeeded).join());
  assert.deepEqual(
    groupOf(succeeded, 'broken').priorBuildSummaryList!.map(({ arn, buildStatus }) => [arn, buildStatus]),
    [[groupOf(failed, 'broken').currentBuildSummary!.arn, 'FAILED']],
  );
  assert.equal(groupOf(succeeded, 'after_broken').priorBuildSummaryList, undefined);
  assert.deepEqual(groupOf(succeeded, 'fine'), groupOf(failed, 'fine'), 'what had succeeded was not run again');
  const { buildBatch: repeated } = await codebuild.retryBuildBatch(request);
  assert.equal(repeated!.phases!.length, succeeded.phases!.length, 'the token makes it the same retry');
  await assert.rejects(codebuild.retryBuildBatch({ id: failed.id }), fails('InvalidInputException', /only batches that have failed/));
});

test('all builds can be retried, the download of the source among them', async () => {
  await batches.project('retried', 'build-list: [{ identifier: one }, { identifier: two }]', '[ $CODEBUILD_BATCH_BUILD_IDENTIFIER = two ]');
  const failed = await batches.run('retried');
  await codebuild.updateProject({ name: 'retried', source: { type: 'NO_SOURCE', buildspec: commands('true') } });
  await codebuild.retryBuildBatch({ id: failed.id!, retryType: 'RETRY_ALL_BUILDS' });
  const again = await batches.wait(failed.id!);
  assert.deepEqual(
    groupLines(again),
    ['DOWNLOAD_SOURCE SUCCEEDED', 'one FAILED', 'two SUCCEEDED'],
    'by the settings that it was started with',
  );
  for (const identifier of ['DOWNLOAD_SOURCE', 'one', 'two']) {
    const prior = groupOf(again, identifier).priorBuildSummaryList!;
    assert.deepEqual(prior, [groupOf(failed, identifier).currentBuildSummary], identifier);
  }
});

test('fast-fail stops what runs, and ends the batch as failed', async () => {
  const waiting = path.join(marks, 'waiting');
  await batches.project(
    'fast',
    'fast-fail: true\nbuild-list: [{ identifier: slow }, { identifier: broken }]',
    `case $CODEBUILD_BATCH_BUILD_IDENTIFIER in slow) touch ${waiting}; sleep 600;; *) until [ -e ${waiting} ]; do sleep 0.02; done; false;; esac`,
  );
  const batch = await batches.run('fast');
  assert.equal(batch.buildBatchStatus, 'FAILED');
  assert.deepEqual(groupLines(batch), ['DOWNLOAD_SOURCE SUCCEEDED', 'slow STOPPED', 'broken FAILED']);
});

test('a batch is stopped with all of its builds, in any phase; a stopped build fails its batch', async () => {
  await batches.project(
    'stopped',
    'build-graph: [{ identifier: slow }, { identifier: next, depend-on: [slow] }]',
    `touch ${marks}/slow; sleep 601`,
  );
  const { buildBatch: early } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  const { buildBatch: atOnce } = await codebuild.stopBuildBatch({ id: early!.arn! });
  assert.equal(atOnce!.buildBatchStatus, 'STOPPED');
  assert.equal(batchPhases(atOnce!).at(-1), 'STOPPED');
  const { buildBatch: started } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  while (!existsSync(path.join(marks, 'slow'))) await delay(10);
  const { buildBatch: stopped } = await codebuild.stopBuildBatch({ id: started!.id! });
  assert.deepEqual(batchPhases(stopped!).slice(-2), ['IN_PROGRESS STOPPED', 'STOPPED']);
  assert.deepEqual(groupLines(stopped!), ['DOWNLOAD_SOURCE SUCCEEDED', 'slow STOPPED', 'next STOPPED']);
  assert.equal((await batches.buildOf(stopped!, 'slow')).buildStatus, 'STOPPED');
  const { buildBatch: same } = await codebuild.stopBuildBatch({ id: started!.id! });
  assert.deepEqual(same, stopped);

  const { buildBatch: third } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  const running = await batches.wait(third!.id!, (batch) => groupLines(batch).includes('slow IN_PROGRESS'));
  await codebuild.stopBuild({ id: groupOf(running, 'slow').currentBuildSummary!.arn! });
  const failed = await batches.wait(third!.id!);
  assert.deepEqual([failed.buildBatchStatus, ...groupLines(failed).slice(1)], ['FAILED', 'slow STOPPED', 'next STOPPED']);
});

test('matrix and fan-out: each build knows what it is for', async () => {
  await batches.project(
    'matrix',
    'build-matrix: { static: { env: { variables: { S: s } } }, dynamic: { env: { image: [a, b], variables: { V: [x, y] } } } }',
    `echo "$CODEBUILD_BUILD_IMAGE $S $V"`,
  );
  const matrix = await batches.run('matrix');
  assert.equal(matrix.buildBatchStatus, 'SUCCEEDED');
  const seen = await Promise.all(
    matrix
      .buildGroups!.slice(1)
      .map(async ({ identifier }) => (await bench.log(await batches.buildOf(matrix, identifier!))).match(/^[ab] s [xy]$/m)?.[0]),
  );
  assert.deepEqual(seen, ['a s x', 'a s y', 'b s x', 'b s y']);
  await batches.project(
    'fanout',
    'build-fanout: { parallelism: 3 }',
    `echo "$CODEBUILD_CURRENT_SHARD of $CODEBUILD_TOTAL_SHARDS" >>${marks}/shards`,
  );
  const fanout = await batches.run('fanout');
  const logs = await Promise.all(['build_1', 'build_2', 'build_3'].map(async (name) => bench.log(await batches.buildOf(fanout, name))));
  assert.equal(fanout.buildBatchStatus, 'SUCCEEDED', logs.join('\n'));
});

test('a source in CodeCommit: all builds build one commit, each by its own buildspec', async () => {
  const codecommit = new CodeCommit(server.client);
  const repositoryName = 'monorepo';
  await codecommit.createRepository({ repositoryName });
  const put = async (files: Record<string, string>, parentCommitId?: string) => {
    const putFiles = Object.entries(files).map(([filePath, text]) => ({ filePath, fileContent: Buffer.from(text) }));
    return (await codecommit.createCommit({ repositoryName, branchName: 'main', parentCommitId, putFiles })).commitId!;
  };
  const pushed = path.join(marks, 'pushed');
  const show = 'echo "$(cat version) $(git rev-parse HEAD)"';
  const spec =
    'version: 0.2\nbatch:\n  build-graph:\n    - { identifier: a, buildspec: a/build.yml }\n    - { identifier: b, buildspec: b/build.yml, depend-on: [a] }\n';
  const first = await put({
    'ci.yml': spec,
    'a/build.yml': commands(`touch ${marks}/running`, `until [ -e ${pushed} ]; do sleep 0.02; done`, show),
    'b/build.yml': commands(show),
    version: 'one',
  });
  const location = `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/${repositoryName}`;
  await bench.project('monorepo', '', {
    source: { type: 'CODECOMMIT', location, buildspec: 'ci.yml' },
    buildBatchConfig: batches.buildBatchConfig,
  });
  const { buildBatch } = await codebuild.startBuildBatch({ projectName: 'monorepo', sourceVersion: 'main' });
  while (!existsSync(path.join(marks, 'running'))) await delay(10);
  await put({ version: 'two' }, first);
  await writeFile(pushed, '');
  const batch = await batches.wait(buildBatch!.id!);
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED', JSON.stringify(batch.phases));
  assert.equal(batch.resolvedSourceVersion, first);
  assert.equal(batch.sourceVersion, 'main');
  for (const identifier of ['a', 'b'])
    assert.match(await bench.log(await batches.buildOf(batch, identifier)), new RegExp(`^one ${first}$`, 'm'));
  const missing = await batches.run('monorepo', { buildspecOverride: 'none.yml' });
  assert.match(missing.phases![1]!.contexts![0]!.message!, /none\.yml: no such file or directory/);
  codecommit.destroy();
});

const EITHER = 'build-list: [{ identifier: one }, { identifier: two }]';
const object = async (key: string) =>
  (await (await bench.s3.getObject({ Bucket: bench.bucket, Key: key })).Body!.transformToString()).trim();

test('artifacts lie apart, or combined in one folder or one archive', async () => {
  const files = 'artifacts: { files: [out, bin/tool], secondary-artifacts: { extra: { files: [out] } } }';
  const make = 'mkdir bin; echo tool >bin/tool; chmod 755 bin/tool; echo $CODEBUILD_BATCH_BUILD_IDENTIFIER >out';
  const spec = `${batchspec(EITHER, make)}${files}\n`;
  const s3 = { type: 'S3', location: bench.bucket } as const;
  await bench.project('apart', spec, {
    buildBatchConfig: batches.buildBatchConfig,
    artifacts: { ...s3, path: 'apart', name: 'result' },
    secondaryArtifacts: [{ ...s3, path: 'more', name: 'extra', artifactIdentifier: 'extra' }],
  });
  const apart = await batches.run('apart');
  assert.equal(apart.buildBatchStatus, 'SUCCEEDED');
  const { primaryArtifact, secondaryArtifacts } = groupOf(apart, 'two').currentBuildSummary!;
  const at = (key: string) => `arn:aws:s3:::${bench.bucket}/${key}`;
  assert.deepEqual(primaryArtifact, { type: 'S3', location: at('apart/two/result'), identifier: 'two' });
  assert.deepEqual(secondaryArtifacts, [{ type: 'S3', location: at('more/two/extra'), identifier: 'extra' }]);
  assert.deepEqual(
    [await object('apart/one/result/out'), await object('apart/two/result/out'), await object('more/one/extra/out')],
    ['one', 'two', 'one'],
  );

  const combined = { buildBatchConfigOverride: { combineArtifacts: true } };
  const folder = await batches.run('apart', { ...combined, artifactsOverride: { ...s3, path: 'folder', name: 'all' } });
  assert.equal(folder.artifacts!.location, at('folder/all'));
  assert.deepEqual([await object('folder/all/one/out'), await object('folder/all/two/out')], ['one', 'two']);

  const zip = await batches.run('apart', { ...combined, artifactsOverride: { ...s3, path: 'zip', name: 'all.zip', packaging: 'ZIP' } });
  assert.equal(zip.buildBatchStatus, 'SUCCEEDED', JSON.stringify(zip.phases));
  assert.equal(zip.artifacts!.location, at('zip/all.zip'));
  const stored = await bench.s3.getObject({ Bucket: bench.bucket, Key: 'zip/all.zip' });
  assert.equal(stored.Metadata!['codebuild-buildarn'], zip.arn);
  assert.equal(stored.Metadata!['codebuild-content-sha256'], zip.artifacts!.sha256sum);
  const archive = await fromBufferPromise(Buffer.from(await stored.Body!.transformToByteArray()), { lazyEntries: true });
  const entries: string[] = [];
  for await (const entry of archive.eachEntry())
    entries.push(`${entry.fileName} ${((entry.externalFileAttributes >>> 16) & 0o777).toString(8)}`);
  assert.deepEqual(entries.sort(), ['one/bin/tool 755', 'one/out 644', 'two/bin/tool 755', 'two/out 644']);
});
