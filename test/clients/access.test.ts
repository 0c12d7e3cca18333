import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CodeCommitClient, CreateRepositoryCommand, GetRepositoryCommand, ListRepositoriesCommand } from '@aws-sdk/client-codecommit';
import {
  AddRoleToInstanceProfileCommand,
  AddUserToGroupCommand,
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateGroupCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  DeleteUserCommand,
  DeleteUserPolicyCommand,
  GetUserCommand,
  IAMClient,
  PutGroupPolicyCommand,
  PutRolePolicyCommand,
  PutUserPermissionsBoundaryCommand,
  PutUserPolicyCommand,
  TagUserCommand,
} from '@aws-sdk/client-iam';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { createAccount } from '../../src/cloud/iam/accounts.ts';
import type { Penstock } from '../../src/compose.ts';
import { readConfig } from '../../src/platform/config.ts';
import { startPenstock } from '../../src/start.ts';
import { refused } from '../support/refused.ts';

const OTHER = '222222222222';

let dataDir: string;
let first: Penstock;
let second: Penstock;
let iam: IAMClient;
let other: { accessKeyId: string; secretAccessKey: string };

/** Two processes' worth of Penstock on one database, and two accounts. */
before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-test-'));
  const start = () => {
    const { config, ports } = readConfig(
      { data: dataDir, port: '0', tlsPort: '0', sshPort: '0', machines: 'process' },
      { PENSTOCK_LOG_LEVEL: 'error' },
    );
    return startPenstock(config, ports, {});
  };
  first = await start();
  second = await start();
  iam = new IAMClient(clientOf(first.administrator));
  other = await first.platform.transaction((tx) => createAccount(tx, first.platform, OTHER));
});
after(async () => {
  iam?.destroy();
  await second?.stop();
  await first?.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

function clientOf(credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }, penstock = first) {
  return { endpoint: penstock.config.endpoints.http, region: 'us-east-1', credentials, maxAttempts: 1, forcePathStyle: true };
}

const account = () => first.config.account;
const statement = (Action: string | string[], more: object = {}) => ({ Effect: 'Allow', Action, Resource: '*', ...more });
const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

async function makeUser(UserName: string, ...Statement: object[]) {
  await iam.send(new CreateUserCommand({ UserName }));
  if (Statement.length > 0) await grant(UserName, ...Statement);
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

const grant = (UserName: string, ...Statement: object[]) =>
  iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument: policy(...Statement) }));

describe('a denied request', () => {
  it('gets the error of its own protocol, and the reason', async () => {
    const keys = await makeUser('nobody');
    const me = `arn:aws:iam::${account()}:user/nobody`;
    const repository = `arn:aws:codecommit:us-east-1:${account()}:app`;
    await refused(
      new CodeCommitClient(clientOf(keys)).send(new GetRepositoryCommand({ repositoryName: 'app' })),
      'AccessDeniedException',
      `User: ${me} is not authorized to perform: codecommit:GetRepository on resource: ${repository} because no identity-based policy allows the codecommit:GetRepository action`,
      400,
    );
    await refused(
      new IAMClient(clientOf(keys)).send(new GetUserCommand({ UserName: 'administrator' })),
      'AccessDenied',
      /^User: .* iam:GetUser on/,
      403,
    );
    await refused(
      new S3Client(clientOf(keys)).send(new CreateBucketCommand({ Bucket: 'of-nobody' })),
      'AccessDenied',
      /s3:CreateBucket/,
      403,
    );
    await grant('nobody', statement('*'), statement('codecommit:*', { Effect: 'Deny' }));
    await refused(
      new CodeCommitClient(clientOf(keys)).send(new ListRepositoriesCommand({})),
      'AccessDeniedException',
      `User: ${me} is not authorized to perform: codecommit:ListRepositories on resource: * with an explicit deny in an identity-based policy`,
    );
  });
});

describe('a change of policies', () => {
  it('holds from the moment of its answer', async () => {
    const keys = await makeUser('toggled');
    const codecommit = new CodeCommitClient(clientOf(keys));
    for (let round = 0; round < 10; round++) {
      await grant('toggled', statement('codecommit:ListRepositories'));
      await codecommit.send(new ListRepositoriesCommand({}));
      await iam.send(new DeleteUserPolicyCommand({ UserName: 'toggled', PolicyName: 'p' }));
      await refused(codecommit.send(new ListRepositoriesCommand({})), 'AccessDeniedException');
    }
  });

  it('reaches the other processes', async () => {
    const keys = await makeUser('remote', statement('codecommit:ListRepositories'));
    const there = new CodeCommitClient(clientOf(keys, second));
    await there.send(new ListRepositoriesCommand({}));
    await iam.send(new DeleteUserPolicyCommand({ UserName: 'remote', PolicyName: 'p' }));
    const allowed = () =>
      there.send(new ListRepositoriesCommand({})).then(
        () => true,
        () => false,
      );
    const since = Date.now();
    while (await allowed()) assert.ok(Date.now() - since < 10_000, 'the other process still allows it');
    await grant('remote', statement('codecommit:ListRepositories'));
    while (!(await allowed())) assert.ok(Date.now() - since < 20_000, 'the other process still denies it');
  });
});

