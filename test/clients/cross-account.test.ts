/** Two accounts in one Penstock: what is one's own stays so, until a role lets the other in, for the API and for git. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { STS } from '@aws-sdk/client-sts';
import { git, tryGit } from '../../src/git/client.ts';
import { type GitKey, signGit, withCredentials } from '../support/git.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const OTHER = '111122223333';

let server: TestServer;
let home: string;
let owner: CodeCommit;
let guest: { iam: IAM; codecommit: CodeCommit; sts: STS; key: GitKey };

before(async () => {
  server = await startServer();
  home = await mkdtemp(path.join(tmpdir(), 'penstock-accounts-'));
  owner = new CodeCommit(server.client);
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const { stdout } = await run(process.execPath, [main, 'account', 'add', OTHER, '--data', server.dataDir], { env: server.env });
  const [accessKeyId, secretAccessKey] = [...stdout.matchAll(/='([^']+)'/g)].map((match) => match[1]!);
  const key = { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! };
  guest = clientsOf(key);
  await owner.createRepository({ repositoryName: 'shared' });
  await owner.putFile({ repositoryName: 'shared', branchName: 'main', filePath: 'README.md', fileContent: Buffer.from('of the owner\n') });
});
after(async () => {
  owner?.destroy();
  for (const client of [guest?.iam, guest?.codecommit, guest?.sts]) client?.destroy();
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});

function clientsOf(key: GitKey) {
  const settings = { ...server.client, credentials: key };
  return { iam: new IAM(settings), codecommit: new CodeCommit(settings), sts: new STS(settings), key };
}

const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const remote = () => `${server.endpoint}/v1/repos/shared`;

describe('two accounts', () => {
  it('know nothing of each other', async () => {
    const { Account } = await guest.sts.getCallerIdentity({});
    assert.equal(Account, OTHER);
    await refused(guest.codecommit.getRepository({ repositoryName: 'shared' }), 'RepositoryDoesNotExistException');
    assert.deepEqual((await guest.codecommit.listRepositories({})).repositories, []);
    await guest.codecommit.createRepository({ repositoryName: 'shared' });
    const clone = await tryGit(home, ['clone', '-q', remote(), 'guest'], withCredentials(signGit(server, 'shared', guest.key)));
    assert.equal(clone.code, 0, clone.stderr);
    await assert.rejects(readFile(path.join(home, 'guest', 'README.md')), { code: 'ENOENT' });
  });

  it('share a repository through a role that one lets the other assume', async () => {
    const iam = new IAM(server.client);
    const PolicyDocument = document({
      Effect: 'Allow',
      Action: ['codecommit:GitPull', 'codecommit:GitPush', 'codecommit:GetBranch'],
      Resource: '*',
    });
    const trust = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${OTHER}:root` }, Action: 'sts:AssumeRole' };
    const condition = { StringEquals: { 'sts:ExternalId': 'our-secret' } };
    await iam.createRole({ RoleName: 'partner', AssumeRolePolicyDocument: document({ ...trust, Condition: condition }) });
    await iam.putRolePolicy({ RoleName: 'partner', PolicyName: 'git', PolicyDocument });
    iam.destroy();

    // Both accounts must agree: the owner by the role's trust, the guest by its user's policy.
    const UserName = 'contractor';
    await guest.iam.createUser({ UserName });
    const { AccessKey } = await guest.iam.createAccessKey({ UserName });
    const contractor = clientsOf({ accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! });
    const RoleArn = `arn:aws:iam::${server.account}:role/partner`;
    const assume = (ExternalId?: string) => contractor.sts.assumeRole({ RoleArn, RoleSessionName: 'contract-1', ExternalId });
    await refused(assume('our-secret'), 'AccessDenied');
    await guest.iam.putUserPolicy({
      UserName,
      PolicyName: 'partner',
      PolicyDocument: document({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: RoleArn }),
    });
    await refused(assume('another-secret'), 'AccessDenied');
    const { Credentials: given } = await assume('our-secret');
    const key = { accessKeyId: given!.AccessKeyId!, secretAccessKey: given!.SecretAccessKey!, sessionToken: given!.SessionToken! };

    const session = clientsOf(key);
    assert.equal((await session.sts.getCallerIdentity({})).Arn, `arn:aws:sts::${server.account}:assumed-role/partner/contract-1`);
    const signed = withCredentials(signGit(server, 'shared', key));
    const work = path.join(home, 'work');
    await git(home, ['clone', '-q', remote(), work], signed);
    assert.equal(await readFile(path.join(work, 'README.md'), 'utf8'), 'of the owner\n');
    await writeFile(path.join(work, 'guest.txt'), 'of the guest\n');
    await git(work, ['add', '.']);
    await git(work, ['commit', '-qm', 'from the other account']);
    await git(work, ['push', '-q', 'origin', 'HEAD:main'], signed);
    const tip = (await git(work, ['rev-parse', 'HEAD'])).toString().trim();
    const { branch } = await session.codecommit.getBranch({ repositoryName: 'shared', branchName: 'main' });
    assert.equal(branch!.commitId, tip);
    assert.equal((await owner.getBranch({ repositoryName: 'shared', branchName: 'main' })).branch!.commitId, tip);
    await refused(session.codecommit.deleteRepository({ repositoryName: 'shared' }), 'AccessDeniedException');
    for (const { iam: one, codecommit, sts } of [contractor, session]) for (const client of [one, codecommit, sts]) client.destroy();
  });
});
