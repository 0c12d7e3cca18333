import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { CodeBuild } from '@aws-sdk/client-codebuild';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { SSM } from '@aws-sdk/client-ssm';
import { allow, type BuildBench, buildBench, commands, phaseLines, trust } from '../support/codebuild.ts';
import { commandLines } from '../support/processes.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codebuild: CodeBuild;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  codebuild = bench.codebuild;
});
after(() => server.stop());

const fails = (name: string, message?: RegExp) => (error: Error) => error.name === name && (!message || message.test(error.message));

test('a build runs through all phases and says so in record and log', async () => {
  await bench.project('phases', commands('echo "hello $CODEBUILD_BUILD_NUMBER from $CODEBUILD_INITIATOR"'));
  const { build: queued } = await codebuild.startBuild({ projectName: 'phases' });
  assert.match(queued!.id!, /^phases:[0-9a-f-]{36}$/);
  assert.equal(queued!.arn, `arn:aws:codebuild:${server.region}:${server.account}:build/${queued!.id}`);
  assert.equal(queued!.buildStatus, 'IN_PROGRESS');
  assert.equal(queued!.currentPhase, 'QUEUED');
  const build = await bench.wait(queued!.id!);
  assert.equal(build.buildStatus, 'SUCCEEDED');
  assert.deepEqual(phaseLines(build), [
    'SUBMITTED SUCCEEDED',
    'QUEUED SUCCEEDED',
    'PROVISIONING SUCCEEDED',
    'DOWNLOAD_SOURCE SUCCEEDED',
    'INSTALL SUCCEEDED',
    'PRE_BUILD SUCCEEDED',
    'BUILD SUCCEEDED',
    'POST_BUILD SUCCEEDED',
    'UPLOAD_ARTIFACTS SUCCEEDED',
    'FINALIZING SUCCEEDED',
    'COMPLETED',
  ]);
  assert.equal(build.logs!.groupName, '/aws/codebuild/phases');
  assert.equal(build.logs!.streamName, queued!.id!.split(':')[1]);
  const log = await bench.log(build);
  assert.match(log, /^hello 1 from administrator$/m);
  assert.match(log, /^\[Container\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} Phase complete: BUILD State: SUCCEEDED$/m);
});

test('variables come from Parameter Store and Secrets Manager with the permissions of the service role, and are hidden', async () => {
  const ssm = new SSM(server.client);
  const secrets = new SecretsManager(server.client);
  await ssm.putParameter({ Name: '/app/token', Value: 'tok-123456', Type: 'SecureString' });
  const { ARN } = await secrets.createSecret({ Name: 'app/db', SecretString: JSON.stringify({ password: 'pass-123456' }) });
  const environmentVariables = [
    { name: 'TOKEN', value: '/app/token', type: 'PARAMETER_STORE' as const },
    { name: 'PASSWORD', value: `${ARN}:password`, type: 'SECRETS_MANAGER' as const },
  ];
  const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL', environmentVariables } as const;
  const script = commands('test "$TOKEN" = tok-"123456"', 'test "$PASSWORD" = pass-"123456"', 'echo "$TOKEN and $PASSWORD"');
  await bench.project('secret', script, { environment });
  const build = await bench.build('secret');
  const log = await bench.log(build);
  assert.equal(build.buildStatus, 'SUCCEEDED', log);
  assert.match(log, /^\*\*\* and \*\*\*$/m);
  assert.deepEqual(build.environment!.environmentVariables, environmentVariables);

  const { Role } = await bench.iam.createRole({ RoleName: 'no-secrets', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'no-secrets', PolicyName: 'logs', PolicyDocument: allow('logs:*') });
  await codebuild.updateProject({ name: 'secret', serviceRole: Role!.Arn! });
  const denied = await bench.build('secret');
  assert.equal(denied.buildStatus, 'FAILED');
  const [context] = denied.phases!.find((phase) => phase.phaseType === 'DOWNLOAD_SOURCE')!.contexts!;
  assert.equal(context!.statusCode, 'Decrypted Variables Error');
  assert.match(context!.message!, /AccessDeniedException: .*ssm:GetParameters/);
  ssm.destroy();
  secrets.destroy();
});

