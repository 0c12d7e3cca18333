import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  AttachRolePolicyCommand,
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetUserCommand,
  IAMClient,
  ListUsersCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  AssumeRoleCommand,
  type AssumeRoleCommandInput,
  type Credentials,
  GetAccessKeyInfoCommand,
  GetCallerIdentityCommand,
  GetSessionTokenCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = spawnSync('aws', ['--version']).status === 0;

let server: TestServer;
let iam: IAMClient;
let sts: STSClient;

before(async () => {
  server = await startServer();
  iam = new IAMClient(server.client);
  sts = new STSClient(server.client);
});
after(async () => {
  iam?.destroy();
  sts?.destroy();
  await server?.stop();
});

const statement = (Action: string | string[], more: object = {}) => ({ Effect: 'Allow', Action, Resource: '*', ...more });
const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const trust = (Principal: object, Condition?: object, Action: string | string[] = 'sts:AssumeRole') =>
  policy({ Effect: 'Allow', Principal, Action, ...(Condition && { Condition }) });
const roleArn = (name: string) => `arn:aws:iam::${server.account}:role/${name}`;
const asClient = ({ AccessKeyId, SecretAccessKey, SessionToken }: Credentials) => ({
  ...server.client,
  credentials: { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: SessionToken! },
});

async function makeRole(RoleName: string, AssumeRolePolicyDocument = trust({ AWS: server.account }), more: object = {}): Promise<string> {
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument, ...more }));
  return roleArn(RoleName);
}

async function allowRole(RoleName: string, ...Statement: object[]): Promise<void> {
  await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'p', PolicyDocument: policy(...Statement) }));
}

async function makeUser(UserName: string, ...Statement: object[]): Promise<STSClient> {
  await iam.send(new CreateUserCommand({ UserName }));
  if (Statement.length > 0) await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument: policy(...Statement) }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return new STSClient({
    ...server.client,
    credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
  });
}

const assume = async (client: STSClient, RoleArn: string, more: Partial<AssumeRoleCommandInput> = {}) =>
  client.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'session', ...more }));
const sessionOf = async (RoleArn: string, more: Partial<AssumeRoleCommandInput> = {}) =>
  asClient((await assume(sts, RoleArn, more)).Credentials!);