describe('permissions', () => {
  it('come from groups and managed policies, and end at the boundary', async () => {
    const keys = await makeUser('limited');
    const codecommit = new CodeCommitClient(clientOf(keys));
    const list = () => codecommit.send(new ListRepositoriesCommand({}));
    const create = (repositoryName: string) => codecommit.send(new CreateRepositoryCommand({ repositoryName }));
    await iam.send(new CreateGroupCommand({ GroupName: 'readers' }));
    await iam.send(
      new PutGroupPolicyCommand({ GroupName: 'readers', PolicyName: 'p', PolicyDocument: policy(statement('codecommit:List*')) }),
    );
    await refused(list(), 'AccessDeniedException');
    await iam.send(new AddUserToGroupCommand({ GroupName: 'readers', UserName: 'limited' }));
    await list();
    await refused(create('a'), 'AccessDeniedException');
    await iam.send(new AttachUserPolicyCommand({ UserName: 'limited', PolicyArn: 'arn:aws:iam::aws:policy/AWSCodeCommitPowerUser' }));
    await create('a');
    await iam.send(
      new PutUserPermissionsBoundaryCommand({ UserName: 'limited', PermissionsBoundary: 'arn:aws:iam::aws:policy/AWSCodeCommitReadOnly' }),
    );
    await list();
    await refused(create('b'), 'AccessDeniedException', /because no permissions boundary allows the codecommit:CreateRepository action$/);
  });

  it('depend on names, tags and variables', async () => {
    const keys = await makeUser('vera', statement('codecommit:*', { Resource: 'arn:aws:codecommit:*:*:${aws:username}-*' }));
    const codecommit = new CodeCommitClient(clientOf(keys));
    await codecommit.send(new CreateRepositoryCommand({ repositoryName: 'vera-1' }));
    await refused(codecommit.send(new CreateRepositoryCommand({ repositoryName: 'ada-1' })), 'AccessDeniedException');
    const tagged = (tag: string) => statement('iam:GetUser', { Condition: { StringEquals: { 'aws:ResourceTag/team': tag } } });
    await grant('vera', tagged('${aws:PrincipalTag/team}'));
    const own = new IAMClient(clientOf(keys));
    const look = () => own.send(new GetUserCommand({ UserName: 'wanted' }));
    await iam.send(new CreateUserCommand({ UserName: 'wanted', Tags: [{ Key: 'team', Value: 'blue' }] }));
    await refused(look(), 'AccessDenied');
    await iam.send(new TagUserCommand({ UserName: 'vera', Tags: [{ Key: 'team', Value: 'red' }] }));
    await refused(look(), 'AccessDenied');
    await iam.send(new TagUserCommand({ UserName: 'vera', Tags: [{ Key: 'Team', Value: 'blue' }] }));
    await look();
    await iam.send(new DeleteUserCommand({ UserName: 'wanted' }));
  });

  it('to pass a role are asked for, with the service that it goes to', async () => {
    const pass = (service: string) => statement('iam:PassRole', { Condition: { StringEquals: { 'iam:PassedToService': service } } });
    const trust = policy({ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' });
    await iam.send(new CreateRoleCommand({ RoleName: 'passed', AssumeRolePolicyDocument: trust }));
    await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'passed' }));
    const keys = await makeUser('passer', statement('iam:AddRoleToInstanceProfile'));
    const add = () =>
      new IAMClient(clientOf(keys)).send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: 'passed', RoleName: 'passed' }));
    await refused(add(), 'AccessDenied', new RegExp(`iam:PassRole on resource: arn:aws:iam::${account()}:role/passed`));
    await grant('passer', statement('iam:AddRoleToInstanceProfile'), pass('codebuild.amazonaws.com'));
    await refused(add(), 'AccessDenied', /iam:PassRole/);
    await grant('passer', statement('iam:AddRoleToInstanceProfile'), pass('ec2.amazonaws.com'));
    await add();
  });
});