test('overrides: variables merge, buildspec inline and from S3, time-outs, logs elsewhere', async () => {
  const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' } as const;
  await bench.project('overridden', commands('echo "A=$A B=$B C=$C"'), {
    environment: {
      ...environment,
      environmentVariables: [
        { name: 'A', value: 'project' },
        { name: 'B', value: 'project' },
      ],
    },
  });
  const first = await bench.build('overridden', {
    environmentVariablesOverride: [
      { name: 'B', value: 'start' },
      { name: 'C', value: 'start' },
    ],
    timeoutInMinutesOverride: 7,
    imageOverride: 'other',
    logsConfigOverride: { cloudWatchLogs: { status: 'ENABLED', groupName: 'my-logs', streamName: 'prefix' } },
  });
  assert.equal(first.timeoutInMinutes, 7);
  assert.equal(first.environment!.image, 'other');
  assert.equal(first.logs!.streamName, `prefix/${first.id!.split(':')[1]}`);
  assert.match(await bench.log(first), /^A=project B=start C=start$/m);

  const inline = await bench.build('overridden', { buildspecOverride: commands('echo inline') });
  assert.match(await bench.log(inline), /^inline$/m);
  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'spec.yml', Body: commands('echo from-s3') });
  const stored = await bench.build('overridden', { buildspecOverride: `arn:aws:s3:::${bench.bucket}/spec.yml` });
  assert.match(await bench.log(stored), /^from-s3$/m);
  const missing = await bench.build('overridden', { buildspecOverride: `arn:aws:s3:::${bench.bucket}/none.yml` });
  assert.match(phaseLines(missing)[3]!, /^DOWNLOAD_SOURCE FAILED YAML_FILE_ERROR: NoSuchKey/);
  const { projects } = await codebuild.batchGetProjects({ names: ['overridden'] });
  assert.equal(projects![0]!.timeoutInMinutes, 60, 'the project is as it was');
});

test('what no shell and no record can hold fails the build', async () => {
  await bench.project('unholdable', 'version: 0.2\nphases: {build: {commands: ["exit 1 # \\0"]}}\n');
  const build = await bench.build('unholdable');
  assert.deepEqual(phaseLines(build).filter((line) => /FAILED/.test(line)).length, 1);
  assert.match(
    build.phases!.find(({ phaseStatus }) => phaseStatus === 'FAILED')!.contexts![0]!.message!,
    /control characters are not allowed/,
  );
});

test('the same idempotency token is the same build, with other parameters an error', async () => {
  await bench.project('idempotent', commands('true'));
  const idempotencyToken = `token-${randomBytes(4000).toString('hex')}`;
  const both = await Promise.all([1, 2, 3].map(() => codebuild.startBuild({ projectName: 'idempotent', idempotencyToken })));
  assert.equal(new Set(both.map(({ build }) => build!.id)).size, 1);
  await assert.rejects(
    codebuild.startBuild({ projectName: 'idempotent', idempotencyToken, timeoutInMinutesOverride: 9 }),
    fails('InvalidInputException'),
  );
  await bench.wait(both[0]!.build!.id!);
  assert.equal((await codebuild.listBuildsForProject({ projectName: 'idempotent' })).ids!.length, 1);
  await codebuild.batchDeleteBuilds({ ids: [both[0]!.build!.id!] });
  await assert.rejects(
    codebuild.startBuild({ projectName: 'idempotent', idempotencyToken }),
    fails('InvalidInputException', /has been deleted since/),
  );
});

test('a running build stops at once, with all that it started', async () => {
  await bench.project('stopped', commands('(trap "" TERM; sleep 611) & echo started; sleep 612'));
  const { build } = await codebuild.startBuild({ projectName: 'stopped' });
  await bench.wait(build!.id!, (now) => now.currentPhase === 'BUILD');
  const { build: stopped } = await codebuild.stopBuild({ id: build!.id! });
  const over = await bench.wait(build!.id!);
  assert.equal(stopped!.id, build!.id);
  assert.equal(over.buildStatus, 'STOPPED');
  assert.ok(phaseLines(over).includes('BUILD STOPPED'));
  assert.ok(!phaseLines(over).some((line) => line.startsWith('POST_BUILD')));
  assert.equal((await codebuild.stopBuild({ id: build!.id! })).build!.buildStatus, 'STOPPED', 'stopping again changes nothing');
  assert.deepEqual(commandLines(/^sleep 61[12]$/), []);
});

