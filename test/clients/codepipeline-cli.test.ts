/** The AWS CLI as people use it on pipelines. Skipped, and said so, where there is no `aws`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { approval, Pipelines, stage } from '../support/codepipeline.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = await run('aws', ['--version']).then(
  () => true,
  () => false,
);

describe('aws codepipeline', { skip: hasCli ? false : 'there is no AWS CLI' }, () => {
  let server: TestServer;
  let pipelines: Pipelines;
  let folder: string;

  before(async () => {
    server = await startServer({ args: ['--machines', 'dummy'] });
    pipelines = await Pipelines.open(server);
    folder = await mkdtemp(path.join(tmpdir(), 'penstock-pipelines-cli-'));
  });
  after(async () => {
    await server?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  async function aws(...args: string[]): Promise<any> {
    const { stdout } = await run('aws', ['codepipeline', ...args], { env: server.env, cwd: folder });
    return stdout ? JSON.parse(stdout) : undefined;
  }

  test('a pipeline from a file, its executions, an approval, an answer to get-pipeline taken back by update-pipeline', async () => {
    await pipelines.repository('web');
    const source = pipelines.source('web', { PollForSourceChanges: 'false' });
    const declaration = pipelines.declaration('cli', [stage('Source', source), stage('Gate', approval('Release'))]);
    await writeFile(path.join(folder, 'pipeline.json'), JSON.stringify({ pipeline: declaration }));
    const made = await aws('create-pipeline', '--cli-input-json', 'file://pipeline.json', '--tags', 'key=team,value=web');
    assert.equal(made.pipeline.version, 1);
    const { pipelineExecutionSummaries } = await aws('list-pipeline-executions', '--pipeline-name', 'cli');
    const id = pipelineExecutionSummaries[0].pipelineExecutionId;
    assert.equal(pipelineExecutionSummaries[0].trigger.triggerType, 'CreatePipeline');
    await pipelines.waiting('cli', 'Gate', id);
    const { stageStates } = await aws('get-pipeline-state', '--name', 'cli');
    const { token } = stageStates[1].actionStates[0].latestExecution;
    const place = ['--pipeline-name', 'cli', '--stage-name', 'Gate', '--action-name', 'Release'];
    const answered = await aws('put-approval-result', ...place, '--token', token, '--result', 'summary=fine,status=Approved');
    assert.ok(Date.parse(answered.approvedAt) || answered.approvedAt > 0);
    await pipelines.ended('cli', id);
    const { actionExecutionDetails } = await aws(
      'list-action-executions',
      '--pipeline-name',
      'cli',
      '--filter',
      `pipelineExecutionId=${id}`,
    );
    assert.deepEqual(
      actionExecutionDetails.map((run: { status: string }) => run.status),
      ['Succeeded', 'Succeeded'],
    );

    // As the user guide has people edit a pipeline: what get-pipeline says, without its metadata, is given back.
    const { pipeline } = await aws('get-pipeline', '--name', 'cli');
    await writeFile(path.join(folder, 'pipeline.json'), JSON.stringify({ pipeline }));
    assert.equal((await aws('update-pipeline', '--cli-input-json', 'file://pipeline.json')).pipeline.version, 2);
    await assert.rejects(
      aws('get-pipeline', '--name', 'nobody'),
      /\(PipelineNotFoundException\) when calling the GetPipeline operation: Account '\d+' does not have a pipeline with name 'nobody'/,
    );
  });
});
