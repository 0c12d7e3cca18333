/** What actions do: sources and what starts them, builds with several artifacts, deployments, permissions; by real git and SDK v3. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { allow, zipOf } from '../support/codebuild.ts';
import { Rollouts } from '../support/codedeploy.ts';
import { action, approval, Pipelines, stage } from '../support/codepipeline.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let pipelines: Pipelines;
let rollouts: Rollouts;
let directory: string;

before(async () => {
  server = await startServer();
  pipelines = await Pipelines.open(server);
  rollouts = await Rollouts.open(server);
  directory = await mkdtemp(path.join(tmpdir(), 'pipelines-'));
});
after(async () => {
  await rollouts.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const fromSource = { inputArtifacts: [{ name: 'Source' }] };
const toBucket = (more: Record<string, string>, input = 'Source') =>
  action('Copy', 'Deploy/S3', { BucketName: pipelines.bucket, ...more }, { inputArtifacts: [{ name: input }] });
const build = (name: string, ProjectName: string, more: object = {}, configuration: Record<string, string> = {}, category = 'Build') =>
  action(name, `${category}/CodeBuild`, { ProjectName, ...configuration }, { ...fromSource, ...more });

async function textOf(Key: string): Promise<string> {
  const { Body } = await pipelines.s3.getObject({ Bucket: pipelines.bucket, Key });
  return Body!.transformToString();
}

async function errorOf(
  pipelineName: string,
  id: string,
  actionName: string,
): Promise<{ code?: string | undefined; message?: string | undefined }> {
  return (await pipelines.runOf(pipelineName, id, actionName)).output!.executionResult!.errorDetails!;
}

const spec = (lines: string[]): string => `version: 0.2\n${lines.join('\n')}\n`;

test('git push → Source → Build → Test → Approval → CodeDeploy and S3, with the pushed files and the variables of each', async () => {
  const name = 'release';
  await pipelines.codecommit.createRepository({ repositoryName: name });
  const buildspec = spec([
    'env: {exported-variables: [VERSION]}',
    'phases: {build: {commands: ["VERSION=v$(cat number)", "mkdir out", "echo $CODEBUILD_INITIATOR $COMMIT >out/told", "cp number out/"]}}',
    'artifacts: {base-directory: out, files: ["**/*"]}',
  ]);
  await pipelines.project(name, buildspec);
  await pipelines.project('checks', spec(['phases: {build: {commands: ["test -f number"]}}']));
  await rollouts.application(name);
  const host = (await rollouts.host('release-1', { Fleet: name })).start();
  const environment = JSON.stringify([{ name: 'COMMIT', value: '#{Source.CommitId}', type: 'PLAINTEXT' }]);
  const built = { inputArtifacts: [{ name: 'Built' }] };
  const first = await pipelines.create(name, [
    stage('Source', pipelines.source(name)),
    stage(
      'Build',
      build('Build', name, { outputArtifacts: [{ name: 'Built' }], namespace: 'Made' }, { EnvironmentVariables: environment }),
    ),
    stage('Test', build('Check', 'checks', {}, {}, 'Test')),
    stage('Approval', approval('Release', { configuration: { CustomData: 'Release #{Made.VERSION}?' } })),
    stage(
      'Deploy',
      action('Hosts', 'Deploy/CodeDeploy', { ApplicationName: name, DeploymentGroupName: 'Fleet' }, built),
      toBucket({ Extract: 'true', ObjectKey: 'site/#{Made.VERSION}' }, 'Built'),
    ),
  ]);
  // Nothing was pushed yet.
  await pipelines.ended(name, first, 'Failed');

  const work = path.join(directory, 'work');
  const git = (...args: string[]) =>
    promisify(execFile)('git', ['-C', work, ...args], { env: { ...server.env, ...withCredentials(signGit(server, name)) } });
  await promisify(execFile)('git', ['init', '-q', '-b', 'main', work]);
  await writeFile(path.join(work, 'number'), '7\n');
  await git('add', '.');
  await git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'Seven\n\nMore of it');
  await git('push', '-q', `${server.endpoint}/v1/repos/${name}`, 'main');
  const commit = (await git('rev-parse', 'HEAD')).stdout.trim();

  const id = await pipelines.newExecution(name, [first]);
  await pipelines.answer(name, 'Approval', id);
  const execution = await pipelines.ended(name, id);
  assert.equal(execution.trigger?.triggerType, 'PollForSourceChanges');
  assert.equal(execution.artifactRevisions?.[0]?.revisionId, commit);
  assert.match(execution.artifactRevisions![0]!.revisionSummary!, /^Seven/);
  assert.equal((await pipelines.runOf(name, id, 'Release')).input!.resolvedConfiguration!.CustomData, 'Release v7?');
  assert.equal(await textOf('site/v7/number'), '7\n');
  assert.equal(await textOf('site/v7/told'), `codepipeline/${name} ${commit}\n`);
  const deployment = (await pipelines.runOf(name, id, 'Hosts')).output!.executionResult!.externalExecutionId!;
  const { revision, status } = await rollouts.deployment(deployment);
  const { output, input } = await pipelines.runOf(name, id, 'Build');
  assert.equal(status, 'Succeeded');
  assert.equal(revision!.s3Location!.key, output!.outputArtifacts![0]!.s3location!.key);
  assert.match(output!.outputArtifacts![0]!.s3location!.key!, /^release\/Built\/\w{7}$/);
  assert.equal(input!.inputArtifacts![0]!.s3location!.key!.split('/')[1], 'Source');
  assert.ok(host.seen.every((line) => line.startsWith(deployment)));
  assert.deepEqual(output!.outputVariables, { VERSION: 'v7' });
});

