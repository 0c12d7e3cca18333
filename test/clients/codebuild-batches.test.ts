import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BuildBatch, CodeBuild, StartBuildBatchCommandInput } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { fromBufferPromise } from 'yauzl';
import { allow, type BuildBench, buildBench, commands, trust } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codebuild: CodeBuild;
let marks: string;
let buildBatchConfig: { serviceRole: string };

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  codebuild = bench.codebuild;
  marks = await mkdtemp(path.join(tmpdir(), 'batches-'));
  const { Role } = await bench.iam.createRole({ RoleName: 'batches', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'batches', PolicyName: 'start', PolicyDocument: allow('codebuild:StartBuild') });
  buildBatchConfig = { serviceRole: Role!.Arn! };
});
after(async () => {
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

/** A buildspec with this batch section (YAML flow or block, without indentation) and these commands. */
function batchspec(section: string, ...list: string[]): string {
  return commands(...list).replace('phases:', `batch:\n${section.trim().replaceAll(/^/gm, '  ')}\nphases:`);
}

const project = (name: string, section: string, ...list: string[]) =>
  bench.project(name, batchspec(section, ...list), { buildBatchConfig });

async function wait(id: string, until = (batch: BuildBatch) => batch.complete === true): Promise<BuildBatch> {
  for (;;) {
    const { buildBatches } = await codebuild.batchGetBuildBatches({ ids: [id] });
    if (buildBatches?.[0] && until(buildBatches[0])) return buildBatches[0];
    await delay(20);
  }
}

async function run(projectName: string, more: Omit<StartBuildBatchCommandInput, 'projectName'> = {}): Promise<BuildBatch> {
  const { buildBatch } = await codebuild.startBuildBatch({ projectName, ...more });
  return wait(buildBatch!.id!);
}

const phases = (batch: BuildBatch) => batch.phases!.map(({ phaseType, phaseStatus }) => [phaseType, phaseStatus].filter(Boolean).join(' '));
const groups = (batch: BuildBatch) => batch.buildGroups!.map((group) => `${group.identifier} ${group.currentBuildSummary!.buildStatus}`);
const groupOf = (batch: BuildBatch, identifier: string) => batch.buildGroups!.find((group) => group.identifier === identifier)!;

async function buildOf(batch: BuildBatch, identifier: string) {
  const { builds } = await codebuild.batchGetBuilds({ ids: [groupOf(batch, identifier).currentBuildSummary!.arn!] });
  return builds![0]!;
}

const fails = (name: string, message: RegExp) => (error: Error) => error.name === name && message.test(error.message);

test('a graph runs its builds in order; batch, groups and builds tell of each other', async () => {
  await project(
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
  const batch = await wait(started!.id!);
  assert.deepEqual(phases(batch), [
    'SUBMITTED SUCCEEDED',
    'DOWNLOAD_BATCHSPEC SUCCEEDED',
    'IN_PROGRESS SUCCEEDED',
    'COMBINE_ARTIFACTS SUCCEEDED',
    'SUCCEEDED',
  ]);
  assert.deepEqual(groups(batch), ['DOWNLOAD_SOURCE SUCCEEDED', 'last SUCCEEDED', 'first SUCCEEDED', 'left SUCCEEDED', 'right SUCCEEDED']);
  assert.deepEqual(groupOf(batch, 'last').dependsOn, ['left', 'right']);
  assert.deepEqual(groupOf(batch, 'last').currentBuildSummary!.primaryArtifact, { type: 'NO_ARTIFACTS', identifier: 'last' });
  const { buildBatchNumber, buildBatchStatus, complete, initiator, endTime } = batch;
  assert.deepEqual([buildBatchNumber, buildBatchStatus, complete, initiator], [1, 'SUCCEEDED', true, 'administrator']);
  assert.ok(endTime! >= batch.startTime!);
  assert.deepEqual(batch.buildBatchConfig, { ...buildBatchConfig, restrictions: { maximumBuildsAllowed: 100 }, timeoutInMins: 480 });

  const first = await buildOf(batch, 'first');
  const { image, computeType, type, privilegedMode } = first.environment!;
  assert.deepEqual([image, computeType, type, privilegedMode], ['other', 'BUILD_GENERAL1_LARGE', 'ARM_CONTAINER', true]);
  assert.equal(first.buildBatchArn, batch.arn);
  assert.equal(first.timeoutInMinutes, 11);
  assert.match(await bench.log(first), /^I am me$/m);
  const left = await buildOf(batch, 'left');
  assert.equal(left.environment!.computeType, 'BUILD_GENERAL1_SMALL');
  assert.match(await bench.log(left), /^I am anybody$/m);
  const { ids } = await codebuild.listBuildsForProject({ projectName: 'graph', sortOrder: 'ASCENDING' });
  assert.equal(ids!.length, 5);
  assert.equal(groupOf(batch, 'DOWNLOAD_SOURCE').currentBuildSummary!.arn!.split('build/')[1], ids![0]);
  assert.match(await bench.log(await buildOf(batch, 'DOWNLOAD_SOURCE')), /Builds found in the batch section: last, first, left, right/);
});

test('what depends on a failed build does not run, unless its failure is ignored; the failed ones can be retried', async () => {
  const repaired = path.join(marks, 'repaired');
  await project(
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
  const failed = await run('failing');
  assert.equal(failed.buildBatchStatus, 'FAILED');
  assert.deepEqual(groups(failed), [
    'DOWNLOAD_SOURCE SUCCEEDED',
    'broken FAILED',
    'after_broken STOPPED',
    'after_that STOPPED',
    'shrugged FAILED',
    'after_shrugged SUCCEEDED',
    'fine SUCCEEDED',
  ]);
  assert.deepEqual(phases(failed).slice(-2), ['IN_PROGRESS FAILED', 'FAILED']);
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
  assert.deepEqual(phases(again!).slice(-2), ['FAILED FAILED', 'SUBMITTED']);
  const succeeded = await wait(again!.id!);
  assert.equal(succeeded.buildBatchStatus, 'SUCCEEDED', groups(succeeded).join());
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
  await project('retried', 'build-list: [{ identifier: one }, { identifier: two }]', '[ $CODEBUILD_BATCH_BUILD_IDENTIFIER = two ]');
  const failed = await run('retried');
  await codebuild.updateProject({ name: 'retried', source: { type: 'NO_SOURCE', buildspec: commands('true') } });
  await codebuild.retryBuildBatch({ id: failed.id!, retryType: 'RETRY_ALL_BUILDS' });
  const again = await wait(failed.id!);
  assert.deepEqual(groups(again), ['DOWNLOAD_SOURCE SUCCEEDED', 'one FAILED', 'two SUCCEEDED'], 'by the settings that it was started with');
  for (const identifier of ['DOWNLOAD_SOURCE', 'one', 'two']) {
    const prior = groupOf(again, identifier).priorBuildSummaryList!;
    assert.deepEqual(prior, [groupOf(failed, identifier).currentBuildSummary], identifier);
  }
});

test('fast-fail stops what runs, and ends the batch as failed', async () => {
  const waiting = path.join(marks, 'waiting');
  await project(
    'fast',
    'fast-fail: true\nbuild-list: [{ identifier: slow }, { identifier: broken }]',
    `case $CODEBUILD_BATCH_BUILD_IDENTIFIER in slow) touch ${waiting}; sleep 600;; *) until [ -e ${waiting} ]; do sleep 0.02; done; false;; esac`,
  );
  const batch = await run('fast');
  assert.equal(batch.buildBatchStatus, 'FAILED');
  assert.deepEqual(groups(batch), ['DOWNLOAD_SOURCE SUCCEEDED', 'slow STOPPED', 'broken FAILED']);
});

test('a batch is stopped with all of its builds, in any phase; a stopped build fails its batch', async () => {
  await project(
    'stopped',
    'build-graph: [{ identifier: slow }, { identifier: next, depend-on: [slow] }]',
    `touch ${marks}/slow; sleep 601`,
  );
  const { buildBatch: early } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  const { buildBatch: atOnce } = await codebuild.stopBuildBatch({ id: early!.arn! });
  assert.equal(atOnce!.buildBatchStatus, 'STOPPED');
  assert.equal(phases(atOnce!).at(-1), 'STOPPED');
  const { buildBatch: started } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  while (!existsSync(path.join(marks, 'slow'))) await delay(10);
  const { buildBatch: stopped } = await codebuild.stopBuildBatch({ id: started!.id! });
  assert.deepEqual(phases(stopped!).slice(-2), ['IN_PROGRESS STOPPED', 'STOPPED']);
  assert.deepEqual(groups(stopped!), ['DOWNLOAD_SOURCE SUCCEEDED', 'slow STOPPED', 'next STOPPED']);
  assert.equal((await buildOf(stopped!, 'slow')).buildStatus, 'STOPPED');
  const { buildBatch: same } = await codebuild.stopBuildBatch({ id: started!.id! });
  assert.deepEqual(same, stopped);

  const { buildBatch: third } = await codebuild.startBuildBatch({ projectName: 'stopped' });
  const running = await wait(third!.id!, (batch) => groups(batch).includes('slow IN_PROGRESS'));
  await codebuild.stopBuild({ id: groupOf(running, 'slow').currentBuildSummary!.arn! });
  const failed = await wait(third!.id!);
  assert.deepEqual([failed.buildBatchStatus, ...groups(failed).slice(1)], ['FAILED', 'slow STOPPED', 'next STOPPED']);
});

test('matrix and fan-out: each build knows what it is for', async () => {
  await project(
    'matrix',
    'build-matrix: { static: { env: { variables: { S: s } } }, dynamic: { env: { image: [a, b], variables: { V: [x, y] } } } }',
    `echo "$CODEBUILD_BUILD_IMAGE $S $V"`,
  );
  const matrix = await run('matrix');
  assert.equal(matrix.buildBatchStatus, 'SUCCEEDED');
  const seen = await Promise.all(
    matrix
      .buildGroups!.slice(1)
      .map(async ({ identifier }) => (await bench.log(await buildOf(matrix, identifier!))).match(/^[ab] s [xy]$/m)?.[0]),
  );
  assert.deepEqual(seen, ['a s x', 'a s y', 'b s x', 'b s y']);
  await project(
    'fanout',
    'build-fanout: { parallelism: 3 }',
    `echo "$CODEBUILD_CURRENT_SHARD of $CODEBUILD_TOTAL_SHARDS" >>${marks}/shards`,
  );
  const fanout = await run('fanout');
  const logs = await Promise.all(['build_1', 'build_2', 'build_3'].map(async (name) => bench.log(await buildOf(fanout, name))));
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
  await bench.project('monorepo', '', { source: { type: 'CODECOMMIT', location, buildspec: 'ci.yml' }, buildBatchConfig });
  const { buildBatch } = await codebuild.startBuildBatch({ projectName: 'monorepo', sourceVersion: 'main' });
  while (!existsSync(path.join(marks, 'running'))) await delay(10);
  await put({ version: 'two' }, first);
  await writeFile(pushed, '');
  const batch = await wait(buildBatch!.id!);
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED', JSON.stringify(batch.phases));
  assert.equal(batch.resolvedSourceVersion, first);
  assert.equal(batch.sourceVersion, 'main');
  for (const identifier of ['a', 'b']) assert.match(await bench.log(await buildOf(batch, identifier)), new RegExp(`^one ${first}$`, 'm'));
  const missing = await run('monorepo', { buildspecOverride: 'none.yml' });
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
    buildBatchConfig,
    artifacts: { ...s3, path: 'apart', name: 'result' },
    secondaryArtifacts: [{ ...s3, path: 'more', name: 'extra', artifactIdentifier: 'extra' }],
  });
  const apart = await run('apart');
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
  const folder = await run('apart', { ...combined, artifactsOverride: { ...s3, path: 'folder', name: 'all' } });
  assert.equal(folder.artifacts!.location, at('folder/all'));
  assert.deepEqual([await object('folder/all/one/out'), await object('folder/all/two/out')], ['one', 'two']);

  const zip = await run('apart', { ...combined, artifactsOverride: { ...s3, path: 'zip', name: 'all.zip', packaging: 'ZIP' } });
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

test('what the owner of the project restricts, the buildspec cannot have', async () => {
  await project('restricted', `${EITHER.replace('one }', 'one, env: { compute-type: BUILD_GENERAL1_LARGE } }')}`, 'true');
  const ended = async (restrictions: { maximumBuildsAllowed?: number; computeTypesAllowed?: string[] }) => {
    const batch = await run('restricted', { buildBatchConfigOverride: { restrictions } });
    assert.deepEqual(batch.buildGroups!.map(({ identifier }) => identifier).slice(0, 1), ['DOWNLOAD_SOURCE']);
    return batch.buildBatchStatus === 'FAILED' ? batch.phases![1]!.contexts![0]!.message : batch.buildBatchStatus;
  };
  assert.equal(await ended({ maximumBuildsAllowed: 1 }), 'The batch has 2 builds, more than maximumBuildsAllowed, which is 1');
  assert.match(
    (await ended({ computeTypesAllowed: ['BUILD_GENERAL1_SMALL'] }))!,
    /BUILD_GENERAL1_LARGE of build one is not among computeTypesAllowed/,
  );
  assert.equal(
    await ended({ maximumBuildsAllowed: 2, computeTypesAllowed: ['BUILD_GENERAL1_SMALL', 'BUILD_GENERAL1_LARGE'] }),
    'SUCCEEDED',
  );
});

test('a buildspec that is wrong, and a role that may not start builds, fail the batch and say so', async () => {
  await project('wrong', 'build-graph: [{ identifier: a, depend-on: [b] }]', 'true');
  const wrong = await run('wrong');
  assert.deepEqual(phases(wrong).slice(1), ['DOWNLOAD_BATCHSPEC FAILED', 'FAILED']);
  const { statusCode, message } = wrong.phases![1]!.contexts![0]!;
  assert.deepEqual([statusCode, message], ['YAML_FILE_ERROR', "'a' depends on 'b', which is not in the batch, at line 3"]);
  assert.match(await bench.log(await buildOf(wrong, 'DOWNLOAD_SOURCE')), /YAML_FILE_ERROR Message: 'a' depends on 'b'/);

  const { Role } = await bench.iam.createRole({ RoleName: 'powerless', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  const powerless = await run('wrong', { buildBatchConfigOverride: { serviceRole: Role!.Arn! } });
  assert.match(powerless.phases![1]!.contexts![0]!.message!, /could not start a build: AccessDenied.*codebuild:StartBuild/);
  assert.deepEqual(groups(powerless), ['DOWNLOAD_SOURCE STOPPED']);
});

test('under a concurrentBuildLimit the builds of a batch take turns', async () => {
  await project(
    'limited',
    'build-fanout: { parallelism: 4 }',
    `echo in >>${marks}/limited; [ $(grep -c in ${marks}/limited) -gt $(grep -c out ${marks}/limited) ]; sleep 0.1; echo out >>${marks}/limited`,
  );
  await codebuild.updateProject({ name: 'limited', concurrentBuildLimit: 1 });
  const batch = await run('limited');
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED', groups(batch).join());
  const { builds } = await codebuild.batchGetBuilds({ ids: batch.buildGroups!.map((group) => group.currentBuildSummary!.arn!) });
  const times = builds!.map((build) => [build.startTime!.getTime(), build.endTime!.getTime()]).sort(([a], [b]) => a! - b!);
  for (const [index, [began]] of times.entries()) assert.ok(index === 0 || began! >= times[index - 1]![1]!, 'one after the other');
});

test('tokens, requests that are wrong, lists, deletion', async () => {
  await bench.project('plain', batchspec(EITHER, 'true'));
  await assert.rejects(
    codebuild.startBuildBatch({ projectName: 'plain' }),
    fails('InvalidInputException', /serviceRole is a required field/),
  );
  await assert.rejects(codebuild.startBuildBatch({ projectName: 'nobody' }), fails('ResourceNotFoundException', /Project cannot be found/));
  const invalid = (more: Partial<StartBuildBatchCommandInput>, message: RegExp) =>
    assert.rejects(
      codebuild.startBuildBatch({ projectName: 'plain', buildBatchConfigOverride: buildBatchConfig, ...more }),
      fails('InvalidInputException', message),
    );
  await invalid({ debugSessionEnabled: true }, /Debug sessions are not available/);
  await invalid({ reportBuildBatchStatusOverride: true }, /reportBuildStatus is not supported for source type NO_SOURCE/);
  const bad = (buildBatchConfigOverride: StartBuildBatchCommandInput['buildBatchConfigOverride'], message: RegExp) =>
    invalid({ buildBatchConfigOverride }, message);
  await bad({ ...buildBatchConfig, restrictions: { maximumBuildsAllowed: 101 } }, /maximumBuildsAllowed must be between 1 and 100/);
  await bad({ ...buildBatchConfig, timeoutInMins: 4 }, /timeoutInMins must be between 5 and 2160/);
  await bad({ serviceRole: `arn:aws:iam::${server.account}:role/none` }, /not authorized to perform: sts:AssumeRole/);
  await assert.rejects(
    codebuild.updateProject({ name: 'plain', buildBatchConfig: { restrictions: { maximumBuildsAllowed: 0 } } }),
    fails('InvalidInputException', /maximumBuildsAllowed/),
  );
  await codebuild.updateProject({ name: 'plain', buildBatchConfig });
  const { projects } = await codebuild.batchGetProjects({ names: ['plain'] });
  assert.deepEqual(projects![0]!.buildBatchConfig, buildBatchConfig);

  const request = { projectName: 'plain', idempotencyToken: 'once' };
  const [one, two] = await Promise.all([codebuild.startBuildBatch(request), codebuild.startBuildBatch(request)]);
  assert.equal(one.buildBatch!.id, two.buildBatch!.id);
  await assert.rejects(codebuild.startBuildBatch({ ...request, sourceVersion: 'x' }), fails('InvalidInputException', /idempotency token/));
  await assert.rejects(codebuild.startBuild(request), fails('InvalidInputException', /idempotency token/));
  const first = await wait(one.buildBatch!.id!);
  const second = await run('plain', { buildspecOverride: batchspec(EITHER, 'false') });
  assert.deepEqual([first.buildBatchNumber, second.buildBatchNumber], [1, 2]);

  const all = await codebuild.listBuildBatchesForProject({ projectName: 'plain' });
  assert.deepEqual(all.ids, [second.id, first.id]);
  const filtered = await codebuild.listBuildBatchesForProject({ projectName: 'plain', filter: { status: 'FAILED' } });
  assert.deepEqual(filtered.ids, [second.id]);
  const page = await codebuild.listBuildBatchesForProject({ projectName: 'plain', maxResults: 1, sortOrder: 'ASCENDING' });
  assert.deepEqual(page.ids, [first.id]);
  const rest = await codebuild.listBuildBatchesForProject({
    projectName: 'plain',
    maxResults: 1,
    sortOrder: 'ASCENDING',
    nextToken: page.nextToken,
  });
  assert.deepEqual([rest.ids, rest.nextToken], [[second.id], undefined]);
  await assert.rejects(codebuild.listBuildBatches({ nextToken: page.nextToken }), fails('InvalidInputException', /Invalid next token/));
  const everywhere = await codebuild.listBuildBatches({ filter: { status: 'SUCCEEDED' } });
  assert.ok(everywhere.ids!.includes(first.id!) && !everywhere.ids!.includes(second.id!));
  await assert.rejects(
    codebuild.listBuildBatchesForProject({ projectName: 'nobody' }),
    fails('ResourceNotFoundException', /cannot be found/),
  );

  const unknown = `plain:${randomUUID()}`;
  const { buildBatches, buildBatchesNotFound } = await codebuild.batchGetBuildBatches({ ids: [unknown, first.arn!, '../x', second.id!] });
  assert.deepEqual(
    buildBatches!.map(({ id }) => id),
    [first.id, second.id],
  );
  assert.deepEqual(buildBatchesNotFound, [unknown, '../x']);
  await assert.rejects(codebuild.stopBuildBatch({ id: unknown }), fails('ResourceNotFoundException', /Build batch cannot be found/));
  await assert.rejects(codebuild.stopBuildBatch({ id: 'x' }), fails('InvalidInputException', /Invalid build batch ID/));
  await assert.rejects(codebuild.retryBuildBatch({ id: unknown }), fails('ResourceNotFoundException', /Build batch cannot be found/));

  const { statusCode, buildsDeleted, buildsNotDeleted } = await codebuild.deleteBuildBatch({ id: first.id! });
  assert.deepEqual([statusCode, buildsDeleted!.length, buildsNotDeleted], ['BATCH_DELETED', 3, []]);
  assert.deepEqual(buildsDeleted!.sort(), first.buildGroups!.map((group) => group.currentBuildSummary!.arn!).sort());
  const { buildsNotFound } = await codebuild.batchGetBuilds({ ids: buildsDeleted! });
  assert.equal(buildsNotFound!.length, 3);
  await assert.rejects(codebuild.deleteBuildBatch({ id: first.id! }), fails('InvalidInputException', /cannot be found/));
});

test('a batch may be started by who may start batches of its project, and its events reach rules', async () => {
  const { User } = await bench.iam.createUser({ UserName: 'starter' });
  await bench.iam.putUserPolicy({
    UserName: 'starter',
    PolicyName: 'p',
    PolicyDocument: allow('codebuild:StartBuildBatch', `arn:aws:codebuild:*:*:project/evented`),
  });
  const { AccessKey } = await bench.iam.createAccessKey({ UserName: User!.UserName });
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const starter = new (codebuild.constructor as typeof CodeBuild)({ ...server.client, credentials });
  const events = new EventBridge(server.client);
  const group = '/aws/events/batches';
  await bench.logs.createLogGroup({ logGroupName: group });
  await events.putRule({ Name: 'batches', EventPattern: JSON.stringify({ 'detail-type': ['CodeBuild Build Batch State Change'] }) });
  await events.putTargets({
    Rule: 'batches',
    Targets: [{ Id: '1', Arn: `arn:aws:logs:${server.region}:${server.account}:log-group:${group}` }],
  });
  await project('evented', EITHER, 'true');
  await assert.rejects(starter.startBuildBatch({ projectName: 'plain' }), fails('AccessDeniedException', /codebuild:StartBuildBatch/));
  const { buildBatch } = await starter.startBuildBatch({ projectName: 'evented' });
  await assert.rejects(starter.stopBuildBatch({ id: buildBatch!.id! }), fails('AccessDeniedException', /codebuild:StopBuildBatch/));
  const batch = await wait(buildBatch!.id!);
  assert.equal((await buildOf(batch, 'one')).initiator, 'starter');
  const seen = async () => (await bench.logs.filterLogEvents({ logGroupName: group })).events!.map((event) => JSON.parse(event.message!));
  let told = await seen();
  while (told.length < 2) told = await seen();
  assert.deepEqual(
    told.map((event) => [event.resources[0], event.detail['build-batch-status'], event.detail['current-phase']]),
    [
      [batch.arn, 'IN_PROGRESS', 'SUBMITTED'],
      [batch.arn, 'SUCCEEDED', 'SUCCEEDED'],
    ],
  );
  for (const client of [starter, events]) client.destroy();
});
