/** Time-outs, lost services and abandoned runs, with the time and the services in hand. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Output } from '../../platform/service.ts';
import { actions } from './actions.ts';
import { pipelines as engine } from './engine.ts';
import { codepipeline } from './service.ts';
import type { ActionDeclaration, Declaration } from './tables.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

let opened: TestPlatform;
let platform: Platform;
let now = new Date('2026-01-01T00:00:00Z');
/** What CodeCommit answers to the source action. */
let getBranch: () => Promise<unknown>;

const codecommit = {
  getBranch: () => getBranch(),
  getCommit: async () => ({ commit: { message: 'Change', author: {}, committer: {} } }),
  uploadArchive: async () => ({}),
};

before(async () => {
  opened = await openPlatform(codepipeline, { now: () => now, aws: { as: async () => ({ codecommit }) } as never });
  platform = opened.platform;
});
after(() => opened[Symbol.asyncDispose]());

const type = (category: 'Source' | 'Approval', provider: string) => ({ category, owner: 'AWS' as const, provider, version: '1' });

async function make(name: string, approval: Partial<ActionDeclaration> = {}): Promise<string> {
  getBranch = async () => ({ branch: { commitId: 'c0ffee' } });
  const source = {
    name: 'Repository',
    actionTypeId: type('Source', 'CodeCommit'),
    configuration: { RepositoryName: 'web', BranchName: 'main' },
    outputArtifacts: [{ name: 'Source' }],
  };
  const pipeline: Declaration = {
    name,
    roleArn: 'arn:aws:iam::123456789012:role/pipeline',
    artifactStore: { type: 'S3', location: 'artifacts' },
    stages: [
      { name: 'Source', actions: [source] },
      { name: 'Gate', actions: [{ name: 'Approve', actionTypeId: type('Approval', 'Manual'), ...approval }] },
    ],
  };
  await opened.call('codepipeline', 'CreatePipeline', { pipeline });
  return (await opened.call('codepipeline', 'ListPipelineExecutions', { pipelineName: name })).pipelineExecutionSummaries![0]!
    .pipelineExecutionId!;
}

const signal = new AbortController().signal;
const advance = async (): Promise<void> => {
  for (const id of await engine.pending(platform)) await engine.run(platform, id, signal);
};
const act = async (): Promise<void> => {
  for (const id of await actions.pending(platform)) await actions.run(platform, id, signal);
};
const settle = async (): Promise<void> => {
  for (let round = 0; round < 3; round++) {
    await advance();
    await act();
  }
  await advance();
};

async function gate(name: string): Promise<NonNullable<Output<'codepipeline', 'GetPipelineState'>['stageStates']>[number]> {
  return (await opened.call('codepipeline', 'GetPipelineState', { name })).stageStates![1]!;
}

for (const [name, approval, ms] of [
  ['seven-days', {}, 7 * DAY_MS],
  ['ten-minutes', { timeoutInMinutes: 10 }, 10 * MINUTE_MS],
] as const) {
  test(`an approval that nobody answers fails after its time: ${name}`, async () => {
    await make(name, approval);
    await settle();
    now = new Date(now.getTime() + ms - 1);
    await settle();
    assert.equal((await gate(name)).latestExecution?.status, 'InProgress');
    now = new Date(now.getTime() + 1);
    await settle();
    const { latestExecution, actionStates } = await gate(name);
    assert.equal(latestExecution?.status, 'Failed');
    assert.match(actionStates![0]!.latestExecution!.errorDetails!.message!, /timed out/);
  });
}

test('a service that is away is asked again; one that refuses ends the action', async () => {
  const id = await make('away');
  await advance();
  getBranch = async () => {
    throw new Error('connect ECONNREFUSED');
  };
  await assert.rejects(act, /ECONNREFUSED/);
  getBranch = async () => {
    throw new AwsError('ThrottlingException', 'Rate exceeded');
  };
  await assert.rejects(act, /Rate exceeded/);
  const status = async () =>
    (await opened.call('codepipeline', 'GetPipelineExecution', { pipelineName: 'away', pipelineExecutionId: id })).pipelineExecution!
      .status;
  assert.equal(await status(), 'InProgress');
  getBranch = async () => {
    throw new AwsError('BranchDoesNotExistException', 'no branch main');
  };
  await settle();
  assert.equal(await status(), 'Failed');
});

test('an action that ends after its execution was abandoned, or its pipeline deleted, changes nothing', async () => {
  const id = await make('abandoned');
  await advance();
  const [run] = await actions.pending(platform);
  getBranch = async () => {
    await opened.call('codepipeline', 'StopPipelineExecution', { pipelineName: 'abandoned', pipelineExecutionId: id, abandon: true });
    await advance();
    return { branch: { commitId: 'c0ffee' } };
  };
  await actions.run(platform, run!, signal);
  const { actionExecutionDetails } = await opened.call('codepipeline', 'ListActionExecutions', { pipelineName: 'abandoned' });
  assert.deepEqual(
    actionExecutionDetails!.map(({ status }) => status),
    ['Abandoned'],
  );

  await make('deleted');
  await advance();
  const [other] = await actions.pending(platform);
  getBranch = async () => {
    await opened.call('codepipeline', 'DeletePipeline', { name: 'deleted' });
    return { branch: { commitId: 'c0ffee' } };
  };
  await actions.run(platform, other!, signal);
  assert.deepEqual(await actions.pending(platform), []);
  assert.deepEqual(await engine.pending(platform), []);
});

test('engines that run at the same time start each action once', async () => {
  const id = await make('twice');
  const [pipeline] = await engine.pending(platform);
  await Promise.all(Array.from({ length: 5 }, () => engine.run(platform, pipeline!, signal)));
  assert.equal((await actions.pending(platform)).length, 1);
  await act();
  await Promise.all(Array.from({ length: 5 }, () => engine.run(platform, pipeline!, signal)));
  const filter = { pipelineExecutionId: id };
  const { actionExecutionDetails } = await opened.call('codepipeline', 'ListActionExecutions', { pipelineName: 'twice', filter });
  assert.deepEqual(
    actionExecutionDetails!.map(({ actionName }) => actionName),
    ['Approve', 'Repository'],
  );
});