test('a build takes several inputs and gives several outputs, each by its name', async () => {
  await pipelines.repository('left', { text: 'left' });
  await pipelines.repository('right', { text: 'right' });
  const buildspec = spec([
    'phases: {build: {commands: ["cat text $CODEBUILD_SRC_DIR_Left/text >both", "cp text one"]}}',
    'artifacts: {secondary-artifacts: {Both: {files: [both]}, One: {files: [one]}}}',
  ]);
  await pipelines.project('several', buildspec);
  const source = (repository: string, output: string) => ({
    ...pipelines.source(repository),
    name: output,
    namespace: output,
    outputArtifacts: [{ name: output }],
  });
  const outputs = { inputArtifacts: [{ name: 'Left' }, { name: 'Right' }], outputArtifacts: [{ name: 'One' }, { name: 'Both' }] };
  const copy = (input: string) => ({ ...toBucket({ Extract: 'true', ObjectKey: `several/${input}` }, input), name: input });
  const id = await pipelines.create('several', [
    stage('Source', source('left', 'Left'), source('right', 'Right')),
    stage('Build', build('Build', 'several', outputs, { PrimarySource: 'Right' })),
    stage('Deploy', copy('One'), copy('Both')),
  ]);
  await pipelines.ended('several', id);
  assert.equal(await textOf('several/One/one'), 'right');
  assert.equal(await textOf('several/Both/both'), 'rightleft');
});

test('a failed build fails the stage with the words of its phase, and nothing after it runs', async () => {
  await pipelines.repository('broken');
  await pipelines.project('broken', spec(['phases: {build: {commands: ["exit 3"]}}']));
  const id = await pipelines.create('broken', [
    stage('Source', pipelines.source('broken')),
    stage('Build', build('Build', 'broken')),
    stage('Never', approval('A')),
  ]);
  await pipelines.ended('broken', id, 'Failed');
  const { code, message } = await errorOf('broken', id, 'Build');
  assert.equal(code, 'JobFailed');
  assert.match(
    message!,
    /^Build terminated with state: FAILED\. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: exit 3\. Reason: exit status 3/,
  );
  assert.deepEqual(
    (await pipelines.runs('broken', id)).map((run) => run.actionName),
    ['Repository', 'Build'],
  );
});

