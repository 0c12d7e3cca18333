/** kill -9 in the middle of executions: each ends as it truly went, no build and no deployment is made twice, no stage stays locked. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ListDeploymentsCommand } from '@aws-sdk/client-codedeploy';
import { zipOf } from '../support/codebuild.ts';
import { Rollouts } from '../support/codedeploy.ts';
import { action, approval, Pipelines, stage } from '../support/codepipeline.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let pipelines: Pipelines;
let rollouts: Rollouts;
let marks: string;

before(async () => {
  server = await startServer();
  pipelines = await Pipelines.open(server);
  rollouts = await Rollouts.open(server);
  marks = await mkdtemp(path.join(tmpdir(), 'marks-'));
  await pipelines.repository('web', { 'appspec.yml': 'version: 0.0\nos: linux\n' });
});
after(async () => {
  await rollouts.close();
  await server.stop();
  await rm(marks, { recursive: true, force: true });
});

const fromSource = { inputArtifacts: [{ name: 'Source' }] };
const source = () => stage('Source', pipelines.source('web', { PollForSourceChanges: 'false' }));
const build = (ProjectName: string) => action('Build', 'Build/CodeBuild', { ProjectName }, fromSource);
const deploy = (ApplicationName: string) =>
  action('Deploy', 'Deploy/CodeDeploy', { ApplicationName, DeploymentGroupName: 'Fleet' }, fromSource);
const copy = (ObjectKey: string) => action('Copy', 'Deploy/S3', { BucketName: pipelines.bucket, Extract: 'true', ObjectKey }, fromSource);

/** A build that says that it ran, outside of every machine, and then goes on until its file `open` is there. */
async function makeProject(name: string): Promise<void> {
  const commands = [`echo $CODEBUILD_BUILD_ID >>${marks}/${name}`, `while ! test -e ${marks}/open; do sleep 0.05; done`];
  await pipelines.project(name, `version: 0.2\nphases: {build: {commands: ${JSON.stringify(commands)}}}\n`);
}

async function ran(name: string): Promise<string[]> {
  const text = await readFile(path.join(marks, name), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean);
}

async function deployments(applicationName: string): Promise<string[]> {
  const { deployments: ids = [] } = await rollouts.codedeploy.send(
    new ListDeploymentsCommand({ applicationName, deploymentGroupName: 'Fleet' }),
  );
  return ids;
}

async function crash(): Promise<void> {
  await server.kill();
  await server.restart();
}

/** A stage that nobody holds lets the next execution in. */
async function requireFree(name: string, ...answers: string[]): Promise<void> {
  const id = await pipelines.start(name);
  for (const stageName of answers) await pipelines.answer(name, stageName, id);
  await pipelines.ended(name, id);
}

test('killed while an approval waits: it still waits, and its answer leads on', async () => {
  const name = 'approval';
  const id = await pipelines.create(name, [source(), stage('Gate', approval('A')), stage('Second', approval('B'))]);
  const { latestExecution } = await pipelines.waiting(name, 'Gate', id);
  await crash();
  assert.equal((await pipelines.waiting(name, 'Gate', id)).latestExecution?.token, latestExecution?.token);
  await pipelines.answer(name, 'Gate', id);
  // Right after the answer was acknowledged.
  await crash();
  await pipelines.answer(name, 'Second', id);
  await pipelines.ended(name, id);
  assert.equal(await pipelines.story(name, id), 'Repository Succeeded\nA Succeeded\nB Succeeded');
});

test('killed while a build runs: the action fails with what became of the build, and a retry builds again', async () => {
  const name = 'building';
  await makeProject(name);
  const id = await pipelines.create(name, [source(), stage('Build', build(name))]);
  await pipelines.until(async () => (await ran(name)).length === 1);
  await crash();
  await pipelines.ended(name, id, 'Failed');
  const { output } = await pipelines.runOf(name, id, 'Build');
  const [first] = await ran(name);
  assert.equal(output!.executionResult!.externalExecutionId, first);
  assert.match(output!.executionResult!.errorDetails!.message!, /state: FAULT\. Phase: BUILD.*so the build was not started over/);
  assert.equal((await ran(name)).length, 1);
  await writeFile(path.join(marks, 'open'), '');
  await pipelines.codepipeline.retryStageExecution({
    pipelineName: name,
    stageName: 'Build',
    pipelineExecutionId: id,
    retryMode: 'FAILED_ACTIONS',
  });
  await pipelines.ended(name, id);
  assert.equal((await ran(name)).length, 2);
  await requireFree(name);
});

