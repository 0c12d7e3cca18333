import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CloudTrail, type LookupAttributeKey } from '@aws-sdk/client-cloudtrail';
import { CodeBuild } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { S3 } from '@aws-sdk/client-s3';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { SSM } from '@aws-sdk/client-ssm';
import { STS } from '@aws-sdk/client-sts';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../support/git.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = await run('aws', ['--version']).then(
  () => true,
  () => false,
);
const main = path.join(import.meta.dirname, '../../src/main.ts');
const HIDDEN = 'HIDDEN_DUE_TO_SECURITY_REASONS';

let server: TestServer;
let cloudtrail: CloudTrail;
let codecommit: CodeCommit;
let iam: IAM;
let sts: STS;

before(async () => {
  server = await startServer();
  cloudtrail = new CloudTrail(server.client);
  codecommit = new CodeCommit(server.client);
  iam = new IAM(server.client);
  sts = new STS(server.client);
});
after(() => server.stop());

/** The records of this operation, newest first. */
async function records(AttributeKey: LookupAttributeKey, AttributeValue: string): Promise<any[]> {
  const { Events } = await cloudtrail.lookupEvents({ LookupAttributes: [{ AttributeKey, AttributeValue }] });
  return Events!.map((event) => JSON.parse(event.CloudTrailEvent!));
}
const called = (name: string) => records('EventName', name);

