/** Executions: who may enter which stage, and how they are stopped, retried, answered and told of. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CodePipeline } from '@aws-sdk/client-codepipeline';
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

const source = () => stage('Source', pipelines.source('web', { PollForSourceChanges: 'false' }));
/** Fails for as long as the bucket is not there. */
const toBucket = (BucketName: string, name = 'Copy') =>
  action(name, 'Deploy/S3', { BucketName, Extract: 'true', ObjectKey: name }, { inputArtifacts: [{ name: 'Source' }] });
const gates = () => [source(), stage('First', approval('A')), stage('Second', approval('B'))];
const stop = (pipelineName: string, pipelineExecutionId: string, more: object = {}) =>
  codepipeline.stopPipelineExecution({ pipelineName, pipelineExecutionId, ...more });
const retry = (
  pipelineName: string,
  stageName: string,
  pipelineExecutionId: string,
  retryMode: 'FAILED_ACTIONS' | 'ALL_ACTIONS' = 'FAILED_ACTIONS',
) => codepipeline.retryStageExecution({ pipelineName, stageName, pipelineExecutionId, retryMode });

test('SUPERSEDED: while one holds a stage, the newest that waits supersedes the others', async () => {
  const first = await pipelines.create('superseded', gates());
  await pipelines.waiting('superseded', 'First', first);
  const second = await pipelines.start('superseded');
  await pipelines.until(async () => (await pipelines.stageState('superseded', 'First')).inboundExecution?.pipelineExecutionId === second);
  const third = await pipelines.start('superseded');
  const over = await pipelines.ended('superseded', second, 'Superseded');
  assert.match(over.statusSummary!, new RegExp(third));
  const state = await pipelines.stageState('superseded', 'First');
  assert.equal(state.latestExecution?.pipelineExecutionId, first);
  assert.equal(state.latestExecution?.status, 'InProgress');
  assert.deepEqual(state.inboundExecutions, [{ pipelineExecutionId: third, status: 'InProgress' }]);
  await pipelines.answer('superseded', 'First', first);
  await pipelines.answer('superseded', 'First', third);
  await pipelines.answer('superseded', 'Second', first);
  await pipelines.ended('superseded', first);
  await pipelines.answer('superseded', 'Second', third);
  await pipelines.ended('superseded', third);
});

test('QUEUED: each stage takes them one by one, in order', async () => {
  const ids = [await pipelines.create('queued', gates(), { executionMode: 'QUEUED' })];
  for (let index = 0; index < 2; index++) ids.push(await pipelines.start('queued'));
  await pipelines.waiting('queued', 'First', ids[0]!);
  await pipelines.until(async () => ((await pipelines.stageState('queued', 'First')).inboundExecutions ?? []).length === 2);
  for (const id of ids) await pipelines.answer('queued', 'First', id);
  for (const id of ids) await pipelines.answer('queued', 'Second', id);
  for (const id of ids) assert.equal((await pipelines.ended('queued', id)).executionMode, 'QUEUED');
});

test('PARALLEL: every execution goes its own way, and each can be retried', async () => {
  const name = 'parallel';
  const first = await pipelines.create(name, [source(), stage('Copy', toBucket('not-yet-there'))], { executionMode: 'PARALLEL' });
  const second = await pipelines.start(name);
  await pipelines.ended(name, first, 'Failed');
  await pipelines.ended(name, second, 'Failed');
  await pipelines.s3.createBucket({ Bucket: 'not-yet-there' });
  // The older one, although a newer one was in the stage since.
  await retry(name, 'Copy', first);
  await pipelines.ended(name, first);
  assert.equal((await pipelines.execution(name, second)).status, 'Failed');
});

test('a disabled transition holds executions back, and says why', async () => {
  const where = { pipelineName: 'held', stageName: 'First', transitionType: 'Inbound' } as const;
  const id = await pipelines.create('held', gates());
  await pipelines.answer('held', 'First', id);
  await pipelines.answer('held', 'Second', id);
  await codepipeline.disableStageTransition({ ...where, reason: 'code freeze' });
  const waits = await pipelines.start('held');
  const state = await pipelines.until(async () => {
    const now = await pipelines.stageState('held', 'First');
    return now.inboundExecution && now;
  });
  assert.equal(state.inboundExecution?.pipelineExecutionId, waits);
  const { enabled, disabledReason, lastChangedBy, lastChangedAt } = state.inboundTransitionState!;
  assert.deepEqual([enabled, disabledReason], [false, 'code freeze']);
  assert.match(lastChangedBy!, /^arn:aws:iam::/);
  assert.ok(lastChangedAt instanceof Date);
  assert.equal(state.latestExecution?.pipelineExecutionId, id);
  await codepipeline.enableStageTransition(where);
  await pipelines.waiting('held', 'First', waits);
  assert.equal((await pipelines.stageState('held', 'First')).inboundTransitionState?.enabled, true);
  await refused(codepipeline.enableStageTransition({ ...where, transitionType: 'Outbound' }), 'ValidationException');
});