test('a build that waits in the queue is stopped without having run', async () => {
  await bench.project('queued', commands('sleep 20'));
  const started = [];
  // More than any machine of the tests has slots.
  for (let index = 0; index < 40; index += 1) started.push((await codebuild.startBuild({ projectName: 'queued' })).build!.id!);
  const { build } = await codebuild.stopBuild({ id: started.at(-1)! });
  assert.equal(build!.buildStatus, 'STOPPED');
  assert.deepEqual(phaseLines(build!), ['SUBMITTED SUCCEEDED', 'QUEUED STOPPED', 'COMPLETED']);
  await Promise.all(started.map((id) => codebuild.stopBuild({ id })));
  for (const id of started) assert.equal((await bench.wait(id)).buildStatus, 'STOPPED');
});

test('more builds than the project’s limit are refused', async () => {
  await bench.project('limited', commands('sleep 30'), { concurrentBuildLimit: 1 });
  const { build } = await codebuild.startBuild({ projectName: 'limited' });
  await assert.rejects(
    codebuild.startBuild({ projectName: 'limited' }),
    fails('AccountLimitExceededException', /^Cannot have more than 1 active builds for the account$/),
  );
  await codebuild.stopBuild({ id: build!.id! });
  await bench.wait(build!.id!);
  const { build: next } = await codebuild.startBuild({ projectName: 'limited' });
  await codebuild.stopBuild({ id: next!.id! });
});

test('a failed build is retried by hand and by autoRetryLimit', async () => {
  await bench.project('retried', commands('echo run-$CODEBUILD_BUILD_NUMBER; exit 3'), { autoRetryLimit: 1 });
  const first = await bench.build('retried');
  assert.equal(first.buildStatus, 'FAILED');
  const { previousAutoRetry, nextAutoRetry, autoRetryNumber } = (await bench.wait(first.id!, (now) => Boolean(now.autoRetryConfig)))
    .autoRetryConfig!;
  assert.equal(previousAutoRetry, undefined);
  assert.equal(autoRetryNumber, 0);
  const second = await bench.wait(nextAutoRetry!);
  assert.equal(second.buildStatus, 'FAILED');
  assert.equal(second.autoRetryConfig!.autoRetryNumber, 1);
  assert.equal(second.autoRetryConfig!.previousAutoRetry, first.arn);
  assert.equal(second.autoRetryConfig!.nextAutoRetry, undefined, 'the limit is reached');

  const { build: byHand } = await codebuild.retryBuild({ id: first.id! });
  assert.equal(byHand!.buildNumber, 3);
  const last = await bench.wait(byHand!.id!);
  assert.match(await bench.log(last), /^run-3$/m);
  await assert.rejects(codebuild.retryBuild({ id: 'retried:00000000-0000-4000-8000-000000000000' }), fails('ResourceNotFoundException'));
  await assert.rejects(codebuild.retryBuild({ id: 'nonsense' }), fails('InvalidInputException'));
});

test('on-failure RETRY retries the build as often as it says', async () => {
  const spec = 'version: 0.2\nphases:\n  build:\n    on-failure: RETRY-2-.*status 4.*\n    commands: [exit 4]\n';
  await bench.project('retry-phase', spec);
  let build = await bench.build('retry-phase');
  for (let number = 1; number <= 2; number += 1) build = await bench.wait(build.autoRetryConfig!.nextAutoRetry!);
  assert.equal(build.autoRetryConfig!.autoRetryNumber, 2);
  assert.equal(build.autoRetryConfig!.nextAutoRetry, undefined);
  await bench.project('retry-other', spec.replace('status 4', 'connection lost'));
  assert.equal((await bench.build('retry-other')).autoRetryConfig, undefined, 'another message is not retried');
});

