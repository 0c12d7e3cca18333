/** What builds may read as their service role: secrets and parameters by every form of reference, and repositories by git's credential helper. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { KMS } from '@aws-sdk/client-kms';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { SSM } from '@aws-sdk/client-ssm';
import { allow, type BuildBench, buildBench, commands, phaseLines, trust } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

const OTHER = '111122223333';

let server: TestServer;
let bench: BuildBench;
let secrets: SecretsManager;
let theirs: { secrets: SecretsManager; kms: KMS };

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  secrets = new SecretsManager(server.client);
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const added = await promisify(execFile)(process.execPath, [main, 'account', 'add', OTHER, '--data', server.dataDir], { env: server.env });
  const [accessKeyId, secretAccessKey] = [...added.stdout.matchAll(/='([^']+)'/g)].map((match) => match[1]!);
  const settings = { ...server.client, credentials: { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! } };
  theirs = { secrets: new SecretsManager(settings), kms: new KMS(settings) };
});
after(async () => {
  for (const client of [secrets, theirs.secrets, theirs.kms]) client.destroy();
  await server.stop();
});

const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
/** Values are shown by their length and reversed, since as they are the log hides them. */
const show = (...names: string[]) => names.map((name) => `echo "${name}=$(printf %s "$${name}" | rev)"`);
const reversed = (text: string) => [...text].reverse().join('');
const downloadOf = (build: Parameters<typeof phaseLines>[0]) => phaseLines(build).find((line) => line.startsWith('DOWNLOAD_SOURCE'));

async function buildOf(name: string, buildspec: string, more: Parameters<BuildBench['project']>[2] = {}) {
  await bench.project(name, buildspec, more);
  const build = await bench.build(name);
  return { build, log: await bench.log(build) };
}

test('parameters by name, version, label and ARN; secrets by name, key, stage, version and ARN; hidden however they are shown', async () => {
  const ssm = new SSM(server.client);
  await ssm.putParameter({ Name: '/app/token', Value: 'first-token', Type: 'SecureString' });
  await ssm.putParameter({ Name: '/app/token', Value: 'second-token', Type: 'SecureString', Overwrite: true });
  await ssm.labelParameterVersion({ Name: '/app/token', ParameterVersion: 1, Labels: ['old'] });
  const arn = `arn:aws:ssm:${server.region}:${server.account}:parameter/app/token`;
  const { ARN, VersionId } = await secrets.createSecret({
    Name: 'db',
    SecretString: JSON.stringify({ user: 'first-user', nested: { a: 'nested-value' }, lines: 'line-one\nline-two' }),
  });
  await secrets.putSecretValue({ SecretId: 'db', SecretString: JSON.stringify({ user: 'second-user' }) });
  await secrets.createSecret({ Name: 'plain', SecretString: 'plain-text-secret' });
  const names = ['P_NAME', 'P_VERSION', 'P_LABEL', 'P_ARN', 'S_PLAIN', 'S_KEY', 'S_STAGE', 'S_VERSION', 'S_ARN', 'S_NESTED'];
  const spec = `version: 0.2
env:
  parameter-store: {P_NAME: /app/token, P_VERSION: "/app/token:1", P_LABEL: "/app/token:old", P_ARN: "${arn}"}
  secrets-manager:
    S_PLAIN: plain
    S_KEY: db:user
    S_STAGE: db:user:AWSPREVIOUS
    S_VERSION: db:user::${VersionId}
    S_ARN: "${ARN}:user:AWSCURRENT:"
    S_NESTED: db:nested:AWSPREVIOUS
    S_LINES: db:lines:AWSPREVIOUS
  exported-variables: [S_KEY, P_NAME, AWS_REGION, OWN]
phases:
  build:
    commands: ${JSON.stringify([...show(...names), 'echo "as it is: $S_PLAIN $P_NAME"; printf second-; sleep 0.3; printf "us"; sleep 0.3; echo er', 'echo "$S_LINES"; OWN=mine; echo AKIAIOSFODNN7EXAMPLE; printf ASIA; sleep 0.2; echo IOSFODNN7EXAMPL2'])}
`;
  const { build, log } = await buildOf('forms', spec);
  assert.equal(build.buildStatus, 'SUCCEEDED', log);
  const values = ['second-token', 'first-token', 'first-token', 'second-token', 'plain-text-secret', 'second-user', 'first-user'];
  for (const [index, value] of [...values, 'first-user', 'second-user', '{"a":"nested-value"}'].entries())
    assert.match(log, new RegExp(`^${names[index]}=${reversed(value).replace(/[{}]/g, '\\$&')}$`, 'm'));
  assert.match(log, /^as it is: \*\*\* \*\*\*$/m);
  assert.doesNotMatch(log, /^(second-user|line-one|line-two|AKIAIO.*|ASIAIO.*)$/m);
  // Neither secrets nor variables of AWS leave the build.
  assert.deepEqual(build.exportedEnvironmentVariables, [{ name: 'OWN', value: 'mine' }]);
});