test('stopped and waited for: the running action may end, nothing new begins', async () => {
  const name = 'stop-wait';
  const id = await pipelines.create(name, [
    source(),
    stage('First', approval('A'), approval('B', { runOrder: 2 })),
    stage('Second', approval('C')),
  ]);
  await pipelines.waiting(name, 'First', id);
  await stop(name, id, { reason: 'wrong commit' });
  await pipelines.until(async () => (await pipelines.stageState(name, 'First')).latestExecution?.status === 'Stopping');
  assert.equal((await pipelines.execution(name, id)).status, 'Stopping');
  await refused(stop(name, id), 'DuplicatedStopRequestException', /being stopped already/);
  await pipelines.answer(name, 'First', id);
  await pipelines.ended(name, id, 'Stopped');
  assert.equal((await pipelines.stageState(name, 'First')).latestExecution?.status, 'Stopped');
  assert.equal(await pipelines.story(name, id), 'Repository Succeeded\nA Succeeded');
  const { pipelineExecutionSummaries } = await codepipeline.listPipelineExecutions({ pipelineName: name });
  assert.deepEqual(pipelineExecutionSummaries?.[0]?.stopTrigger, { reason: 'wrong commit' });
  await refused(stop(name, id), 'PipelineExecutionNotStoppableException', /Stopped/);
  // And it can be taken up again where it was left.
  await retry(name, 'First', id);
  await pipelines.answer(name, 'First', id);
  await pipelines.answer(name, 'Second', id);
  await pipelines.ended(name, id);
  assert.equal(await pipelines.story(name, id), 'Repository Succeeded\nA Succeeded\nB Succeeded\nC Succeeded');
});

test('abandoned: it ends at once, its action too, also after a stop that waits', async () => {
  const id = await pipelines.create('abandon', gates());
  const { latestExecution } = await pipelines.waiting('abandon', 'First', id);
  await stop('abandon', id);
  await stop('abandon', id, { abandon: true });
  await pipelines.ended('abandon', id, 'Stopped');
  assert.equal(await pipelines.story('abandon', id), 'Repository Succeeded\nA Abandoned');
  const answer = { pipelineName: 'abandon', stageName: 'First', actionName: 'A', token: latestExecution!.token! };
  await refused(
    codepipeline.putApprovalResult({ ...answer, result: { status: 'Approved', summary: '' } }),
    'ApprovalAlreadyCompletedException',
  );
});

test('stopped between stages: it ends at once, and the stage before keeps its success', async () => {
  const where = { pipelineName: 'stop-between', stageName: 'First', transitionType: 'Inbound' } as const;
  const id = await pipelines.create('stop-between', gates());
  await pipelines.answer('stop-between', 'First', id);
  await pipelines.answer('stop-between', 'Second', id);
  await codepipeline.disableStageTransition({ ...where, reason: 'wait' });
  const waits = await pipelines.start('stop-between');
  await pipelines.until(async () => (await pipelines.stageState('stop-between', 'First')).inboundExecution);
  await stop('stop-between', waits);
  await pipelines.ended('stop-between', waits, 'Stopped');
  const state = await pipelines.stageState('stop-between', 'Source');
  assert.deepEqual([state.latestExecution?.pipelineExecutionId, state.latestExecution?.status], [waits, 'Succeeded']);
  await refused(retry('stop-between', 'First', waits), 'StageNotRetryableException');
});