describe('GetCallerIdentity', () => {
  it('answers everybody, even who may do nothing', async () => {
    const denied = await makeUser('denied', { Effect: 'Deny', Action: '*', Resource: '*' });
    const me = await denied.send(new GetCallerIdentityCommand({}));
    assert.equal(me.Arn, `arn:aws:iam::${server.account}:user/denied`);
    assert.equal(me.Account, server.account);
    assert.match(me.UserId!, /^AIDA/);
  });

  it('tells keys that are not there', async () => {
    const credentials = { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x' };
    const stranger = new STSClient({ ...server.client, credentials });
    await refused(
      stranger.send(new GetCallerIdentityCommand({})),
      'InvalidClientTokenId',
      'The security token included in the request is invalid.',
      403,
    );
    const wrong = new STSClient({ ...server.client, credentials: { ...server.credentials, secretAccessKey: 'wrong' } });
    await refused(wrong.send(new GetCallerIdentityCommand({})), 'SignatureDoesNotMatch', /^The request signature we calculated/, 403);
  });
});

describe('GetAccessKeyInfo', () => {
  it('reads the account out of the key', async () => {
    const { Account } = await sts.send(new GetAccessKeyInfoCommand({ AccessKeyId: server.credentials.accessKeyId }));
    assert.equal(Account, server.account);
    await refused(sts.send(new GetAccessKeyInfoCommand({ AccessKeyId: 'AKIA000000000000' })), 'ValidationError');
  });
});

describe('AssumeRole', () => {
  it('gives a session with the permissions of the role, until the role is gone', async () => {
    const RoleArn = await makeRole('reader');
    const made = await assume(sts, RoleArn);
    assert.match(made.Credentials!.AccessKeyId!, /^ASIA/);
    assert.match(made.AssumedRoleUser!.AssumedRoleId!, /^AROA[A-Z2-7]+:session$/);
    assert.equal(made.AssumedRoleUser!.Arn, `arn:aws:sts::${server.account}:assumed-role/reader/session`);
    const minutes = (made.Credentials!.Expiration!.getTime() - Date.now()) / 60_000;
    assert.ok(minutes > 58 && minutes <= 60.1, String(minutes));
    const session = asClient(made.Credentials!);
    const asRole = new IAMClient(session);
    const me = await new STSClient(session).send(new GetCallerIdentityCommand({}));
    assert.equal(me.Arn, made.AssumedRoleUser!.Arn);
    assert.equal(me.UserId, made.AssumedRoleUser!.AssumedRoleId);
    await refused(
      asRole.send(new ListUsersCommand({})),
      'AccessDenied',
      `User: ${me.Arn} is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::${server.account}:user/ because no identity-based policy allows the iam:ListUsers action`,
      403,
    );
    await allowRole('reader', statement('iam:List*'));
    await asRole.send(new ListUsersCommand({}));
    const lastUsed = async () => (await iam.send(new GetRoleCommand({ RoleName: 'reader' }))).Role!.RoleLastUsed!;
    while (!(await lastUsed()).LastUsedDate);
    assert.equal((await lastUsed()).Region, server.region);
    await iam.send(new DeleteRolePolicyCommand({ RoleName: 'reader', PolicyName: 'p' }));
    await refused(asRole.send(new ListUsersCommand({})), 'AccessDenied');
    await iam.send(new DeleteRoleCommand({ RoleName: 'reader' }));
    await makeRole('reader');
    await refused(asRole.send(new ListUsersCommand({})), 'InvalidClientTokenId', /invalid/, 403);
  });

  it('asks the trust policy, and the caller’s own policies where it names only the account', async () => {
    const nobody = await makeUser('nobody');
    const caller = await makeUser('caller', statement('sts:AssumeRole', { Resource: `arn:aws:iam::${server.account}:role/by-*` }));
    const byAccount = await makeRole('by-account');
    const byRoot = await makeRole('by-root', trust({ AWS: `arn:aws:iam::${server.account}:root` }));
    const byUser = await makeRole('of-nobody', trust({ AWS: `arn:aws:iam::${server.account}:user/nobody` }));
    const byService = await makeRole('by-service', trust({ Service: 'codebuild.amazonaws.com' }));
    await assume(caller, byAccount);
    await assume(caller, byRoot);
    await assume(nobody, byUser);
    const denied = (arn: string, user: string) =>
      `User: arn:aws:iam::${server.account}:user/${user} is not authorized to perform: sts:AssumeRole on resource: ${arn}`;
    await refused(assume(nobody, byAccount), 'AccessDenied', denied(byAccount, 'nobody'), 403);
    await refused(assume(nobody, byRoot), 'AccessDenied', denied(byRoot, 'nobody'));
    await refused(assume(caller, byUser), 'AccessDenied', denied(byUser, 'caller'));
    await refused(assume(caller, byService), 'AccessDenied', denied(byService, 'caller'));
    await refused(assume(sts, byService), 'AccessDenied', denied(byService, 'administrator'));
    await refused(assume(caller, roleArn('by-nobody')), 'AccessDenied', denied(roleArn('by-nobody'), 'caller'));
    await refused(assume(caller, `arn:aws:iam::999999999999:role/by-other`), 'AccessDenied');
    await refused(assume(caller, `arn:aws:iam::${server.account}:user/caller`), 'ValidationError', /is invalid$/, 400);
  });

  it('asks for the external id where the trust policy does', async () => {
    const RoleArn = await makeRole('external', trust({ AWS: server.account }, { StringEquals: { 'sts:ExternalId': 'secret-1' } }));
    await assume(sts, RoleArn, { ExternalId: 'secret-1' });
    await refused(assume(sts, RoleArn, { ExternalId: 'secret-2' }), 'AccessDenied');
    await refused(assume(sts, RoleArn), 'AccessDenied');
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'external', PolicyDocument: trust({ AWS: server.account }) }));
    await assume(sts, RoleArn);
  });

  it('limits the session by session policies', async () => {
    const RoleArn = await makeRole('wide');
    await iam.send(new AttachRolePolicyCommand({ RoleName: 'wide', PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' }));
    const inline = new IAMClient(await sessionOf(RoleArn, { Policy: policy(statement('iam:GetUser')) }));
    await inline.send(new GetUserCommand({ UserName: 'administrator' }));
    await refused(inline.send(new ListUsersCommand({})), 'AccessDenied', /because no session policy allows the iam:ListUsers action$/);
    const managed = new IAMClient(await sessionOf(RoleArn, { PolicyArns: [{ arn: 'arn:aws:iam::aws:policy/IAMReadOnlyAccess' }] }));
    await managed.send(new ListUsersCommand({}));
    await refused(managed.send(new CreateUserCommand({ UserName: 'x' })), 'AccessDenied', /no session policy/);
    assert.ok((await assume(sts, RoleArn, { Policy: policy(statement('*')) })).PackedPolicySize! > 0);
    await refused(assume(sts, RoleArn, { Policy: '{' }), 'MalformedPolicyDocumentException', 'This policy contains invalid Json', 400);
    const large = policy(statement(Array.from({ length: 200 }, (_, index) => `s3:Action${index}`)));
    await refused(assume(sts, RoleArn, { Policy: large }), 'PackedPolicyTooLargeException', /% of allotted space/);
    await refused(assume(sts, RoleArn, { PolicyArns: [{ arn: 'arn:aws:iam::aws:policy/NoSuchPolicy' }] }), 'ValidationError');
  });

  it('carries tags, which conditions can ask for and further sessions inherit', async () => {
    const both = ['sts:AssumeRole', 'sts:TagSession'];
    const RoleArn = await makeRole('tagged', trust({ AWS: server.account }, undefined, both));
    const next = await makeRole('next', trust({ AWS: server.account }, undefined, both));
    await allowRole(
      'tagged',
      statement('iam:ListUsers', { Condition: { StringEquals: { 'aws:PrincipalTag/team': 'blue' } } }),
      statement(both),
    );
    await allowRole('next', statement('iam:ListUsers', { Condition: { StringEquals: { 'aws:PrincipalTag/Team': 'blue' } } }));
    const Tags = [{ Key: 'team', Value: 'blue' }];
    await new IAMClient(await sessionOf(RoleArn, { Tags })).send(new ListUsersCommand({}));
    await refused(new IAMClient(await sessionOf(RoleArn)).send(new ListUsersCommand({})), 'AccessDenied');

    const handsOn = new STSClient(await sessionOf(RoleArn, { Tags, TransitiveTagKeys: ['team'] }));
    await new IAMClient(asClient((await assume(handsOn, next)).Credentials!)).send(new ListUsersCommand({}));
    await refused(assume(handsOn, next, { Tags }), 'InvalidParameterValue', /conflicts with a transitive tag key/);
    const keeps = new STSClient(await sessionOf(RoleArn, { Tags }));
    await refused(new IAMClient(asClient((await assume(keeps, next)).Credentials!)).send(new ListUsersCommand({})), 'AccessDenied');

    await refused(assume(sts, RoleArn, { TransitiveTagKeys: ['team'] }), 'InvalidParameterValue');
    const untaggable = await makeRole('untaggable', trust({ AWS: server.account }));
    await refused(assume(sts, untaggable, { Tags }), 'AccessDenied', /sts:TagSession/);
  });

  it('keeps to the durations that role and chaining allow', async () => {
    const RoleArn = await makeRole('long', undefined, { MaxSessionDuration: 7200 });
    await allowRole('long', statement('sts:AssumeRole'));
    await refused(
      assume(sts, RoleArn, { DurationSeconds: 7201 }),
      'ValidationError',
      /exceeds the MaxSessionDuration set for this role/,
      400,
    );
    await refused(assume(sts, RoleArn, { DurationSeconds: 899 }), 'ValidationError', /durationSeconds/, 400);
    const first = await assume(sts, RoleArn, { DurationSeconds: 7200 });
    assert.ok(first.Credentials!.Expiration!.getTime() > Date.now() + 7_000_000);
    const chained = new STSClient(asClient(first.Credentials!));
    await assume(chained, RoleArn, { DurationSeconds: 3600 });
    await refused(
      assume(chained, RoleArn, { DurationSeconds: 3601 }),
      'ValidationError',
      /1 hour session limit for roles assumed by role chaining/,
    );
  });

  it('believes only its own tokens, each with its own key', async () => {
    const RoleArn = await makeRole('tokens');
    const a = (await assume(sts, RoleArn)).Credentials!;
    const b = (await assume(sts, RoleArn)).Credentials!;
    const who = (credentials: Credentials) => new STSClient(asClient(credentials)).send(new GetCallerIdentityCommand({}));
    await who(a);
    const token = a.SessionToken!;
    const changed = [
      `${token.slice(0, 60)}${token[60] === 'A' ? 'B' : 'A'}${token.slice(61)}`,
      b.SessionToken,
      'junk',
      'IQoJ',
      token.slice(0, -1),
      `${token}AAAA`,
    ];
    for (const SessionToken of changed) await refused(who({ ...a, SessionToken }), 'InvalidClientTokenId', /invalid/, 403);
    await refused(who({ ...a, SessionToken: undefined }), 'InvalidClientTokenId');
    await refused(who({ ...a, SecretAccessKey: b.SecretAccessKey }), 'SignatureDoesNotMatch');
    await refused(who({ ...a, AccessKeyId: b.AccessKeyId }), 'InvalidClientTokenId');
  });

  it('survives a restart, since nothing of it is stored', async () => {
    const session = new STSClient(await sessionOf(await makeRole('durable')));
    await server.restart();
    assert.match((await session.send(new GetCallerIdentityCommand({}))).Arn!, /assumed-role\/durable\/session$/);
  });

  it('is understood by the AWS CLI', { skip: hasCli ? false : 'the AWS CLI is not installed' }, async () => {
    const RoleArn = await makeRole('by-cli');
    const { stdout } = await run('aws', ['sts', 'assume-role', '--role-arn', RoleArn, '--role-session-name', 'cli'], { env: server.env });
    const { Credentials } = JSON.parse(stdout) as { Credentials: Record<string, string> };
    const env = {
      AWS_ACCESS_KEY_ID: Credentials.AccessKeyId,
      AWS_SECRET_ACCESS_KEY: Credentials.SecretAccessKey,
      AWS_SESSION_TOKEN: Credentials.SessionToken,
    };
    const me = await run('aws', ['sts', 'get-caller-identity', '--query', 'Arn', '--output', 'text'], { env: { ...server.env, ...env } });
    assert.equal(me.stdout.trim(), `arn:aws:sts::${server.account}:assumed-role/by-cli/cli`);
  });
});

describe('GetSessionToken', () => {
  it('gives a user a session that may do what the user may, but nothing in IAM', async () => {
    const user = await makeUser('sessioned', statement('*'));
    const { Credentials } = await user.send(new GetSessionTokenCommand({ DurationSeconds: 900 }));
    const session = new STSClient(asClient(Credentials!));
    assert.equal((await session.send(new GetCallerIdentityCommand({}))).Arn, `arn:aws:iam::${server.account}:user/sessioned`);
    await session.send(new GetAccessKeyInfoCommand({ AccessKeyId: server.credentials.accessKeyId }));
    await refused(new IAMClient(asClient(Credentials!)).send(new ListUsersCommand({})), 'InvalidClientTokenId');
    await refused(
      session.send(new GetSessionTokenCommand({})),
      'AccessDenied',
      'Cannot call GetSessionToken with session credentials',
      403,
    );
    await refused(
      user.send(new GetSessionTokenCommand({ SerialNumber: 'arn:aws:iam::1:mfa/x', TokenCode: '123456' })),
      'AccessDenied',
      /MFA/,
    );
  });
});