async function newUser(name: string) {
  await iam.createUser({ UserName: name });
  const { AccessKey } = await iam.createAccessKey({ UserName: name });
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

/** All that is stored, as anybody may look it up. */
async function everything(): Promise<string> {
  const texts: string[] = [];
  for (let NextToken: string | undefined, first = true; first || NextToken; first = false) {
    const page = await cloudtrail.lookupEvents({ NextToken });
    for (const { CloudTrailEvent } of page.Events!) texts.push(CloudTrailEvent!);
    NextToken = page.NextToken;
  }
  return texts.join('\n');
}

/** All that the journal holds. */
async function journal(): Promise<string> {
  const folder = path.join(server.dataDir, 'cloudtrail');
  const files = await readdir(folder);
  return (await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')))).join('\n');
}

describe('records', () => {
  test('tell a change with what was asked and what was answered', async () => {
    const { repositoryMetadata: made } = await codecommit.createRepository({ repositoryName: 'told', tags: { team: 'a' } });
    const [record] = await called('CreateRepository');
    const { eventTime, eventID, requestID, userAgent, userIdentity, responseElements, ...rest } = record;
    assert.ok(Math.abs(Date.parse(eventTime) - Date.now()) < 60_000);
    assert.match(eventTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(eventID, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.match(requestID, /^[0-9a-f-]{36}$/);
    assert.match(userAgent, /^aws-sdk-js/);
    const { principalId, ...identity } = userIdentity;
    assert.match(principalId, /^AIDA/);
    assert.deepEqual(identity, {
      type: 'IAMUser',
      arn: `arn:aws:iam::${server.account}:user/administrator`,
      accountId: server.account,
      accessKeyId: server.credentials.accessKeyId,
      userName: 'administrator',
    });
    assert.equal(responseElements.repositoryMetadata.repositoryId, made!.repositoryId);
    assert.match(responseElements.repositoryMetadata.creationDate, /^\w{3} \d+, \d{4} \d+:\d\d:\d\d [AP]M$/);
    assert.deepEqual(rest, {
      eventVersion: '1.11',
      eventSource: 'codecommit.amazonaws.com',
      eventName: 'CreateRepository',
      awsRegion: server.region,
      sourceIPAddress: '127.0.0.1',
      requestParameters: { repositoryName: 'told', tags: { team: 'a' } },
      readOnly: false,
      resources: [
        {
          accountId: server.account,
          type: 'AWS::CodeCommit::Repository',
          ARN: `arn:aws:codecommit:${server.region}:${server.account}:told`,
        },
      ],
      eventType: 'AwsApiCall',
      apiVersion: '2015-04-13',
      managementEvent: true,
      recipientAccountId: server.account,
      eventCategory: 'Management',
    });
  });

  test('tell a read without its answer, and a call over TLS with its cipher', async () => {
    const https = new CodeCommit({
      ...server.client,
      endpoint: server.tlsEndpoint,
      requestHandler: { httpsAgent: { ca: await readFile(server.caFile) } },
    });
    await https.listRepositories({ sortBy: 'repositoryName' });
    const [record] = await called('ListRepositories');
    assert.equal(record.readOnly, true);
    assert.equal(record.responseElements, null);
    assert.deepEqual(record.requestParameters, { sortBy: 'repositoryName' });
    assert.match(record.tlsDetails.tlsVersion, /^TLSv1\.[23]$/);
    assert.match(record.tlsDetails.cipherSuite, /^TLS_/);
    assert.match(record.tlsDetails.clientProvidedHostHeader, /^127\.0\.0\.1:\d+$/);
  });

  test('tell calls that were refused: by policies, by validation, by what is not there, by a wrong signature', async () => {
    const key = await newUser('nobody');
    const poor = new CodeCommit({ ...server.client, credentials: key });
    await refused(poor.deleteRepository({ repositoryName: 'told' }), 'AccessDeniedException');
    const [denied] = await called('DeleteRepository');
    assert.equal(denied.errorCode, 'AccessDeniedException');
    assert.match(denied.errorMessage, /not authorized to perform: codecommit:DeleteRepository/);
    assert.equal(denied.userIdentity.userName, 'nobody');
    assert.equal(denied.responseElements, null);
    assert.deepEqual(denied.requestParameters, { repositoryName: 'told' });

    await refused(codecommit.getBranch({ repositoryName: 'told', branchName: 'no' }), 'BranchDoesNotExistException');
    assert.equal((await called('GetBranch'))[0].errorCode, 'BranchDoesNotExistException');

    await refused(codecommit.createBranch({ repositoryName: 'a/b', branchName: 'x', commitId: 'y' }), 'InvalidRepositoryNameException');
    assert.equal((await called('CreateBranch'))[0].errorCode, 'InvalidRepositoryNameException');

    await refused(new IAM({ ...server.client, credentials: key }).listUsers({}), 'AccessDenied');
    assert.equal((await called('ListUsers'))[0].errorCode, 'AccessDenied');

    const forged = new STS({ ...server.client, credentials: { ...key, secretAccessKey: 'guessed' } });
    await refused(forged.getSessionToken({}), 'SignatureDoesNotMatch');
    const [mismatch] = await called('GetSessionToken');
    assert.equal(mismatch.errorCode, 'SignatureDoesNotMatch');
    assert.deepEqual(mismatch.userIdentity, { type: 'Unknown', accountId: server.account, accessKeyId: key.accessKeyId });
  });

  test('name the session of a role, and where it came from', async () => {
    const trust = { Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${server.account}:root` }, Action: 'sts:*' }] };
    const { Role } = await iam.createRole({ RoleName: 'auditor', AssumeRolePolicyDocument: JSON.stringify(trust) });
    const { Credentials } = await sts.assumeRole({ RoleArn: Role!.Arn!, RoleSessionName: 'spring', SourceIdentity: 'eve' });
    const session = {
      accessKeyId: Credentials!.AccessKeyId!,
      secretAccessKey: Credentials!.SecretAccessKey!,
      sessionToken: Credentials!.SessionToken!,
    };
    await new STS({ ...server.client, credentials: session }).getCallerIdentity({});
    const [record] = await records('AccessKeyId', session.accessKeyId);
    const { creationDate } = record.userIdentity.sessionContext.attributes;
    assert.match(creationDate, /Z$/);
    assert.deepEqual(record.userIdentity, {
      type: 'AssumedRole',
      principalId: `${Role!.RoleId}:spring`,
      arn: `arn:aws:sts::${server.account}:assumed-role/auditor/spring`,
      accountId: server.account,
      accessKeyId: session.accessKeyId,
      sessionContext: {
        sessionIssuer: { type: 'Role', principalId: Role!.RoleId, arn: Role!.Arn, accountId: server.account, userName: 'auditor' },
        attributes: { creationDate, mfaAuthenticated: 'false' },
        sourceIdentity: 'eve',
      },
    });
    assert.equal((await records('Username', 'spring'))[0].eventName, 'GetCallerIdentity');
    const [assumed] = await called('AssumeRole');
    assert.equal(assumed.readOnly, true);
    assert.equal(assumed.responseElements.credentials.accessKeyId, session.accessKeyId);
    assert.equal(assumed.responseElements.credentials.sessionToken, HIDDEN);
    assert.equal('secretAccessKey' in assumed.responseElements.credentials, false);
    const resource = assumed.resources.find(({ type }: { type: string }) => type === 'AWS::IAM::Role');
    assert.deepEqual(resource, { accountId: server.account, type: 'AWS::IAM::Role', ARN: Role!.Arn });
  });

  test('leave out data events that no trail asks for, and contents', async () => {
    const s3 = new S3(server.client);
    await s3.createBucket({ Bucket: 'records-data' });
    await s3.putObject({ Bucket: 'records-data', Key: 'k', Body: 'something' });
    assert.equal((await called('PutObject')).length, 0);
    const [bucket] = await called('CreateBucket');
    assert.equal(bucket.requestParameters.bucketName, 'records-data');
    await codecommit.putFile({
      repositoryName: 'told',
      branchName: 'main',
      filePath: 'a.txt',
      fileContent: Buffer.from('the content of a file'),
    });
    const [put] = await called('PutFile');
    assert.equal(put.requestParameters.filePath, 'a.txt');
    assert.equal('fileContent' in put.requestParameters, false);
  });

  test('cut what is too long', async () => {
    const description = 'é'.repeat(500);
    await codecommit.updateRepositoryDescription({ repositoryName: 'told', repositoryDescription: description });
    assert.equal((await called('UpdateRepositoryDescription'))[0].requestParameters.repositoryDescription, description);
    const tags = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`key-${n}`, 'v'.repeat(100)]));
    await codecommit.createRepository({ repositoryName: 'much', tags }).catch(() => {});
    const [record] = await called('CreateRepository');
    assert.equal(record.requestParameters.omitted, true);
    assert.ok(record.requestParameters.originalSize > 200_000);
  });
});

test('git is recorded: a pull, a push with its references, one that was refused', async () => {
  await codecommit.createRepository({ repositoryName: 'gitted' });
  const { commitId } = await codecommit.putFile({
    repositoryName: 'gitted',
    branchName: 'main',
    filePath: 'a',
    fileContent: Buffer.from('a'),
  });
  const url = `${server.endpoint}/v1/repos/gitted`;
  const work = path.join(server.dataDir, 'gitted');
  const env = withCredentials(signGit(server, 'gitted'));
  await git(server.dataDir, ['clone', '-q', url, work], env);
  await git(work, ['push', '-q', 'origin', 'HEAD:refs/heads/other'], env);
  const [pull] = await called('GitPull');
  assert.equal(pull.eventSource, 'codecommit.amazonaws.com');
  assert.equal(pull.readOnly, true);
  assert.equal(pull.requestParameters, null);
  assert.match(pull.userAgent, /^git\//);
  assert.equal(pull.sourceIPAddress, '127.0.0.1');
  assert.equal(pull.additionalEventData.repositoryName, 'gitted');
  assert.equal(pull.additionalEventData.protocol, 'HTTP');
  const [push, asked] = await called('GitPush');
  assert.deepEqual(push.requestParameters, { references: [{ ref: 'refs/heads/other', commit: commitId }] });
  assert.equal(push.readOnly, false);
  assert.equal(push.userIdentity.userName, 'administrator');
  assert.equal(push.additionalEventData.dataTransferred, true);
  assert.deepEqual(push.resources, [
    { accountId: server.account, type: 'AWS::CodeCommit::Repository', ARN: `arn:aws:codecommit:${server.region}:${server.account}:gitted` },
  ]);
  assert.equal(asked.readOnly, true);
  assert.equal(asked.additionalEventData.dataTransferred, false);

  const key = await newUser('no-git');
  await assert.rejects(git(server.dataDir, ['ls-remote', url], withCredentials(signGit(server, 'gitted', key))));
  const [denied] = await called('GitPull');
  assert.equal(denied.errorCode, 'AccessDeniedException');
  assert.equal(denied.userIdentity.userName, 'no-git');
});

test('a role that another account assumed is in the trail of both', async () => {
  const other = '111122223333';
  const { stdout } = await run(process.execPath, [main, 'account', 'add', other, '--data', server.dataDir], { env: server.env });
  const [accessKeyId, secretAccessKey] = [...stdout.matchAll(/='([^']+)'/g)].map((match) => match[1]!);
  const credentials = { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! };
  const trust = { Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${other}:root` }, Action: 'sts:AssumeRole' }] };
  const { Role } = await iam.createRole({ RoleName: 'shared', AssumeRolePolicyDocument: JSON.stringify(trust) });
  await new STS({ ...server.client, credentials }).assumeRole({ RoleArn: Role!.Arn!, RoleSessionName: 'guest' });
  const [here] = await records('ResourceName', Role!.Arn!);
  const { Events } = await new CloudTrail({ ...server.client, credentials }).lookupEvents({});
  const there = JSON.parse(Events!.find(({ EventName }) => EventName === 'AssumeRole')!.CloudTrailEvent!);
  assert.equal(here.eventName, 'AssumeRole');
  assert.equal(here.recipientAccountId, server.account);
  assert.equal(here.userIdentity.type, 'AWSAccount');
  assert.equal(here.userIdentity.accountId, other);
  assert.equal(there.userIdentity.userName, 'administrator');
  assert.equal(there.recipientAccountId, other);
  assert.equal(here.sharedEventID, there.sharedEventID);
  assert.notEqual(here.eventID, there.eventID);
});

test('the AWS CLI looks events up', { skip: hasCli ? false : 'there is no AWS CLI' }, async () => {
  await codecommit.createRepository({ repositoryName: 'by-cli' });
  const attribute = 'AttributeKey=ResourceName,AttributeValue=by-cli';
  const { stdout } = await run('aws', ['cloudtrail', 'lookup-events', '--lookup-attributes', attribute], { env: server.env });
  const { Events } = JSON.parse(stdout);
  assert.equal(Events.length, 1);
  assert.equal(Events[0].EventName, 'CreateRepository');
  assert.equal(JSON.parse(Events[0].CloudTrailEvent).requestParameters.repositoryName, 'by-cli');
});

test('calls of one service for another name it', async () => {
  const trust = { Statement: [{ Effect: 'Allow', Principal: { Service: 'codebuild.amazonaws.com' }, Action: 'sts:AssumeRole' }] };
  const { Role } = await iam.createRole({ RoleName: 'build-role', AssumeRolePolicyDocument: JSON.stringify(trust) });
  await iam.attachRolePolicy({ RoleName: 'build-role', PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' });
  const codebuild = new CodeBuild(server.client);
  await codebuild.createProject({
    name: 'recorded',
    source: { type: 'NO_SOURCE', buildspec: 'version: 0.2\nphases: { build: { commands: [ "true" ] } }' },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
    serviceRole: Role!.Arn!,
  });
  await codebuild.startBuild({ projectName: 'recorded' });
  let assumed: any;
  while (!assumed) {
    assumed = (await records('ResourceName', Role!.Arn!)).find(({ eventName }) => eventName === 'AssumeRole');
    await delay(100);
  }
  assert.deepEqual(assumed.userIdentity, { type: 'AWSService', invokedBy: 'codebuild.amazonaws.com' });
  assert.equal(assumed.sourceIPAddress, 'codebuild.amazonaws.com');
  assert.equal(assumed.userAgent, 'codebuild.amazonaws.com');
  let stream: any;
  while (!stream) {
    [stream] = await called('CreateLogStream');
    await delay(100);
  }
  assert.equal(stream.userIdentity.type, 'AssumedRole');
  assert.equal(stream.userIdentity.invokedBy, 'codebuild.amazonaws.com');
  assert.equal(stream.userIdentity.sessionContext.sessionIssuer.userName, 'build-role');
});

test('no secret is ever written down', async () => {
  const key = await newUser('secretive');
  await iam.attachUserPolicy({ UserName: 'secretive', PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' });
  const { ServiceSpecificCredential: git } = await iam.createServiceSpecificCredential({
    UserName: 'secretive',
    ServiceName: 'codecommit.amazonaws.com',
  });
  const { Credentials } = await new STS({ ...server.client, credentials: key }).getSessionToken({});
  const secrets = [key.secretAccessKey, git!.ServicePassword!, Credentials!.SecretAccessKey!, Credentials!.SessionToken!];
  const [credential] = await called('CreateServiceSpecificCredential');
  assert.equal(credential.responseElements.serviceSpecificCredential.servicePassword, HIDDEN);
  assert.equal(credential.responseElements.serviceSpecificCredential.serviceUserName, git!.ServiceUserName);
  await iam.createLoginProfile({ UserName: 'secretive', Password: 'Correct-horse-7-battery' }).catch(() => {});
  await iam.createLoginProfile({ UserName: 'secretive', Password: 'Staple-9'.repeat(40) }).catch(() => {});
  secrets.push('Correct-horse-7-battery', 'Staple-9Staple-9');
  const [profile] = await called('CreateLoginProfile');
  assert.equal(profile.requestParameters.password, HIDDEN);
  const kms = new KMS(server.client);
  const { KeyMetadata } = await kms.createKey({});
  const KeyId = KeyMetadata!.KeyId!;
  const plaintext = 'a plain text that nobody may read';
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from(plaintext) });
  await kms.decrypt({ CiphertextBlob });
  const dataKey = await kms.generateDataKey({ KeyId, KeySpec: 'AES_256' });
  secrets.push(plaintext, Buffer.from(plaintext).toString('base64'), Buffer.from(dataKey.Plaintext!).toString('base64'));
  const ssm = new SSM(server.client);
  await ssm.putParameter({ Name: '/kept/secret', Type: 'SecureString', Value: 'the value of a parameter' });
  await ssm.putParameter({ Name: '/kept/secret', Type: 'SecureString', Value: 'the value of a parameter' }).catch(() => {});
  await ssm.getParameter({ Name: '/kept/secret', WithDecryption: true });
  secrets.push('the value of a parameter');
  const secretsManager = new SecretsManager(server.client);
  await secretsManager.createSecret({ Name: 'kept', SecretString: 'the value of a secret' });
  await secretsManager.putSecretValue({ SecretId: 'kept', SecretBinary: Buffer.from('the bytes of a secret') });
  await secretsManager.getSecretValue({ SecretId: 'kept' });
  secrets.push('the value of a secret', 'the bytes of a secret', Buffer.from('the bytes of a secret').toString('base64'));
  assert.deepEqual((await called('PutParameter'))[0].requestParameters, { name: '/kept/secret', type: 'SecureString', value: HIDDEN });
  const written = (await journal()) + (await everything());
  assert.match(written, /secretive/);
  for (const secret of secrets) assert.ok(!written.includes(secret), `${secret.slice(0, 4)}… was written down`);
});

describe('LookupEvents', () => {
  const lookup = (AttributeKey: LookupAttributeKey, AttributeValue: string) =>
    cloudtrail.lookupEvents({ LookupAttributes: [{ AttributeKey, AttributeValue }] });

  test('finds events by every attribute', async () => {
    await iam.createGroup({ GroupName: 'found' });
    const [event] = (await lookup('ResourceName', 'found')).Events!;
    assert.equal(event!.EventName, 'CreateGroup');
    assert.equal(event!.EventSource, 'iam.amazonaws.com');
    assert.equal(event!.ReadOnly, 'false');
    assert.equal(event!.Username, 'administrator');
    assert.equal(event!.AccessKeyId, server.credentials.accessKeyId);
    const resource = { ResourceType: 'AWS::IAM::Group', ResourceName: 'found' };
    assert.deepEqual(event!.Resources![0], resource);
    const asked: [LookupAttributeKey, string][] = [
      ['EventId', event!.EventId!],
      ['EventName', 'CreateGroup'],
      ['ReadOnly', 'false'],
      ['Username', 'administrator'],
      ['ResourceType', 'AWS::IAM::Group'],
      ['ResourceName', `arn:aws:iam::${server.account}:group/found`],
      ['EventSource', 'iam.amazonaws.com'],
      ['AccessKeyId', server.credentials.accessKeyId],
    ];
    for (const [key, value] of asked) {
      const { Events } = await lookup(key, value);
      assert.ok(
        Events!.some(({ EventId }) => EventId === event!.EventId),
        key,
      );
    }
    for (const [key] of asked) assert.deepEqual((await lookup(key, 'there is none')).Events, [], key);
  });

  test('pages newest first, without gaps or repetitions, while more is recorded', async () => {
    for (let n = 0; n < 7; n++) {
      await iam.createUser({ UserName: `paged-${n}` });
      // Each lookup stores what there is: so the pages cross chunks.
      if (n % 2 === 0) await called('CreateUser');
    }
    const names: string[] = [];
    let token: string | undefined;
    do {
      const { Events, NextToken } = await cloudtrail.lookupEvents({
        LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'CreateUser' }],
        MaxResults: 2,
        NextToken: token,
      });
      assert.ok(Events!.length <= 2);
      for (const { CloudTrailEvent } of Events!) names.push(JSON.parse(CloudTrailEvent!).requestParameters.userName);
      await iam.createUser({ UserName: `during-${names.length}` });
      token = NextToken;
    } while (token);
    const paged = names.filter((name) => name.startsWith('paged-'));
    assert.deepEqual(paged, ['paged-6', 'paged-5', 'paged-4', 'paged-3', 'paged-2', 'paged-1', 'paged-0']);
    assert.ok(names.includes('nobody'));
    assert.equal(names.filter((name) => name.startsWith('during-')).length, 0);
  });

  test('keeps to times, to the region and to the account', async () => {
    const future = new Date(Date.now() + 3_600_000);
    assert.deepEqual((await cloudtrail.lookupEvents({ StartTime: future })).Events, []);
    assert.deepEqual((await cloudtrail.lookupEvents({ EndTime: new Date(Date.now() - 3_600_000) })).Events, []);
    const [newest] = (await cloudtrail.lookupEvents({})).Events!;
    const { Events } = await cloudtrail.lookupEvents({ StartTime: newest!.EventTime!, EndTime: newest!.EventTime! });
    assert.ok(Events!.some(({ EventId }) => EventId === newest!.EventId));
    assert.deepEqual((await new CloudTrail({ ...server.client, region: 'eu-west-3' }).lookupEvents({})).Events, []);
    assert.deepEqual((await cloudtrail.lookupEvents({ EventCategory: 'insight' })).Events, []);
  });

  test('refuses what AWS refuses', async () => {
    const two = [{ AttributeKey: 'EventName', AttributeValue: 'a' } as const, { AttributeKey: 'Username', AttributeValue: 'b' } as const];
    await refused(cloudtrail.lookupEvents({ LookupAttributes: two }), 'InvalidLookupAttributesException');
    await refused(cloudtrail.lookupEvents({ MaxResults: 51 }), 'InvalidMaxResultsException');
    await refused(cloudtrail.lookupEvents({ NextToken: 'made up' }), 'InvalidNextTokenException');
    await refused(cloudtrail.lookupEvents({ StartTime: new Date(2000), EndTime: new Date(1000) }), 'InvalidTimeRangeException');
    await refused(cloudtrail.lookupEvents({ EventCategory: 'other' as never }), 'InvalidEventCategoryException');
    const key = await newUser('curious');
    await refused(new CloudTrail({ ...server.client, credentials: key }).lookupEvents({}), 'AccessDeniedException');
  });
});