describe('two accounts', () => {
  it('see nothing of each other’s users', async () => {
    const me = await new STSClient(clientOf(other)).send(new GetCallerIdentityCommand({}));
    assert.equal(me.Arn, `arn:aws:iam::${OTHER}:user/administrator`);
    await iam.send(new CreateUserCommand({ UserName: 'private' }));
    await refused(new IAMClient(clientOf(other)).send(new GetUserCommand({ UserName: 'private' })), 'NoSuchEntityException');
  });

  it('share a role when both sides allow it', async () => {
    const trusted = (Principal: unknown) => policy({ Effect: 'Allow', Principal: { AWS: Principal }, Action: 'sts:AssumeRole' });
    const create = (RoleName: string, Principal: unknown) =>
      iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusted(Principal) }));
    await create('shared', `arn:aws:iam::${OTHER}:root`);
    await create('unshared', account());
    await iam.send(
      new PutRolePolicyCommand({ RoleName: 'shared', PolicyName: 'p', PolicyDocument: policy(statement('codecommit:ListRepositories')) }),
    );
    const assume = (keys: typeof other, role: string) =>
      new STSClient(clientOf(keys)).send(
        new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account()}:role/${role}`, RoleSessionName: 'cross' }),
      );
    const { Credentials } = await assume(other, 'shared');
    const session = {
      accessKeyId: Credentials!.AccessKeyId!,
      secretAccessKey: Credentials!.SecretAccessKey!,
      sessionToken: Credentials!.SessionToken!,
    };
    await new CodeCommitClient(clientOf(session)).send(new ListRepositoriesCommand({}));
    await refused(assume(other, 'unshared'), 'AccessDenied', /sts:AssumeRole/);

    const there = new IAMClient(clientOf(other));
    await there.send(new CreateUserCommand({ UserName: 'small' }));
    const { AccessKey } = await there.send(new CreateAccessKeyCommand({ UserName: 'small' }));
    const small = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    await create('for-small', `arn:aws:iam::${OTHER}:user/small`);
    await refused(assume(small, 'for-small'), 'AccessDenied');
    await there.send(new PutUserPolicyCommand({ UserName: 'small', PolicyName: 'p', PolicyDocument: policy(statement('sts:AssumeRole')) }));
    await assume(small, 'for-small');
    await refused(create('for-ghost', `arn:aws:iam::${OTHER}:user/ghost`), 'MalformedPolicyDocumentException', /Invalid principal/);
  });

  it('share a bucket when its policy says so', async () => {
    const s3 = new S3Client(clientOf(first.administrator));
    const theirs = new S3Client(clientOf(other));
    await s3.send(new CreateBucketCommand({ Bucket: 'shared-bucket' }));
    await s3.send(new PutObjectCommand({ Bucket: 'shared-bucket', Key: 'k', Body: 'x' }));
    const read = () => theirs.send(new GetObjectCommand({ Bucket: 'shared-bucket', Key: 'k' }));
    await refused(read(), 'AccessDenied', undefined, 403);
    const Policy = policy({ Effect: 'Allow', Principal: { AWS: OTHER }, Action: 's3:GetObject', Resource: 'arn:aws:s3:::shared-bucket/*' });
    await s3.send(new PutBucketPolicyCommand({ Bucket: 'shared-bucket', Policy }));
    assert.equal(await (await read()).Body!.transformToString(), 'x');
    await refused(theirs.send(new ListObjectsV2Command({ Bucket: 'shared-bucket' })), 'AccessDenied');
  });
});

describe('services', () => {
  const trust = (Service: string) => policy({ Effect: 'Allow', Principal: { Service }, Action: 'sts:AssumeRole' });
  const roleOf = (name: string) => `arn:aws:iam::${account()}:role/${name}`;
  const as = (service: string, role: string) =>
    first.platform.aws.as({ role: roleOf(role), service, sessionName: 'a b/c', region: 'us-east-1' });

  it('act as a role that trusts them, and within its permissions', async () => {
    await iam.send(new CreateRoleCommand({ RoleName: 'build', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') }));
    await iam.send(
      new PutRolePolicyCommand({ RoleName: 'build', PolicyName: 'p', PolicyDocument: policy(statement('codecommit:ListRepositories')) }),
    );
    const { codecommit } = await as('codebuild', 'build');
    await codecommit.listRepositories({});
    await assert.rejects(codecommit.createRepository({ repositoryName: 'x' }), {
      code: 'AccessDeniedException',
      message: new RegExp(
        `^User: arn:aws:sts::${account()}:assumed-role/build/a-b-c is not authorized to perform: codecommit:CreateRepository`,
      ),
    });
    await assert.rejects(as('codedeploy', 'build'), {
      code: 'AccessDeniedException',
      message: `User: codedeploy.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: ${roleOf('build')}`,
    });
    await assert.rejects(as('codebuild', 'none'), { code: 'AccessDeniedException' });
  });

  it('take a new session when the role was made anew', async () => {
    await iam.send(new DeleteRolePolicyCommand({ RoleName: 'build', PolicyName: 'p' }));
    await iam.send(new DeleteRoleCommand({ RoleName: 'build' }));
    await assert.rejects(as('codebuild', 'build'), { code: 'AccessDeniedException' });
    await iam.send(new CreateRoleCommand({ RoleName: 'build', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') }));
    await iam.send(new PutRolePolicyCommand({ RoleName: 'build', PolicyName: 'p', PolicyDocument: policy(statement('codecommit:*')) }));
    await (await as('codebuild', 'build')).codecommit.listRepositories({});
  });
});