test('S3: the object is copied to the artifact store; a new version starts the pipeline when the bucket tells EventBridge', async () => {
  const put = async (text: string) => pipelines.s3.putObject({ Bucket: pipelines.bucket, Key: 'in/a b.zip', Body: await zipOf({ text }) });
  // Before the bucket tells of it: only the pipeline's creation is to start the first execution.
  const { VersionId: old } = await put('one');
  const notify = { Bucket: pipelines.bucket, NotificationConfiguration: { EventBridgeConfiguration: {} } };
  await pipelines.s3.putBucketNotificationConfiguration(notify);
  const overridable = pipelines.s3Source('in/a b.zip', { AllowOverrideForS3ObjectKey: 'true' });
  const first = await pipelines.create('objects', [
    stage('Source', overridable),
    stage('Deploy', toBucket({ Extract: 'true', ObjectKey: 'objects/#{Source.VersionId}' })),
  ]);
  await pipelines.ended('objects', first);
  assert.equal(await textOf(`objects/${old}/text`), 'one');
  const { VersionId: newer, ETag } = await put('two');
  const second = await pipelines.newExecution('objects', [first]);
  await pipelines.ended('objects', second);
  assert.equal(await textOf(`objects/${newer}/text`), 'two');
  const { output } = await pipelines.runOf('objects', second, 'Object');
  assert.deepEqual(output!.outputVariables, {
    BucketName: pipelines.bucket,
    ObjectKey: 'in/a b.zip',
    ETag: ETag!.replaceAll('"', ''),
    VersionId: newer,
  });

  const third = await pipelines.start('objects', {
    sourceRevisions: [{ actionName: 'Object', revisionType: 'S3_OBJECT_VERSION_ID', revisionValue: old }],
  });
  assert.equal((await pipelines.ended('objects', third)).artifactRevisions?.[0]?.revisionId, old);
  await pipelines.s3.putObject({ Bucket: pipelines.bucket, Key: 'elsewhere.zip', Body: await zipOf({ text: 'three' }) });
  const fourth = await pipelines.start('objects', {
    sourceRevisions: [{ actionName: 'Object', revisionType: 'S3_OBJECT_KEY', revisionValue: 'elsewhere.zip' }],
  });
  await pipelines.ended('objects', fourth);
  assert.equal((await pipelines.runOf('objects', fourth, 'Object')).output!.outputVariables!.ObjectKey, 'elsewhere.zip');
  assert.deepEqual(await pipelines.executions('objects'), [fourth, third, second, first]);
});

test('S3: an object that is not there, and a bucket without versions, fail the source with their reason', async () => {
  const id = await pipelines.create('no-object', [stage('Source', pipelines.s3Source('nothing.zip')), stage('Next', approval('A'))]);
  await pipelines.ended('no-object', id, 'Failed');
  assert.match((await errorOf('no-object', id, 'Object')).message!, /nothing\.zip does not exist/);
  await pipelines.s3.createBucket({ Bucket: 'plain-bucket' });
  const source = pipelines.s3Source('a.zip', { S3Bucket: 'plain-bucket' });
  const other = await pipelines.create('no-versions', [stage('Source', source), stage('Next', approval('A'))]);
  await pipelines.ended('no-versions', other, 'Failed');
  assert.match((await errorOf('no-versions', other, 'Object')).message!, /Versioning is not enabled/);
});

test('S3 deployment: one object as it is, or every file; nothing of an artifact that is no zip or leads outside', async () => {
  const run = async (name: string, body: Buffer, configuration: Record<string, string>, wanted = 'Succeeded'): Promise<string> => {
    await pipelines.s3.putObject({ Bucket: pipelines.bucket, Key: `${name}.zip`, Body: body });
    const source = pipelines.s3Source(`${name}.zip`, { PollForSourceChanges: 'false' });
    const id = await pipelines.create(name, [stage('Source', source), stage('Deploy', toBucket(configuration))]);
    await pipelines.ended(name, id, wanted);
    return id;
  };
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`many/${index}.html`, String(index)]));
  await run('whole', await zipOf({ a: 'b' }), { Extract: 'false', ObjectKey: 'whole/x.zip', CacheControl: 'max-age=5' });
  const whole = await pipelines.s3.headObject({ Bucket: pipelines.bucket, Key: 'whole/x.zip' });
  assert.deepEqual([whole.CacheControl, whole.ContentType], ['max-age=5', 'application/zip']);
  await run('files', await zipOf({ 'ünï/a b.txt': 'text', ...files }), { Extract: 'true', ObjectKey: 'files/' });
  assert.equal(await textOf('files/ünï/a b.txt'), 'text');
  assert.equal(await textOf('files/many/299.html'), '299');
  assert.equal((await pipelines.s3.headObject({ Bucket: pipelines.bucket, Key: 'files/many/7.html' })).ContentType, 'text/html');

  for (const [name, body] of [
    ['slip', await zipOf({ 'fine.txt': 'x', '../../out.txt': 'x' })],
    ['absolute', await zipOf({ 'fine.txt': 'x', '/etc/out.txt': 'x' })],
    ['no-zip', Buffer.from('this is not a zip')],
  ] as const) {
    const id = await run(name, body, { Extract: 'true', ObjectKey: `hostile/${name}` }, 'Failed');
    assert.match((await errorOf(name, id, 'Copy')).message!, /cannot be read as a zip file/);
  }
  const { KeyCount } = await pipelines.s3.listObjectsV2({ Bucket: pipelines.bucket, Prefix: 'hostile/' });
  assert.equal(KeyCount, 0);
});