test('builds are listed in both orders, found in batches and deleted', async () => {
  await bench.project('listed', commands('true'));
  const made: string[] = [];
  for (let index = 0; index < 3; index += 1) made.push((await bench.build('listed')).id!);
  assert.deepEqual((await codebuild.listBuildsForProject({ projectName: 'listed' })).ids, made.toReversed());
  assert.deepEqual((await codebuild.listBuildsForProject({ projectName: 'listed', sortOrder: 'ASCENDING' })).ids, made);
  assert.equal((await codebuild.listBuilds({})).ids![0], made[2]);
  await assert.rejects(codebuild.listBuildsForProject({ projectName: 'nothing' }), fails('ResourceNotFoundException'));
  const unknown = 'listed:00000000-0000-4000-8000-000000000000';
  const { buildsNotFound } = await codebuild.batchGetBuilds({ ids: [made[0]!, unknown, 'nonsense'] });
  assert.deepEqual(buildsNotFound, [unknown, 'nonsense']);
  const { buildsDeleted, buildsNotDeleted } = await codebuild.batchDeleteBuilds({ ids: [made[0]!, unknown] });
  assert.deepEqual(buildsDeleted, [`arn:aws:codebuild:${server.region}:${server.account}:build/${made[0]}`]);
  assert.deepEqual(
    buildsNotDeleted!.map(({ id }) => id),
    [unknown],
  );
  assert.deepEqual((await codebuild.listBuildsForProject({ projectName: 'listed' })).ids, [made[2], made[1]]);
  await assert.rejects(codebuild.stopBuild({ id: unknown }), fails('ResourceNotFoundException'));
});

test('commands have the role’s credentials while the build runs, and not afterwards', async () => {
  const spec = commands(
    'curl -s "$AWS_CONTAINER_CREDENTIALS_FULL_URI" >out.json',
    'echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI" >uri',
    'cat out.json',
  );
  await bench.project('credentials', `${spec}artifacts: {files: [out.json, uri]}\n`, {
    artifacts: { type: 'S3', location: bench.bucket, name: 'credentials' },
  });
  const build = await bench.build('credentials');
  assert.equal(build.buildStatus, 'SUCCEEDED', phaseLines(build).join('\n'));
  const read = async (name: string) =>
    (await bench.s3.getObject({ Bucket: bench.bucket, Key: `credentials/${name}` })).Body!.transformToString();
  const given = JSON.parse(await read('out.json'));
  assert.equal(given.RoleArn, bench.role);
  assert.match(given.AccessKeyId, /^ASIA/);
  assert.ok(given.SecretAccessKey && given.Token && Date.parse(given.Expiration) > Date.now());
  assert.ok(!(await bench.log(build)).includes(given.AccessKeyId), 'the log hides the access key id');
  const answer = await fetch((await read('uri')).trim());
  assert.equal(answer.status, 404);
});

test('the AWS CLI inside a build reaches this installation as the service role', async (context) => {
  let cli: string;
  try {
    cli = path.dirname(execFileSync('sh', ['-c', 'command -v aws']).toString().trim());
  } catch {
    return context.skip('the AWS CLI is not installed');
  }
  await bench.project(
    'cli',
    commands(
      `PATH="${cli}:$PATH"; echo data >file`,
      `aws s3 cp file s3://${bench.bucket}/from-cli`,
      'aws sts get-caller-identity --query Arn --output text',
    ),
  );
  const build = await bench.build('cli');
  assert.equal(build.buildStatus, 'SUCCEEDED', await bench.log(build));
  assert.match(await bench.log(build), /assumed-role\/builds\/AWSCodeBuild-/);
  assert.equal(await (await bench.s3.getObject({ Bucket: bench.bucket, Key: 'from-cli' })).Body!.transformToString(), 'data\n');
});

