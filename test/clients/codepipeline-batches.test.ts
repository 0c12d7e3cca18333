/** Builds in batches as actions of a pipeline: outputs of single builds, combined outputs, failures. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CreateProjectCommandInput } from '@aws-sdk/client-codebuild';
import { action, approval, Pipelines, stage } from '../support/codepipeline.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let pipelines: Pipelines;

before(async () => {
  server = await startServer();
  pipelines = await Pipelines.open(server);
  await pipelines.repository('app', { text: 'hello' });
});
after(() => server.stop());

const BUILDSPEC = `version: 0.2
batch:
  build-list: [{ identifier: one }, { identifier: two }]
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER $(cat text) $CODEBUILD_INITIATOR" >out
artifacts:
  files: [out]
  secondary-artifacts:
    more: { files: [text] }
`;

const project = (name: string, buildspec = BUILDSPEC, more: Partial<CreateProjectCommandInput> = {}) =>
  pipelines.project(name, buildspec, { buildBatchConfig: { serviceRole: pipelines.role }, ...more });

const build = (ProjectName: string, outputs: string[], configuration: Record<string, string> = {}) =>
  action(
    'Build',
    'Build/CodeBuild',
    { ProjectName, BatchEnabled: 'true', ...configuration },
    {
      inputArtifacts: [{ name: 'Source' }],
      outputArtifacts: outputs.map((name) => ({ name })),
    },
  );

const copy = (input: string) =>
  action(
    `Copy${input}`,
    'Deploy/S3',
    { BucketName: pipelines.bucket, Extract: 'true', ObjectKey: `copied/${input}` },
    { inputArtifacts: [{ name: input }] },
  );

async function textOf(key: string): Promise<string> {
  const { Body } = await pipelines.s3.getObject({ Bucket: pipelines.bucket, Key: `copied/${key}` });
  return (await Body!.transformToString()).trim();
}

test('each output is the artifact of the build that it is named after', async () => {
  await project('apart');
  const id = await pipelines.create('apart', [
    stage('Source', pipelines.source('app')),
    stage('Build', build('apart', ['one', 'two', 'two_more'])),
    stage('Deploy', copy('one'), copy('two'), copy('two_more')),
  ]);
  await pipelines.ended('apart', id);
  assert.deepEqual(
    [await textOf('one/out'), await textOf('two/out'), await textOf('two_more/text')],
    ['one hello codepipeline/apart', 'two hello codepipeline/apart', 'hello'],
  );
  const { externalExecutionId } = (await pipelines.runOf('apart', id, 'Build')).output!.executionResult!;
  const { buildBatches } = await pipelines.codebuild.batchGetBuildBatches({ ids: [externalExecutionId!] });
  assert.equal(buildBatches![0]!.initiator, 'codepipeline/apart');
});

test('CombineArtifacts makes one output of all primary artifacts', async () => {
  await project('combined');
  const id = await pipelines.create('combined', [
    stage('Source', pipelines.source('app')),
    stage('Build', build('combined', ['All'], { CombineArtifacts: 'true' })),
    stage('Deploy', copy('All')),
  ]);
  await pipelines.ended('combined', id);
  assert.equal(await textOf('All/one/out'), 'one hello codepipeline/combined');
  assert.equal(await textOf('All/two/out'), 'two hello codepipeline/combined');
  const two = [
    stage('Source', pipelines.source('app')),
    stage('Build', build('combined', ['A', 'B'], { CombineArtifacts: 'true' })),
    stage('Next', approval('A')),
  ];
  await assert.rejects(pipelines.create('two', two), { name: 'InvalidActionDeclarationException' });
});

test('a batch that fails, and an output that no build has, fail the action with the reason', async () => {
  await project('broken', BUILDSPEC.replace('- echo', '- test $CODEBUILD_BATCH_BUILD_IDENTIFIER = one\n      - echo'));
  const failure = async (name: string, projectName: string, outputs: string[]) => {
    const stages = [
      stage('Source', pipelines.source('app', { PollForSourceChanges: 'false' })),
      stage('Build', build(projectName, outputs)),
    ];
    const id = await pipelines.create(name, stages);
    await pipelines.ended(name, id, 'Failed');
    return (await pipelines.runOf(name, id, 'Build')).output!.executionResult!.errorDetails!;
  };
  const { code, message } = await failure('broken', 'broken', ['one']);
  assert.equal(code, 'JobFailed');
  assert.match(
    message!,
    /^Build terminated with state: FAILED\. Phase: IN_PROGRESS, Code: CLIENT_ERROR, Message: Builds of the batch did not succeed: two \(FAILED\)/,
  );
  const misnamed = await failure('misnamed', 'apart', ['three']);
  assert.match(misnamed.message!, /No build of the batch has the identifier of the output artifact three/);
});