test('what the role may not do fails the action with PermissionError and says what was asked', async () => {
  await pipelines.repository('guarded');
  const weak = await pipelines.makeRole('weak', allow(['codecommit:*', 's3:*']), ['codepipeline']);
  await pipelines.project('guarded', spec(['phases: {build: {commands: ["true"]}}']));
  const stages = [stage('Source', pipelines.source('guarded')), stage('Build', build('Build', 'guarded'))];
  const id = await pipelines.create('guarded', stages, { roleArn: weak });
  await pipelines.ended('guarded', id, 'Failed');
  const { code, message } = await errorOf('guarded', id, 'Build');
  assert.equal(code, 'PermissionError');
  assert.match(
    message!,
    /assumed-role\/weak\/guarded is not authorized to perform: codebuild:StartBuild on resource: arn:aws:codebuild:.*:project\/guarded/,
  );
  // An action's own role is used instead, and has to trust CodePipeline.
  const untrusting = await pipelines.makeRole('untrusting', allow('*'), ['codebuild']);
  const own = (roleArn: string) =>
    pipelines.declaration('guarded', [stages[0]!, stage('Build', build('Build', 'guarded', { roleArn }))], { roleArn: weak });
  await pipelines.codepipeline.updatePipeline({ pipeline: own(pipelines.role) });
  await pipelines.ended('guarded', await pipelines.start('guarded'));
  await pipelines.codepipeline.updatePipeline({ pipeline: own(untrusting) });
  const last = await pipelines.start('guarded');
  await pipelines.ended('guarded', last, 'Failed');
  const refusal = await errorOf('guarded', last, 'Build');
  assert.equal(refusal.code, 'PermissionError');
  assert.match(refusal.message!, /sts:AssumeRole/);
});

test('names of things that are not there, and environment variables that are none, fail the action at once', async () => {
  await pipelines.repository('misnamed');
  await pipelines.project('misnamed', spec(['phases: {build: {commands: ["true"]}}']));
  const variables = (EnvironmentVariables: string) => build('Build', 'misnamed', {}, { EnvironmentVariables });
  const cases = [
    [build('Build', 'no-such-project'), /no-such-project/],
    [variables('{}'), /must be a JSON array/],
    [variables('[null]'), /must have a name and a value/],
    [action('Build', 'Deploy/CodeDeploy', { ApplicationName: 'nobody', DeploymentGroupName: 'x' }, fromSource), /nobody/],
  ] as const;
  for (const [index, [next, message]] of cases.entries()) {
    const name = `misnamed-${index}`;
    const id = await pipelines.create(name, [
      stage('Source', pipelines.source('misnamed', { PollForSourceChanges: 'false' })),
      stage('Next', next),
    ]);
    await pipelines.ended(name, id, 'Failed');
    const error = await errorOf(name, id, 'Build');
    assert.equal(error.code, 'ConfigurationError');
    assert.match(error.message!, message);
  }
});