test('a role that may not write logs fails the build in PROVISIONING', async () => {
  const { Role } = await bench.iam.createRole({
    RoleName: 'no-logs',
    AssumeRolePolicyDocument: JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { Service: 'codebuild.amazonaws.com' }, Action: 'sts:AssumeRole' }],
    }),
  });
  await bench.project('no-logs', commands('echo never'), { serviceRole: Role!.Arn! });
  const build = await bench.build('no-logs');
  assert.equal(build.buildStatus, 'FAILED');
  assert.match(
    phaseLines(build)[2]!,
    /^PROVISIONING FAILED ACCESS_DENIED: Service role .* does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams/,
  );
  const silent = await bench.build('no-logs', { logsConfigOverride: { cloudWatchLogs: { status: 'DISABLED' } } });
  assert.equal(silent.buildStatus, 'SUCCEEDED');
  assert.equal(silent.logs!.groupName, undefined);
});

test('logs are kept in S3 too', async () => {
  await bench.project('s3-logs', commands('echo into-s3'), {
    logsConfig: { s3Logs: { status: 'ENABLED', location: `${bench.bucket}/logs` } },
  });
  const build = await bench.build('s3-logs');
  const key = `logs/${build.id!.split(':')[1]}.gz`;
  assert.equal(build.logs!.s3LogsArn, `arn:aws:s3:::${bench.bucket}/${key}`);
  const bytes = await (await bench.s3.getObject({ Bucket: bench.bucket, Key: key })).Body!.transformToByteArray();
  assert.match(execFileSync('gunzip', ['-c'], { input: bytes }).toString(), /^into-s3$/m);
});

test('state and phase changes are events of their real form', async () => {
  const events = new EventBridge(server.client);
  await bench.logs.createLogGroup({ logGroupName: '/aws/events/builds' });
  await events.putRule({
    Name: 'builds',
    EventPattern: JSON.stringify({ source: ['aws.codebuild'], detail: { 'project-name': ['evented'] } }),
  });
  const target = `arn:aws:logs:${server.region}:${server.account}:log-group:/aws/events/builds`;
  await events.putTargets({ Rule: 'builds', Targets: [{ Id: '1', Arn: target }] });
  await bench.project('evented', commands('echo hi'));
  const build = await bench.build('evented');
  const seen = async () =>
    (await bench.logs.filterLogEvents({ logGroupName: '/aws/events/builds' })).events!.map((event) => JSON.parse(event.message!));
  let all = await seen();
  while (all.length < 13) all = await seen();
  assert.equal(all.length, 13, '2 of states, 11 of phases');
  const states = all.filter((event) => event['detail-type'] === 'CodeBuild Build State Change');
  assert.deepEqual(states.map((event) => event.detail['build-status']).sort(), ['IN_PROGRESS', 'SUCCEEDED']);
  const last = states.find((event) => event.detail['build-status'] === 'SUCCEEDED');
  assert.deepEqual(last.resources, [build.arn]);
  assert.equal(last.detail['build-id'], build.arn);
  assert.equal(last.detail['current-phase'], 'COMPLETED');
  assert.equal(last.detail['additional-information']['build-complete'], true);
  assert.match(last.detail['additional-information']['build-start-time'], /^[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d\d:\d\d [AP]M$/);
  assert.equal(last.detail['additional-information'].phases.length, 11);
  const phases = all
    .filter((event) => event['detail-type'] === 'CodeBuild Build Phase Change')
    .map((event) => event.detail['completed-phase']);
  assert.equal(new Set(phases).size, 11);
});

test('checksums of an artifact are those of its bytes', async () => {
  await bench.project('sums', `${commands('echo a >a')}artifacts: {files: [a]}\n`, {
    artifacts: { type: 'S3', location: bench.bucket, packaging: 'ZIP', name: 'sums.zip', path: 'out', namespaceType: 'BUILD_ID' },
  });
  const build = await bench.build('sums');
  const key = `out/${build.id!.split(':')[1]}/sums.zip`;
  assert.equal(build.artifacts!.location, `arn:aws:s3:::${bench.bucket}/${key}`);
  const object = await bench.s3.getObject({ Bucket: bench.bucket, Key: key });
  const bytes = await object.Body!.transformToByteArray();
  assert.equal(build.artifacts!.sha256sum, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(build.artifacts!.md5sum, createHash('md5').update(bytes).digest('hex'));
  assert.equal(object.Metadata!['codebuild-buildarn'], build.arn);
});
