/** What batches may not do: restrictions, roles, limits, requests that are wrong; and lists, tokens, deletion and events. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { CodeBuild, StartBuildBatchCommandInput } from '@aws-sdk/client-codebuild';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { type BatchBench, batchBench, batchPhases, batchspec, groupLines } from '../support/batches.ts';
import { allow, type BuildBench, buildBench, trust } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { signedCall } from '../support/signed-call.ts';

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

const EITHER = 'build-list: [{ identifier: one }, { identifier: two }]';

test('what the owner of the project restricts, the buildspec cannot have', async () => {
  await batches.project('restricted', `${EITHER.replace('one }', 'one, env: { compute-type: BUILD_GENERAL1_LARGE } }')}`, 'true');
  const ended = async (restrictions: { maximumBuildsAllowed?: number; computeTypesAllowed?: string[] }) => {
    const batch = await batches.run('restricted', { buildBatchConfigOverride: { restrictions } });
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

test('a build may run in a fleet, by its name, where the owner lets it', async () => {
  const capacity = { baseCapacity: 1, environmentType: 'LINUX_CONTAINER', computeType: 'BUILD_GENERAL1_MEDIUM' } as const;
  const { fleet } = await codebuild.createFleet({ name: 'ours', ...capacity });
  await batches.project('fleeting', 'build-list: [{ identifier: in_fleet, env: { fleet: ours } }, { identifier: outside }]', 'true');
  const batch = await batches.run('fleeting', { buildBatchConfigOverride: { restrictions: { fleetsAllowed: [fleet!.arn!] } } });
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED', JSON.stringify(batch.phases));
  const { environment } = await batches.buildOf(batch, 'in_fleet');
  assert.deepEqual([environment!.fleet!.fleetArn, environment!.computeType], [fleet!.arn, 'BUILD_GENERAL1_MEDIUM']);
  assert.equal((await batches.buildOf(batch, 'outside')).environment!.fleet, undefined);
  const other = `arn:aws:codebuild:${server.region}:${server.account}:fleet/other:${randomUUID()}`;
  const forbidden = await batches.run('fleeting', { buildBatchConfigOverride: { restrictions: { fleetsAllowed: [other] } } });
  assert.match(forbidden.phases![1]!.contexts![0]!.message!, /fleet ours of build in_fleet is not among fleetsAllowed/);
  const unknown = await batches.run('fleeting', { buildspecOverride: batchspec('build-list: [{ env: { fleet: nobodys } }]', 'true') });
  assert.equal(unknown.phases![1]!.contexts![0]!.message, 'Fleet cannot be found: nobodys, of build build_1');
});

test('a buildspec that is wrong, and a role that may not start builds, fail the batch and say so', async () => {
  await batches.project('wrong', 'build-graph: [{ identifier: a, depend-on: [b] }]', 'true');
  const wrong = await batches.run('wrong');
  assert.deepEqual(batchPhases(wrong).slice(1), ['DOWNLOAD_BATCHSPEC FAILED', 'FAILED']);
  const { statusCode, message } = wrong.phases![1]!.contexts![0]!;
  assert.deepEqual([statusCode, message], ['YAML_FILE_ERROR', "'a' depends on 'b', which is not in the batch, at line 3"]);
  assert.match(await bench.log(await batches.buildOf(wrong, 'DOWNLOAD_SOURCE')), /YAML_FILE_ERROR Message: 'a' depends on 'b'/);

  const { Role } = await bench.iam.createRole({ RoleName: 'powerless', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  const powerless = await batches.run('wrong', { buildBatchConfigOverride: { serviceRole: Role!.Arn! } });
  assert.match(powerless.phases![1]!.contexts![0]!.message!, /could not start a build: AccessDenied.*codebuild:StartBuild/);
  assert.deepEqual(groupLines(powerless), ['DOWNLOAD_SOURCE STOPPED']);
});

test('under a concurrentBuildLimit the builds of a batch take turns', async () => {
  await batches.project(
    'limited',
    'build-fanout: { parallelism: 4 }',
    `echo in >>${marks}/limited; [ $(grep -c in ${marks}/limited) -gt $(grep -c out ${marks}/limited) ]; sleep 0.1; echo out >>${marks}/limited`,
  );
  await codebuild.updateProject({ name: 'limited', concurrentBuildLimit: 1 });
  const batch = await batches.run('limited');
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED', groupLines(batch).join());
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
      codebuild.startBuildBatch({ projectName: 'plain', buildBatchConfigOverride: batches.buildBatchConfig, ...more }),
      fails('InvalidInputException', message),
    );
  await invalid({ debugSessionEnabled: true }, /Debug sessions are not available/);
  await invalid({ reportBuildBatchStatusOverride: true }, /reportBuildStatus is not supported for source type NO_SOURCE/);
  const bad = (buildBatchConfigOverride: StartBuildBatchCommandInput['buildBatchConfigOverride'], message: RegExp) =>
    invalid({ buildBatchConfigOverride }, message);
  await bad({ ...batches.buildBatchConfig, restrictions: { maximumBuildsAllowed: 101 } }, /maximumBuildsAllowed must be between 1 and 100/);
  await bad({ ...batches.buildBatchConfig, timeoutInMins: 4 }, /timeoutInMins must be between 5 and 2160/);
  await bad({ serviceRole: `arn:aws:iam::${server.account}:role/none` }, /not authorized to perform: sts:AssumeRole/);
  await assert.rejects(
    codebuild.updateProject({ name: 'plain', buildBatchConfig: { restrictions: { maximumBuildsAllowed: 0 } } }),
    fails('InvalidInputException', /maximumBuildsAllowed/),
  );
  await codebuild.updateProject({ name: 'plain', buildBatchConfig: batches.buildBatchConfig });
  const { projects } = await codebuild.batchGetProjects({ names: ['plain'] });
  assert.deepEqual(projects![0]!.buildBatchConfig, batches.buildBatchConfig);

  const request = { projectName: 'plain', idempotencyToken: 'once' };
  const [one, two] = await Promise.all([codebuild.startBuildBatch(request), codebuild.startBuildBatch(request)]);
  assert.equal(one.buildBatch!.id, two.buildBatch!.id);
  await assert.rejects(codebuild.startBuildBatch({ ...request, sourceVersion: 'x' }), fails('InvalidInputException', /idempotency token/));
  await assert.rejects(codebuild.startBuild(request), fails('InvalidInputException', /idempotency token/));
  const first = await batches.wait(one.buildBatch!.id!);
  const second = await batches.run('plain', { buildspecOverride: batchspec(EITHER, 'false') });
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
  await batches.project('evented', EITHER, 'true');
  await assert.rejects(starter.startBuildBatch({ projectName: 'plain' }), fails('AccessDeniedException', /codebuild:StartBuildBatch/));
  const { buildBatch } = await starter.startBuildBatch({ projectName: 'evented' });
  const inner = { projectName: 'evented', batchId: buildBatch!.id!.split(':')[1], identifier: 'one' };
  await assert.rejects(signedCall(server, 'codebuild', 'CodeBuild_20161006.StartBatchedBuild', inner), { name: 'NotImplementedException' });
  await assert.rejects(starter.stopBuildBatch({ id: buildBatch!.id! }), fails('AccessDeniedException', /codebuild:StopBuildBatch/));
  const batch = await batches.wait(buildBatch!.id!);
  assert.equal((await batches.buildOf(batch, 'one')).initiator, 'starter');
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