test('retry: failed actions only, or all; the history keeps every run', async () => {
  const name = 'retried';
  const copies = stage('Copies', toBucket(pipelines.bucket, 'Good'), toBucket('comes-later', 'Bad'));
  const id = await pipelines.create(name, [source(), copies, stage('After', approval('Release'))]);
  await pipelines.ended(name, id, 'Failed');
  await refused(retry(name, 'After', id), 'StageNotRetryableException');
  await retry(name, 'Copies', id);
  await pipelines.ended(name, id, 'Failed');
  const names = async (): Promise<string[]> => (await pipelines.runs(name, id)).map((run) => `${run.actionName} ${run.status}`);
  assert.deepEqual((await names()).slice(-1), ['Bad Failed']);
  assert.deepEqual(
    (await names()).filter((text) => text.startsWith('Good')),
    ['Good Succeeded'],
  );
  await pipelines.s3.createBucket({ Bucket: 'comes-later' });
  await retry(name, 'Copies', id, 'ALL_ACTIONS');
  await pipelines.waiting(name, 'After', id);
  const all = await names();
  assert.deepEqual(
    all.filter((text) => text.startsWith('Good')),
    ['Good Succeeded', 'Good Succeeded'],
  );
  assert.deepEqual(
    all.filter((text) => text.startsWith('Bad')),
    ['Bad Failed', 'Bad Failed', 'Bad Succeeded'],
  );
  const filtered = async (startTimeRange: 'Latest' | 'All'): Promise<number> => {
    const filter = { latestInPipelineExecution: { pipelineExecutionId: id, startTimeRange } };
    return (await codepipeline.listActionExecutions({ pipelineName: name, filter })).actionExecutionDetails!.length;
  };
  assert.deepEqual([await filtered('Latest'), await filtered('All')], [4, 7]);
  await refused(retry(name, 'Copies', id), 'StageNotRetryableException');
});

test('retry: not when a newer execution was in the stage, nor when the structure has changed', async () => {
  const declared = (bucket: string) => [source(), stage('Copy', toBucket(bucket))];
  const first = await pipelines.create('latest', declared('nowhere-at-all'));
  await pipelines.ended('latest', first, 'Failed');
  const second = await pipelines.start('latest');
  await pipelines.ended('latest', second, 'Failed');
  await refused(retry('latest', 'Copy', first), 'NotLatestPipelineExecutionException', new RegExp(second));
  // Another configuration is no other structure; and the execution keeps its own.
  await codepipeline.updatePipeline({ pipeline: pipelines.declaration('latest', declared(pipelines.bucket)) });
  await retry('latest', 'Copy', second);
  await pipelines.ended('latest', second, 'Failed');
  await codepipeline.updatePipeline({
    pipeline: pipelines.declaration('latest', [...declared(pipelines.bucket), stage('More', approval('A'))]),
  });
  await refused(retry('latest', 'Copy', second), 'StageNotRetryableException', /structure of the pipeline has changed/);
});

test('approval: rejected with a reason, answered once, by the right token at the right place', async () => {
  const id = await pipelines.create('approved', gates());
  const { latestExecution } = await pipelines.waiting('approved', 'First', id);
  const answer = { pipelineName: 'approved', stageName: 'First', actionName: 'A', token: latestExecution!.token! };
  const result = { status: 'Rejected', summary: 'not today' } as const;
  await refused(codepipeline.putApprovalResult({ ...answer, result, pipelineName: 'nobody' }), 'PipelineNotFoundException');
  await refused(codepipeline.putApprovalResult({ ...answer, result, stageName: 'Nowhere' }), 'StageNotFoundException');
  await refused(codepipeline.putApprovalResult({ ...answer, result, actionName: 'B' }), 'ActionNotFoundException');
  await refused(
    codepipeline.putApprovalResult({ ...answer, result, stageName: 'Second', actionName: 'B' }),
    'InvalidApprovalTokenException',
  );
  await refused(
    codepipeline.putApprovalResult({ ...answer, result, token: '00000000-0000-4000-8000-000000000000' }),
    'InvalidApprovalTokenException',
  );
  const { approvedAt } = await codepipeline.putApprovalResult({ ...answer, result });
  assert.ok(approvedAt instanceof Date);
  await refused(codepipeline.putApprovalResult({ ...answer, result }), 'ApprovalAlreadyCompletedException');
  await pipelines.ended('approved', id, 'Failed');
  const state = (await pipelines.stageState('approved', 'First')).actionStates![0]!.latestExecution!;
  assert.deepEqual([state.status, state.summary, state.token], ['Failed', 'not today', undefined]);
  assert.match(state.errorDetails!.message!, /not today/);
  assert.match(state.lastUpdatedBy!, /^arn:aws:iam::/);
});