test("another account's secret: as its resource policy and its key allow", async () => {
  const { KeyMetadata } = await theirs.kms.createKey({
    Policy: document(
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${OTHER}:root` }, Action: 'kms:*', Resource: '*' },
      { Effect: 'Allow', Principal: { AWS: bench.role }, Action: 'kms:Decrypt', Resource: '*' },
    ),
  });
  const shared = await theirs.secrets.createSecret({
    Name: 'team/shared',
    KmsKeyId: KeyMetadata!.Arn,
    SecretString: '{"password":"from-the-other-account"}',
  });
  const closed = await theirs.secrets.createSecret({ Name: 'team/closed', KmsKeyId: KeyMetadata!.Arn, SecretString: 'closed' });
  const ResourcePolicy = document({
    Effect: 'Allow',
    Principal: { AWS: bench.role },
    Action: 'secretsmanager:GetSecretValue',
    Resource: '*',
  });
  await theirs.secrets.putResourcePolicy({ SecretId: 'team/shared', ResourcePolicy });
  const spec = (reference: string) => `version: 0.2
env: {secrets-manager: {PASSWORD: "${reference}"}}
phases: {build: {commands: ${JSON.stringify(show('PASSWORD'))}}}
`;
  const { build, log } = await buildOf('foreign', spec(`${shared.ARN}:password`));
  assert.equal(build.buildStatus, 'SUCCEEDED', log);
  assert.match(log, new RegExp(`^PASSWORD=${reversed('from-the-other-account')}$`, 'm'));
  const refused = await buildOf('foreign-closed', spec(`${closed.ARN}`));
  assert.match(downloadOf(refused.build)!, /FAILED Secrets Manager Error: AccessDeniedException/);
  // By name it would be one's own.
  const unknown = await buildOf('foreign-name', spec('team/shared:password'));
  assert.match(downloadOf(unknown.build)!, /FAILED Secrets Manager Error: ResourceNotFoundException/);
  const malformed = await buildOf('malformed', spec('a:b:c:d:e'));
  assert.match(
    downloadOf(malformed.build)!,
    /YAML_FILE_ERROR: invalid secrets-manager reference 'a:b:c:d:e' for PASSWORD at line 2. Expecting: secret-id:json-key/,
  );
});

test('git-credential-helper: git in a build reads and writes what its service role may, by either URL, and nothing once the build is over', async () => {
  const codecommit = new CodeCommit(server.client);
  for (const repositoryName of ['library', 'private']) {
    await codecommit.createRepository({ repositoryName });
    await codecommit.putFile({ repositoryName, branchName: 'main', filePath: 'name', fileContent: Buffer.from(`${repositoryName}\n`) });
  }
  await bench.iam.createRole({ RoleName: 'reader', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'reader', PolicyName: 'log', PolicyDocument: allow('logs:*') });
  const git = ['codecommit:GitPull', 'codecommit:GitPush'];
  await bench.iam.putRolePolicy({
    RoleName: 'reader',
    PolicyName: 'git',
    PolicyDocument: allow(git, `arn:aws:codecommit:${server.region}:${server.account}:library`),
  });
  const aws = `https://git-codecommit.${server.region}.amazonaws.com/v1/repos`;
  const lines = [
    `git clone -q ${aws}/library && cat library/name`,
    `git clone -q "$AWS_ENDPOINT_URL/v1/repos/library" again && cat again/name`,
    'cd again && echo new >new && git add new && git -c user.name=b -c user.email=b@b commit -qm new && git push -q && echo pushed; cd ..',
    `git clone -q ${aws}/private || echo refused`,
    'echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | rev',
  ];
  const spec = (helper: string) => `${commands(...lines)}env: {git-credential-helper: ${helper}}\n`;
  const serviceRole = bench.role.replace(/[^/]+$/, 'reader');
  const { build, log } = await buildOf('helper', spec('yes'), { serviceRole });
  assert.equal(build.buildStatus, 'SUCCEEDED', log);
  assert.match(log, /^library$[\s\S]*^library$[\s\S]*^pushed$[\s\S]*^refused$/m);
  const { file } = await codecommit.getFile({ repositoryName: 'library', filePath: 'new' }).then((found) => ({ file: found.fileContent! }));
  assert.equal(Buffer.from(file).toString(), 'new\n');
  const token = reversed(/^(\S{40,})\/slaitnederc/m.exec(log)![1]!);
  const answer = await fetch(`${server.endpoint}/v1/repos/library/info/refs?service=git-upload-pack`, {
    headers: { authorization: `Basic ${Buffer.from(`codebuild:${token}`).toString('base64')}` },
  });
  assert.equal(answer.status, 401, 'the build is over');
  const without = await buildOf('no-helper', spec('no'), { serviceRole });
  assert.equal(without.build.buildStatus, 'FAILED', without.log);
});