test('a rule of EventBridge starts the pipeline, and hears of its executions, stages and actions', async () => {
  const name = 'ruled';
  const events = new EventBridge(server.client);
  const logs = new CloudWatchLogs(server.client);
  await pipelines.repository(name);
  const unwatched = pipelines.source(name, { PollForSourceChanges: 'false' });
  const first = await pipelines.create(name, [stage('Source', unwatched), stage('Next', approval('A'))]);
  await pipelines.waiting(name, 'Next', first);
  await pipelines.codepipeline.stopPipelineExecution({ pipelineName: name, pipelineExecutionId: first, abandon: true });
  await pipelines.ended(name, first, 'Stopped');

  const pushes = { source: ['aws.codecommit'], detail: { repositoryName: [name], event: ['referenceUpdated'], referenceName: ['main'] } };
  await events.putRule({ Name: 'pushes', EventPattern: JSON.stringify(pushes) });
  const pipelineArn = `arn:aws:codepipeline:${server.region}:${server.account}:${name}`;
  await events.putTargets({ Rule: 'pushes', Targets: [{ Id: 'pipeline', Arn: pipelineArn, RoleArn: pipelines.role }] });
  const logGroupName = '/aws/events/pipelines';
  await logs.createLogGroup({ logGroupName });
  await events.putRule({ Name: 'told', EventPattern: JSON.stringify({ source: ['aws.codepipeline'], resources: [pipelineArn] }) });
  await events.putTargets({
    Rule: 'told',
    Targets: [{ Id: 'logs', Arn: `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}` }],
  });

  await pipelines.commit(name, { 'a.txt': 'two' });
  const id = await pipelines.newExecution(name, [first]);
  const { trigger } = await pipelines.execution(name, id);
  assert.deepEqual(trigger, {
    triggerType: 'CloudWatchEvent',
    triggerDetail: `arn:aws:events:${server.region}:${server.account}:rule/pushes`,
  });
  await pipelines.answer(name, 'Next', id, 'Rejected');
  await pipelines.ended(name, id, 'Failed');

  const wanted = [
    'Action A FAILED',
    'Action A STARTED',
    'Action Repository STARTED',
    'Action Repository SUCCEEDED',
    'Pipeline FAILED',
    'Pipeline STARTED',
    'Stage Next FAILED',
    'Stage Next STARTED',
    'Stage Source STARTED',
    'Stage Source SUCCEEDED',
  ];
  const told = await pipelines.until(async () => {
    const { events: lines = [] } = await logs.filterLogEvents({ logGroupName });
    return lines.length >= wanted.length && lines.map(({ message }) => JSON.parse(message!));
  });
  const words = told.map((event) =>
    [event['detail-type'].split(' ')[1], event.detail.action ?? event.detail.stage, event.detail.state].filter(Boolean).join(' '),
  );
  assert.deepEqual(words.sort(), wanted);
  for (const event of told) {
    assert.equal(event.detail['execution-id'], id);
    assert.equal(event.detail.pipeline, name);
    assert.equal(event.detail.version, 1);
    assert.deepEqual(event.resources, [pipelineArn]);
  }
  const rejected = told.find(({ detail }) => detail.action === 'A' && detail.state === 'FAILED');
  assert.deepEqual(rejected.detail.type, { owner: 'AWS', provider: 'Manual', category: 'Approval', version: '1' });
  assert.equal(rejected.detail['execution-result']['error-code'], 'JobFailed');
});

test('two pushes in a row: both start, and the last commit is what runs at the end', async () => {
  const name = 'rapid';
  await pipelines.repository(name);
  const executionOf = (commit: string): Promise<string> =>
    pipelines.until(async () => {
      const { pipelineExecutionSummaries = [] } = await pipelines.codepipeline.listPipelineExecutions({ pipelineName: name });
      const found = pipelineExecutionSummaries.find(({ sourceRevisions }) =>
        sourceRevisions?.some(({ revisionId }) => revisionId === commit),
      );
      return found?.pipelineExecutionId;
    });
  const first = await pipelines.create(name, [stage('Source', pipelines.source(name)), stage('Next', approval('A'))]);
  await pipelines.waiting(name, 'Next', first);
  const second = await executionOf(await pipelines.commit(name, { 'a.txt': '2' }));
  const third = await executionOf(await pipelines.commit(name, { 'a.txt': '3' }));
  await pipelines.ended(name, second, 'Superseded');
  await pipelines.answer(name, 'Next', first);
  await pipelines.answer(name, 'Next', third);
  await pipelines.ended(name, third);
});