test('start: idempotent by token, with variables, and refused when they do not fit', async () => {
  const variables = [{ name: 'target', defaultValue: 'beta' }, { name: 'ticket' }];
  const copy = action(
    'Copy',
    'Deploy/S3',
    {
      BucketName: pipelines.bucket,
      Extract: 'true',
      ObjectKey: '#{variables.target}/#{Source.CommitId}/#{codepipeline.PipelineExecutionId}',
    },
    { inputArtifacts: [{ name: 'Source' }] },
  );
  const name = 'started';
  await codepipeline.createPipeline({ pipeline: pipelines.declaration(name, [source(), stage('Copy', copy)], { variables }) });
  const given = [{ name: 'ticket', value: 'T-1' }];
  const id = await pipelines.start(name, { variables: given, clientRequestToken: 'once' });
  assert.equal(await pipelines.start(name, { variables: given, clientRequestToken: 'once' }), id);
  const execution = await pipelines.ended(name, id);
  assert.deepEqual(execution.variables, [
    { name: 'target', resolvedValue: 'beta' },
    { name: 'ticket', resolvedValue: 'T-1' },
  ]);
  const commit = execution.artifactRevisions![0]!;
  assert.deepEqual([commit.name, commit.revisionSummary], ['Source', 'Change']);
  const { input, output } = await pipelines.runOf(name, id, 'Copy');
  assert.equal(input!.resolvedConfiguration!.ObjectKey, `beta/${commit.revisionId}/${id}`);
  assert.equal(input!.configuration!.ObjectKey, copy.configuration!.ObjectKey);
  assert.match(output!.executionResult!.externalExecutionSummary!, /Succeeded/);
  await pipelines.s3.headObject({ Bucket: pipelines.bucket, Key: `beta/${commit.revisionId}/${id}/a.txt` });
  const begin = (more: object) => codepipeline.startPipelineExecution({ name, variables: given, ...more });
  await refused(begin({ variables: undefined }), 'ValidationException', /ticket/);
  await refused(begin({ variables: [...given, { name: 'other', value: 'x' }] }), 'ValidationException', /'other' is not declared/);
  await refused(
    begin({ sourceRevisions: [{ actionName: 'Nobody', revisionType: 'COMMIT_ID', revisionValue: 'x' }] }),
    'ValidationException',
  );
  await refused(
    begin({ sourceRevisions: [{ actionName: 'Repository', revisionType: 'IMAGE_DIGEST', revisionValue: 'x' }] }),
    'ValidationException',
  );
});

test('start: from an older commit', async () => {
  await pipelines.repository('older', { 'a.txt': 'old' });
  const old = (await pipelines.codecommit.getBranch({ repositoryName: 'older', branchName: 'main' })).branch!.commitId!;
  const newer = await pipelines.commit('older', { 'a.txt': 'new' });
  const first = await pipelines.create('older', [
    stage('Source', pipelines.source('older', { PollForSourceChanges: 'false' })),
    stage('Next', approval('A')),
  ]);
  await pipelines.waiting('older', 'Next', first);
  assert.equal((await pipelines.execution('older', first)).artifactRevisions?.[0]?.revisionId, newer);
  const id = await pipelines.start('older', {
    sourceRevisions: [{ actionName: 'Repository', revisionType: 'COMMIT_ID', revisionValue: old }],
  });
  await pipelines.until(async () => (await pipelines.stageState('older', 'Source')).latestExecution?.pipelineExecutionId === id);
  await pipelines.until(async () => (await pipelines.execution('older', id)).artifactRevisions?.[0]?.revisionId === old);
});

test('a variable that nobody gave a value fails the action, and says which', async () => {
  const parallel = approval('B', { configuration: { CustomData: '#{A.Nothing}' }, runOrder: 2 });
  const id = await pipelines.create('unresolved', [source(), stage('Next', approval('A', { namespace: 'A' }), parallel)]);
  await pipelines.answer('unresolved', 'Next', id);
  await pipelines.ended('unresolved', id, 'Failed');
  const { output } = await pipelines.runOf('unresolved', id, 'B');
  assert.equal(output!.executionResult!.errorDetails!.code, 'ConfigurationError');
  assert.match(output!.executionResult!.errorDetails!.message!, /CustomData has the variable #\{A\.Nothing\}/);
});

test('no more than 50 at once where they do not supersede each other', async () => {
  await pipelines.create('crowded', gates(), { executionMode: 'QUEUED' });
  for (let index = 1; index < 50; index++) await pipelines.start('crowded', { clientRequestToken: `t-${index}` });
  await refused(codepipeline.startPipelineExecution({ name: 'crowded' }), 'ConcurrentPipelineExecutionsLimitExceededException');
  // Not another one.
  await pipelines.start('crowded', { clientRequestToken: 't-1' });
  await codepipeline.deletePipeline({ name: 'crowded' });
});
