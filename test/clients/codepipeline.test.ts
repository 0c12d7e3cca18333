/** Pipelines, their versions, tags and lists, and what is wrong with a request, by SDK v3. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CodePipeline } from '@aws-sdk/client-codepipeline';
import { allow } from '../support/codebuild.ts';
import { action, approval, Pipelines, stage } from '../support/codepipeline.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let pipelines: Pipelines;
let codepipeline: CodePipeline;

before(async () => {
  server = await startServer({ args: ['--machines', 'dummy'] });
  pipelines = await Pipelines.open(server);
  codepipeline = pipelines.codepipeline;
  await pipelines.repository('web');
});
after(() => server.stop());

const stages = (last = 'Approval') => [
  stage('Source', pipelines.source('web', { PollForSourceChanges: 'false' })),
  stage(last, approval('Release')),
];
const arnOf = (name: string): string => `arn:aws:codepipeline:${server.region}:${server.account}:${name}`;
const MISSING = '00000000-0000-4000-8000-000000000000';

test('a pipeline is made with its defaults, read back, changed, and starts itself once', async () => {
  const { pipelineType: _, ...v1 } = pipelines.declaration('plain', stages());
  const made = await codepipeline.createPipeline({ pipeline: v1, tags: [{ key: 'team', value: 'a' }] });
  assert.equal(made.pipeline?.version, 1);
  assert.equal(made.pipeline?.pipelineType, 'V1');
  assert.equal(made.pipeline?.executionMode, 'SUPERSEDED');
  assert.deepEqual(made.tags, [{ key: 'team', value: 'a' }]);

  const changed = await codepipeline.updatePipeline({ pipeline: pipelines.declaration('plain', stages('Other')) });
  assert.equal(changed.pipeline?.version, 2);
  const { pipeline, metadata } = await codepipeline.getPipeline({ name: 'plain' });
  assert.deepEqual(
    pipeline?.stages?.map(({ name }) => name),
    ['Source', 'Other'],
  );
  assert.equal(pipeline?.version, 2);
  assert.equal(metadata?.pipelineArn, arnOf('plain'));
  assert.ok(metadata!.updated! >= metadata!.created!);
  const first = await codepipeline.getPipeline({ name: 'plain', version: 1 });
  assert.equal(first.pipeline?.stages?.[1]?.name, 'Approval');

  const [id, ...others] = await pipelines.executions('plain');
  assert.deepEqual(others, []);
  const execution = await pipelines.execution('plain', id!);
  assert.equal(execution.trigger?.triggerType, 'CreatePipeline');
  assert.equal(execution.pipelineVersion, 1);
});

test('an execution runs the version that it was started with, whatever the pipeline becomes', async () => {
  const id = await pipelines.create('changing', stages());
  await pipelines.waiting('changing', 'Approval', id);
  await codepipeline.updatePipeline({ pipeline: pipelines.declaration('changing', [...stages(), stage('More', approval('Again'))]) });
  await pipelines.answer('changing', 'Approval', id);
  assert.equal((await pipelines.ended('changing', id)).pipelineVersion, 1);
  assert.deepEqual(
    (await pipelines.runs('changing', id)).map((run) => [run.stageName, run.pipelineVersion]),
    [
      ['Source', 1],
      ['Approval', 1],
    ],
  );
});

test('lists are paged, and a token serves only its own list', async () => {
  for (const name of ['list-b', 'list-a', 'list-c']) await pipelines.create(name, stages());
  const names: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await codepipeline.listPipelines({ maxResults: 2, nextToken });
    assert.ok(page.pipelines!.length <= 2);
    names.push(...page.pipelines!.map(({ name }) => name!));
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(names, [...names].sort());
  assert.deepEqual(
    names.filter((name) => name.startsWith('list-')),
    ['list-a', 'list-b', 'list-c'],
  );

  const { nextToken: token } = await codepipeline.listPipelines({ maxResults: 1 });
  await refused(codepipeline.listPipelineExecutions({ pipelineName: 'list-a', nextToken: token }), 'InvalidNextTokenException');
  await refused(codepipeline.listPipelines({ nextToken: 'bogus' }), 'InvalidNextTokenException');
  const summary = (await codepipeline.listPipelines({})).pipelines!.find(({ name }) => name === 'list-a')!;
  assert.equal(summary.executionMode, 'SUPERSEDED');
  assert.equal(summary.pipelineType, 'V2');
  assert.equal(summary.version, 1);
});

test('executions and action runs are paged, the newest first', async () => {
  const ids = [await pipelines.create('history', stages(), { executionMode: 'QUEUED' })];
  await pipelines.waiting('history', 'Approval', ids[0]!);
  for (let index = 0; index < 2; index++) ids.unshift(await pipelines.start('history'));
  const seen: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await codepipeline.listPipelineExecutions({ pipelineName: 'history', maxResults: 1, nextToken });
    seen.push(...page.pipelineExecutionSummaries!.map((summary) => summary.pipelineExecutionId!));
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(seen, ids);

  await pipelines.answer('history', 'Approval', ids[2]!);
  await pipelines.ended('history', ids[2]!);
  const filter = { succeededInStage: { stageName: 'Approval' } };
  const succeeded = await codepipeline.listPipelineExecutions({ pipelineName: 'history', filter });
  assert.deepEqual(
    succeeded.pipelineExecutionSummaries?.map((summary) => summary.pipelineExecutionId),
    [ids[2]],
  );

  const mine = { pipelineName: 'history', filter: { pipelineExecutionId: ids[2]! } };
  const newest = await codepipeline.listActionExecutions({ ...mine, maxResults: 1 });
  assert.deepEqual(
    newest.actionExecutionDetails?.map((run) => run.actionName),
    ['Release'],
  );
  const older = await codepipeline.listActionExecutions({ ...mine, nextToken: newest.nextToken });
  assert.deepEqual(
    older.actionExecutionDetails?.map((run) => run.actionName),
    ['Repository'],
  );
  assert.equal(older.nextToken, undefined);
  await refused(codepipeline.listActionExecutions({ pipelineName: 'history', nextToken: newest.nextToken }), 'InvalidNextTokenException');
  await refused(
    codepipeline.listActionExecutions({ pipelineName: 'history', filter: { pipelineExecutionId: MISSING } }),
    'PipelineExecutionNotFoundException',
  );
});

test('tags are set, changed, listed by pages and taken away', async () => {
  await pipelines.create('tagged', stages());
  const resourceArn = arnOf('tagged');
  await codepipeline.tagResource({ resourceArn, tags: ['a', 'b', 'c'].map((key) => ({ key, value: '1' })) });
  await codepipeline.tagResource({ resourceArn, tags: [{ key: 'b', value: '2' }] });
  const first = await codepipeline.listTagsForResource({ resourceArn, maxResults: 2 });
  assert.deepEqual(first.tags, [
    { key: 'a', value: '1' },
    { key: 'b', value: '2' },
  ]);
  const rest = await codepipeline.listTagsForResource({ resourceArn, nextToken: first.nextToken });
  assert.deepEqual(rest.tags, [{ key: 'c', value: '1' }]);
  await codepipeline.untagResource({ resourceArn, tagKeys: ['a', 'c', 'never'] });
  assert.deepEqual((await codepipeline.listTagsForResource({ resourceArn })).tags, [{ key: 'b', value: '2' }]);

  const many = Array.from({ length: 50 }, (_, index) => ({ key: `k${index}`, value: '' }));
  await refused(codepipeline.tagResource({ resourceArn, tags: many }), 'TooManyTagsException');
  assert.equal((await codepipeline.listTagsForResource({ resourceArn })).tags?.length, 1);
  await refused(codepipeline.tagResource({ resourceArn, tags: [{ key: 'aws:x', value: '' }] }), 'InvalidTagsException');
  await refused(codepipeline.listTagsForResource({ resourceArn: arnOf('nobody') }), 'ResourceNotFoundException');
  await refused(codepipeline.listTagsForResource({ resourceArn: 'arn:aws:s3:us-east-1:123456789012:x' }), 'ValidationException');
});

test('what a pipeline may not be is said in the words of AWS', async () => {
  await pipelines.create('taken', stages());
  const taken = `A pipeline with the name 'taken' already exists in account '${server.account}'`;
  await refused(
    codepipeline.createPipeline({ pipeline: pipelines.declaration('taken', stages()) }),
    'PipelineNameInUseException',
    taken,
    400,
  );
  const short = pipelines.declaration('short', stages().slice(0, 1));
  await refused(codepipeline.createPipeline({ pipeline: short }), 'InvalidStructureException', /minimum of 2 stages/);
  await refused(codepipeline.updatePipeline({ pipeline: { ...short, name: 'taken' } }), 'InvalidStructureException', /minimum of 2 stages/);
  await refused(codepipeline.createPipeline({ pipeline: pipelines.declaration('bad name', stages()) }), 'ValidationException');
  const secret = action('x', 'Invoke/Lambda', { FunctionName: 'f' });
  await refused(
    codepipeline.createPipeline({ pipeline: pipelines.declaration('invoke', [stages()[0]!, stage('Next', secret)]) }),
    'InvalidActionDeclarationException',
    /is not available/,
  );
  const gone = pipelines.declaration('gone', stages(), { roleArn: `arn:aws:iam::${server.account}:role/nobody` });
  await refused(
    codepipeline.createPipeline({ pipeline: gone }),
    'InvalidStructureException',
    `CodePipeline is not authorized to perform AssumeRole on role ${gone.roleArn}`,
  );
  const builder = await pipelines.makeRole('only-builds', allow('*'), ['codebuild']);
  await refused(
    codepipeline.createPipeline({ pipeline: pipelines.declaration('untrusted', stages(), { roleArn: builder }) }),
    'InvalidStructureException',
    /not authorized to perform AssumeRole/,
  );
  await refused(
    codepipeline.updatePipeline({ pipeline: pipelines.declaration('never', stages()) }),
    'ResourceNotFoundException',
    /does not include a pipeline with the name 'never'/,
  );
});

test('names that are not there', async () => {
  const message = `Account '${server.account}' does not have a pipeline with name 'never'`;
  const missing = 'PipelineNotFoundException';
  await refused(codepipeline.getPipeline({ name: 'never' }), missing, message, 400);
  await refused(codepipeline.getPipelineState({ name: 'never' }), missing, message);
  await refused(codepipeline.startPipelineExecution({ name: 'never' }), missing, message);
  await refused(codepipeline.listPipelineExecutions({ pipelineName: 'never' }), missing, message);
  await refused(codepipeline.listActionExecutions({ pipelineName: 'never' }), missing, message);
  await refused(codepipeline.stopPipelineExecution({ pipelineName: 'never', pipelineExecutionId: MISSING }), missing, message);
  await refused(codepipeline.getPipelineExecution({ pipelineName: 'web-none', pipelineExecutionId: MISSING }), missing);
  await codepipeline.deletePipeline({ name: 'never' });

  await pipelines.create('sparse', stages());
  await refused(codepipeline.getPipeline({ name: 'sparse', version: 9 }), 'PipelineVersionNotFoundException', /version '9'/);
  const id = { pipelineName: 'sparse', pipelineExecutionId: MISSING };
  await refused(codepipeline.getPipelineExecution(id), 'PipelineExecutionNotFoundException');
  await refused(codepipeline.stopPipelineExecution(id), 'PipelineExecutionNotStoppableException');
  const where = { pipelineName: 'sparse', stageName: 'Nowhere' };
  await refused(
    codepipeline.retryStageExecution({ ...where, pipelineExecutionId: MISSING, retryMode: 'FAILED_ACTIONS' }),
    'StageNotFoundException',
  );
  await refused(codepipeline.disableStageTransition({ ...where, transitionType: 'Inbound', reason: 'no' }), 'StageNotFoundException');
  await refused(codepipeline.enableStageTransition({ ...where, transitionType: 'Inbound' }), 'StageNotFoundException');
});

test('passing a role takes iam:PassRole, for the roles of actions too', async () => {
  const other = await pipelines.makeRole('other', allow('*'), ['codepipeline']);
  const user = await pipelines.iam.createUser({ UserName: 'maker' });
  const policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'codepipeline:*', Resource: '*' },
      {
        Effect: 'Allow',
        Action: 'iam:PassRole',
        Resource: pipelines.role,
        Condition: { StringEquals: { 'iam:PassedToService': 'codepipeline.amazonaws.com' } },
      },
    ],
  });
  await pipelines.iam.putUserPolicy({ UserName: 'maker', PolicyName: 'p', PolicyDocument: policy });
  const { AccessKey } = await pipelines.iam.createAccessKey({ UserName: user.User!.UserName });
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const maker = new CodePipeline({ ...server.client, credentials });
  await maker.createPipeline({ pipeline: pipelines.declaration('passed', stages()) });
  const second = stage('Next', approval('Release', { roleArn: other }));
  const pipeline = pipelines.declaration('not-passed', [stages()[0]!, second]);
  await refused(maker.createPipeline({ pipeline }), 'AccessDeniedException', /iam:PassRole on resource: .*role\/other/);
  await refused(maker.updatePipeline({ pipeline: { ...pipeline, name: 'passed' } }), 'AccessDeniedException', /iam:PassRole/);
});

test('action types tell what their actions take', async () => {
  const { actionTypes = [] } = await codepipeline.listActionTypes({});
  const build = actionTypes.find(({ id }) => id?.category === 'Build' && id.provider === 'CodeBuild')!;
  assert.deepEqual(build.inputArtifactDetails, { minimumCount: 1, maximumCount: 5 });
  assert.equal(build.actionConfigurationProperties?.find(({ name }) => name === 'ProjectName')?.required, true);
  assert.deepEqual((await codepipeline.listActionTypes({ actionOwnerFilter: 'Custom' })).actionTypes, []);
  await refused(codepipeline.listActionTypes({ nextToken: 'x' }), 'InvalidNextTokenException');
});

test('a deleted pipeline is gone with its executions, even while one runs, and its name is free', async () => {
  const id = await pipelines.create('short-lived', stages());
  await pipelines.waiting('short-lived', 'Approval', id);
  await codepipeline.deletePipeline({ name: 'short-lived' });
  await refused(codepipeline.getPipelineState({ name: 'short-lived' }), 'PipelineNotFoundException');
  const again = await pipelines.create('short-lived', stages());
  assert.deepEqual(await pipelines.executions('short-lived'), [again]);
  assert.equal((await codepipeline.getPipeline({ name: 'short-lived' })).pipeline?.version, 1);
});

test('what is not done yet says so', async () => {
  await refused(codepipeline.listWebhooks({}), 'NotImplementedException', undefined, 501);
});