test('killed while a deployment runs: the same deployment is waited for', async () => {
  const name = 'deploying';
  await rollouts.application(name);
  const host = await rollouts.host('deploying-1', { Fleet: name });
  const id = await pipelines.create(name, [source(), stage('Deploy', deploy(name))]);
  await pipelines.until(async () => (await deployments(name)).length === 1);
  await crash();
  host.start();
  await pipelines.ended(name, id);
  const { output } = await pipelines.runOf(name, id, 'Deploy');
  assert.deepEqual(await deployments(name), [output!.executionResult!.externalExecutionId]);
  await requireFree(name);
});

test('killed while files are deployed to S3: in the end all of them are there', async () => {
  const name = 'copying';
  const files = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`f/${index}`, String(index)]));
  await pipelines.s3.putObject({ Bucket: pipelines.bucket, Key: 'copying.zip', Body: await zipOf(files) });
  const objects = stage('Source', pipelines.s3Source('copying.zip', { PollForSourceChanges: 'false' }));
  const id = await pipelines.create(name, [objects, stage('Copy', copy('copied'))]);
  const listed = async (): Promise<number> => (await pipelines.s3.listObjectsV2({ Bucket: pipelines.bucket, Prefix: 'copied/' })).KeyCount!;
  await pipelines.until(async () => (await listed()) > 5);
  await crash();
  await pipelines.ended(name, id);
  assert.equal(await listed(), 150);
  assert.equal(await pipelines.story(name, id), 'Object Succeeded\nCopy Succeeded');
});

test('killed while an execution is being stopped: it ends Stopped', async () => {
  const name = 'stopping';
  const id = await pipelines.create(name, [source(), stage('Gate', approval('A'))]);
  await pipelines.waiting(name, 'Gate', id);
  await pipelines.codepipeline.stopPipelineExecution({ pipelineName: name, pipelineExecutionId: id, abandon: true });
  await crash();
  await pipelines.ended(name, id, 'Stopped');
  await requireFree(name, 'Gate');
});

test('killed at random, over and over: every execution ends, and nothing is made twice without a record', async () => {
  const name = 'random';
  await writeFile(path.join(marks, 'open'), '');
  await makeProject(name);
  await rollouts.application(name);
  (await rollouts.host('random-1', { Fleet: name })).start();
  const stages = [source(), stage('Build', build(name)), stage('Deploy', deploy(name)), stage('Copy', copy('random'))];
  const ids = [await pipelines.create(name, stages, { executionMode: 'QUEUED' })];
  for (let round = 0; round < 6; round++) {
    ids.push(await pipelines.start(name));
    await delay(50 + Math.random() * 900);
    await crash();
  }
  const builds: string[] = [];
  const made: string[] = [];
  for (const id of ids) {
    const over = await pipelines.until(
      async () => {
        const execution = await pipelines.execution(name, id);
        return execution.status !== 'InProgress' && execution;
      },
      () => pipelines.story(name, id),
    );
    const told = await pipelines.story(name, id);
    for (const run of await pipelines.runs(name, id)) {
      const external = run.output?.executionResult?.externalExecutionId;
      if (run.actionName === 'Build' && external) builds.push(external);
      if (run.actionName === 'Deploy' && external) made.push(external);
    }
    // Only a build that the kill hit may fail an execution.
    if (over.status === 'Failed') assert.match(told, /Build Failed Build terminated with state: FAULT/);
    else assert.equal(over.status, 'Succeeded', told);
  }
  const { ids: allBuilds = [] } = await pipelines.codebuild.listBuildsForProject({ projectName: name });
  assert.deepEqual([...allBuilds].sort(), builds.sort());
  assert.equal(new Set(await ran(name)).size, (await ran(name)).length);
  assert.deepEqual((await deployments(name)).sort(), made.sort());
  await requireFree(name);
});

test('of two processes on one database one is killed: the other finishes what both had begun', async () => {
  const name = 'shared';
  const worker = await startServer({ dataDir: server.dataDir, args: ['--role', 'worker'] });
  try {
    await rollouts.application(name);
    (await rollouts.host('shared-1', { Fleet: name })).start();
    const stages = [source(), stage('Copy', copy('shared')), stage('Deploy', deploy(name))];
    const ids = [await pipelines.create(name, stages, { executionMode: 'QUEUED' })];
    for (let index = 0; index < 5; index++) ids.push(await pipelines.start(name));
    await pipelines.until(async () => (await deployments(name)).length >= 1);
    await worker.kill();
    for (const id of ids) await pipelines.ended(name, id);
    assert.equal((await deployments(name)).length, ids.length);
  } finally {
    await worker.kill();
  }
});
