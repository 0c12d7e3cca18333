import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { STS } from '@aws-sdk/client-sts';
import { git, tryGit } from '../../src/git/client.ts';
import type { GitKey } from '../support/git.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAM;
let administrator: CodeCommit;
let home: string;
let work: string;

before(async () => {
  server = await startServer();
  iam = new IAM(server.client);
  administrator = new CodeCommit(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-policies-'));
  await administrator.createRepository({ repositoryName: 'shared', tags: { team: 'blue' } });
  work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  await git(work, ['remote', 'add', 'origin', `${server.endpoint}/v1/repos/shared`]);
  await commit('README.md');
  await git(work, ['push', '-q', 'origin', 'main'], withCredentials(signGit(server, 'shared')));
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

async function commit(name: string): Promise<void> {
  await writeFile(path.join(work, name), `${Math.random()}`);
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', name]);
}

const arn = () => `arn:aws:codecommit:${server.region}:${server.account}:shared`;

/** A user with one inline policy, and an access key. */
async function user(UserName: string, ...Statement: object[]): Promise<GitKey> {
  await iam.createUser({ UserName });
  await iam.putUserPolicy({ UserName, PolicyName: 'all', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }) });
  const { AccessKey } = await iam.createAccessKey({ UserName });
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

const everything = { Effect: 'Allow', Action: 'codecommit:*', Resource: '*' };
/** As AWS's guide protects a branch: git's first request names no references yet, so the key is absent then. */
const protectMain = {
  Effect: 'Deny',
  Action: ['codecommit:GitPush', 'codecommit:DeleteBranch', 'codecommit:PutFile', 'codecommit:CreateCommit'],
  Resource: '*',
  Condition: { StringEqualsIfExists: { 'codecommit:References': ['refs/heads/main'] }, Null: { 'codecommit:References': 'false' } },
};

test('a protected branch takes no pushes, other branches do', async () => {
  const key = await user('ada', everything, protectMain);
  const env = withCredentials(signGit(server, 'shared', key));
  await commit('ada.txt');
  const outcome = await tryGit(work, ['push', '--force', 'origin', 'main', 'main:ada'], env);
  assert.match(outcome.stderr, /! \[remote rejected\] main -> main \(you are not authorized to push to this reference\)/);
  assert.match(outcome.stderr, /\[new branch\] +main -> ada/);
  const client = new CodeCommit({ ...server.client, credentials: key });
  const put = { repositoryName: 'shared', filePath: 'x', fileContent: Buffer.from('x') };
  const main = await administrator.getBranch({ repositoryName: 'shared', branchName: 'main' });
  await assert.rejects(client.putFile({ ...put, branchName: 'main', parentCommitId: main.branch?.commitId }), {
    name: 'AccessDeniedException',
  });
  const ada = await administrator.getBranch({ repositoryName: 'shared', branchName: 'ada' });
  await client.putFile({ ...put, branchName: 'ada', parentCommitId: ada.branch?.commitId });
  await assert.rejects(client.deleteBranch({ repositoryName: 'shared', branchName: 'main' }), { name: 'AccessDeniedException' });
});

test('who may only pull may not push, and who may do nothing is refused', async () => {
  const reader = await user('reader', { Effect: 'Allow', Action: 'codecommit:GitPull', Resource: arn() });
  const readerEnv = withCredentials(signGit(server, 'shared', reader));
  await git(work, ['fetch', '-q', 'origin'], readerEnv);
  assert.match((await tryGit(work, ['push', 'origin', 'main:reader'], readerEnv)).stderr, /returned error: 403/);
  const stranger = await user('stranger', { Effect: 'Allow', Action: 's3:*', Resource: '*' });
  const outcome = await tryGit(work, ['ls-remote', 'origin'], withCredentials(signGit(server, 'shared', stranger)));
  assert.match(outcome.stderr, /returned error: 403/);
});

test("a policy may ask for the repository's tags", async () => {
  const condition = (team: string) => ({ StringEquals: { 'aws:ResourceTag/team': team } });
  const blue = await user('blue', { Effect: 'Allow', Action: 'codecommit:Git*', Resource: '*', Condition: condition('blue') });
  const red = await user('red', { Effect: 'Allow', Action: 'codecommit:*', Resource: '*', Condition: condition('red') });
  await git(work, ['ls-remote', 'origin'], withCredentials(signGit(server, 'shared', blue)));
  assert.notEqual((await tryGit(work, ['ls-remote', 'origin'], withCredentials(signGit(server, 'shared', red)))).code, 0);
  const client = new CodeCommit({ ...server.client, credentials: red });
  await assert.rejects(client.getRepository({ repositoryName: 'shared' }), { name: 'AccessDeniedException' });
});

test('service-specific credentials are a user name and a password for git', async () => {
  await user('grace', everything);
  const { ServiceSpecificCredential: made } = await iam.createServiceSpecificCredential({
    UserName: 'grace',
    ServiceName: 'codecommit.amazonaws.com',
  });
  const credentials = { user: made!.ServiceUserName!, password: made!.ServicePassword! };
  assert.match(credentials.user, /^grace-at-\d{12}$/);
  await git(work, ['push', '-q', 'origin', 'main:grace'], withCredentials(credentials));
  // As git itself would ask for them.
  const url = new URL(`${server.endpoint}/v1/repos/shared`);
  Object.assign(url, { username: encodeURIComponent(credentials.user), password: encodeURIComponent(credentials.password) });
  await git(home, ['clone', '-q', url.href, path.join(home, 'by-password')]);
  const wrong = await tryGit(work, ['ls-remote', 'origin'], withCredentials({ ...credentials, password: 'wrong' }));
  assert.match(wrong.stderr, /Authentication failed|could not read Username|terminal prompts disabled/);
  await iam.updateServiceSpecificCredential({
    UserName: 'grace',
    ServiceSpecificCredentialId: made!.ServiceSpecificCredentialId!,
    Status: 'Inactive',
  });
  assert.notEqual((await tryGit(work, ['ls-remote', 'origin'], withCredentials(credentials))).code, 0);
});

test("a role's session pushes with its token, within its session policy", async () => {
  const trust = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: server.account }, Action: 'sts:AssumeRole' }] };
  const { Role } = await iam.createRole({ RoleName: 'pusher', AssumeRolePolicyDocument: JSON.stringify(trust) });
  await iam.putRolePolicy({
    RoleName: 'pusher',
    PolicyName: 'all',
    PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [everything] }),
  });
  const assume = async (Policy?: object) => {
    const { Credentials } = await new STS(server.client).assumeRole({
      RoleArn: Role!.Arn!,
      RoleSessionName: 'build',
      Policy: Policy && JSON.stringify({ Version: '2012-10-17', Statement: [Policy] }),
    });
    const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials!;
    return { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! };
  };
  const session = await assume();
  await git(work, ['push', '-q', 'origin', 'main:by-role'], withCredentials(signGit(server, 'shared', session)));
  const forged = { ...session, sessionToken: `${session.sessionToken.slice(0, -2)}xx` };
  assert.match((await tryGit(work, ['ls-remote', 'origin'], withCredentials(signGit(server, 'shared', forged)))).stderr, /403/);
  const limited = withCredentials(
    signGit(server, 'shared', await assume({ Effect: 'Allow', Action: 'codecommit:GitPull', Resource: '*' })),
  );
  await git(work, ['ls-remote', 'origin'], limited);
  assert.match((await tryGit(work, ['push', 'origin', 'main:limited'], limited)).stderr, /403/);
});
