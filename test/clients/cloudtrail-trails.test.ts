import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { CloudTrail } from '@aws-sdk/client-cloudtrail';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { S3 } from '@aws-sdk/client-s3';
import { SNS } from '@aws-sdk/client-sns';
import { SQS } from '@aws-sdk/client-sqs';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = await run('aws', ['--version']).then(
  () => true,
  () => false,
);

let server: TestServer;
let cloudtrail: CloudTrail;
let codecommit: CodeCommit;
let s3: S3;
let iam: IAM;

before(async () => {
  server = await startServer({ env: { PENSTOCK_CLOUDTRAIL_DELIVERY_SECONDS: '1', PENSTOCK_CLOUDTRAIL_DIGEST_SECONDS: '3' } });
  cloudtrail = new CloudTrail(server.client);
  codecommit = new CodeCommit(server.client);
  s3 = new S3(server.client);
  iam = new IAM(server.client);
});
after(() => server.stop());

/** The policy that AWS's guide gives for the bucket of a trail. */
function bucketPolicy(bucket: string, trail: string): string {
  const arn = `arn:aws:cloudtrail:${server.region}:${server.account}:trail/${trail}`;
  const Principal = { Service: 'cloudtrail.amazonaws.com' };
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'AWSCloudTrailAclCheck20150319',
        Effect: 'Allow',
        Principal,
        Action: 's3:GetBucketAcl',
        Resource: `arn:aws:s3:::${bucket}`,
        Condition: { StringEquals: { 'aws:SourceArn': arn } },
      },
      {
        Sid: 'AWSCloudTrailWrite20150319',
        Effect: 'Allow',
        Principal,
        Action: 's3:PutObject',
        Resource: `arn:aws:s3:::${bucket}/AWSLogs/${server.account}/*`,
        Condition: { StringEquals: { 's3:x-amz-acl': 'bucket-owner-full-control', 'aws:SourceArn': arn } },
      },
    ],
  });
}

async function newTrail(name: string, settings: Partial<Parameters<CloudTrail['createTrail']>[0]> = {}): Promise<string> {
  const bucket = `logs-of-${name}`;
  await s3.createBucket({ Bucket: bucket });
  await s3.putBucketPolicy({ Bucket: bucket, Policy: bucketPolicy(bucket, name) });
  const { TrailARN } = await cloudtrail.createTrail({ Name: name, S3BucketName: bucket, ...settings });
  await cloudtrail.startLogging({ Name: name });
  return TrailARN!;
}

async function keys(bucket: string, part: string): Promise<string[]> {
  const { Contents = [] } = await s3.listObjectsV2({ Bucket: bucket });
  return Contents.map(({ Key }) => Key!).filter((key) => key.includes(part) && key.endsWith('.json.gz'));
}

/** All records that the trail has delivered. */
async function delivered(name: string): Promise<any[]> {
  const bucket = `logs-of-${name}`;
  const records: any[] = [];
  for (const Key of await keys(bucket, '/CloudTrail/')) {
    const { Body } = await s3.getObject({ Bucket: bucket, Key });
    // The SDK's Body is as it is stored: with its content encoding.
    records.push(...JSON.parse(gunzipSync(await Body!.transformToByteArray()).toString()).Records);
  }
  return records;
}

async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found) return found;
    await delay(100);
  }
}

test('a trail is made, told of, changed, tagged and removed', async () => {
  const bucket = 'logs-of-whole';
  await refused(
    cloudtrail.createTrail({ Name: 'whole', S3BucketName: bucket }),
    'S3BucketDoesNotExistException',
    `S3 bucket ${bucket} does not exist!`,
  );
  await s3.createBucket({ Bucket: bucket });
  const incorrect = `Incorrect S3 bucket policy is detected for bucket: ${bucket}`;
  await refused(cloudtrail.createTrail({ Name: 'whole', S3BucketName: bucket }), 'InsufficientS3BucketPolicyException', incorrect);
  await s3.putBucketPolicy({ Bucket: bucket, Policy: bucketPolicy(bucket, 'another') });
  await refused(cloudtrail.createTrail({ Name: 'whole', S3BucketName: bucket }), 'InsufficientS3BucketPolicyException', incorrect);
  await s3.putBucketPolicy({ Bucket: bucket, Policy: bucketPolicy(bucket, 'whole') });
  const made = await cloudtrail.createTrail({ Name: 'whole', S3BucketName: bucket, TagsList: [{ Key: 'team', Value: 'a' }] });
  const arn = `arn:aws:cloudtrail:${server.region}:${server.account}:trail/whole`;
  const expected = {
    Name: 'whole',
    S3BucketName: bucket,
    IncludeGlobalServiceEvents: true,
    IsMultiRegionTrail: false,
    TrailARN: arn,
    LogFileValidationEnabled: false,
    IsOrganizationTrail: false,
  };
  const { $metadata: _, ...answer } = made;
  assert.deepEqual(answer, expected);
  const trail = { ...expected, HomeRegion: server.region, HasCustomEventSelectors: false, HasInsightSelectors: false };
  assert.deepEqual((await cloudtrail.getTrail({ Name: 'whole' })).Trail, trail);
  assert.deepEqual((await cloudtrail.describeTrails({ trailNameList: [arn, 'not-there'] })).trailList, [trail]);
  assert.deepEqual((await cloudtrail.listTrails({})).Trails, [{ TrailARN: arn, Name: 'whole', HomeRegion: server.region }]);
  await refused(cloudtrail.createTrail({ Name: 'whole', S3BucketName: bucket }), 'TrailAlreadyExistsException');
  const updated = await cloudtrail.updateTrail({ Name: arn, EnableLogFileValidation: true, IsMultiRegionTrail: true });
  assert.equal(updated.LogFileValidationEnabled, true);
  const elsewhere = new CloudTrail({ ...server.client, region: 'eu-central-1' });
  assert.deepEqual(
    (await elsewhere.describeTrails({})).trailList!.map(({ Name }) => Name),
    ['whole'],
  );
  assert.deepEqual((await elsewhere.describeTrails({ includeShadowTrails: false })).trailList, []);
  await refused(elsewhere.stopLogging({ Name: 'whole' }), 'InvalidHomeRegionException');

  await cloudtrail.addTags({ ResourceId: arn, TagsList: [{ Key: 'stage', Value: 'test' }] });
  await cloudtrail.removeTags({ ResourceId: arn, TagsList: [{ Key: 'team' }] });
  const { ResourceTagList } = await cloudtrail.listTags({ ResourceIdList: [arn] });
  assert.deepEqual(ResourceTagList, [{ ResourceId: arn, TagsList: [{ Key: 'stage', Value: 'test' }] }]);

  assert.equal((await cloudtrail.getTrailStatus({ Name: 'whole' })).IsLogging, false);
  await cloudtrail.startLogging({ Name: 'whole' });
  const started = await cloudtrail.getTrailStatus({ Name: 'whole' });
  assert.equal(started.IsLogging, true);
  assert.ok(started.StartLoggingTime);
  await cloudtrail.stopLogging({ Name: 'whole' });
  assert.equal((await cloudtrail.getTrailStatus({ Name: 'whole' })).IsLogging, false);
  await cloudtrail.deleteTrail({ Name: 'whole' });
  await refused(cloudtrail.getTrail({ Name: 'whole' }), 'TrailNotFoundException', `Unknown trail: whole for the user: ${server.account}`);
  await refused(cloudtrail.deleteTrail({ Name: 'whole' }), 'TrailNotFoundException');
});

test('names, settings and selectors that cannot be are refused', async () => {
  const create = (Name: string, more = {}) => cloudtrail.createTrail({ Name, S3BucketName: 'some-bucket', ...more });
  await refused(create('ab'), 'InvalidTrailNameException', /too short/);
  await refused(create('a'.repeat(129)), 'InvalidTrailNameException', /too long/);
  await refused(create('-abc'), 'InvalidTrailNameException');
  await refused(create('a..b'), 'InvalidTrailNameException');
  await refused(create('a/b/c'), 'InvalidTrailNameException');
  await refused(create('10.0.0.1'), 'InvalidTrailNameException');
  await refused(create('abc', { S3BucketName: 'UPPER' }), 'InvalidS3BucketNameException');
  await refused(create('abc', { S3KeyPrefix: 'p'.repeat(201) }), 'InvalidS3PrefixException');
  await refused(create('abc', { IsMultiRegionTrail: true, IncludeGlobalServiceEvents: false }), 'InvalidParameterCombinationException');
  await refused(create('abc', { TagsList: [{ Key: 'a' }, { Key: 'a' }] }), 'InvalidTagParameterException');
  await refused(create('abc', { KmsKeyId: '11111111-2222-3333-4444-555555555555' }), 'KmsKeyNotFoundException');
  await refused(cloudtrail.getTrail({ Name: 'arn:aws:sns:us-east-1:123456789012:x' }), 'CloudTrailARNInvalidException');
  await newTrail('checked');
  const put = (input: object) => cloudtrail.putEventSelectors({ TrailName: 'checked', ...input } as never);
  await refused(put({}), 'InvalidEventSelectorsException');
  await refused(put({ EventSelectors: [{ DataResources: [{ Type: 'AWS::Nothing', Values: [] }] }] }), 'InvalidEventSelectorsException');
  const field = (Field: string, ...Equals: string[]) => ({ Field, Equals });
  await refused(put({ AdvancedEventSelectors: [{ FieldSelectors: [field('eventCategory', 'Data')] }] }), 'InvalidEventSelectorsException');
  await refused(put({ AdvancedEventSelectors: [{ FieldSelectors: [field('shoeSize', '42')] }] }), 'InvalidEventSelectorsException');
  await refused(cloudtrail.getInsightSelectors({ TrailName: 'checked' }), 'InsightNotEnabledException');
  assert.deepEqual((await cloudtrail.getEventSelectors({ TrailName: 'checked' })).EventSelectors, [
    { ReadWriteType: 'All', IncludeManagementEvents: true, DataResources: [], ExcludeManagementEventSources: [] },
  ]);
  const shortage = { 'check-2': 1, 'check-3': 1, 'check-4': 1, 'check-5': 1 };
  for (const name of Object.keys(shortage)) await newTrail(name);
  await refused(create('check-6'), 'MaximumNumberOfTrailsExceededException');
  for (const name of ['checked', ...Object.keys(shortage)]) await cloudtrail.deleteTrail({ Name: name });
});

test('what is done while a trail logs is delivered once, and found whole by validate-logs', {
  skip: hasCli ? false : 'there is no AWS CLI',
}, async () => {
  await codecommit.createRepository({ repositoryName: 'before' });
  const arn = await newTrail('delivering', { EnableLogFileValidation: true });
  const began = new Date();
  const names = Array.from({ length: 12 }, (_, n) => `delivered-${n}`);
  for (const repositoryName of names) {
    await codecommit.createRepository({ repositoryName });
    await delay(120);
  }
  const made = (record: any) => record.eventName === 'CreateRepository' && record.requestParameters.repositoryName;
  await until(async () => (await delivered('delivering')).filter(made).length >= names.length);
  const records = await delivered('delivering');
  assert.deepEqual(records.map(made).filter(Boolean).sort(), names.toSorted());
  assert.equal(new Set(records.map(({ eventID }) => eventID)).size, records.length);
  const [key] = await keys('logs-of-delivering', '/CloudTrail/');
  const { account, region } = server;
  assert.match(
    key!,
    new RegExp(
      `^AWSLogs/${account}/CloudTrail/${region}/\\d{4}/\\d\\d/\\d\\d/${account}_CloudTrail_${region}_\\d{8}T\\d{4}Z_\\w{16}\\.json\\.gz$`,
    ),
  );
  const status = await cloudtrail.getTrailStatus({ Name: arn });
  assert.ok(status.LatestDeliveryTime);
  assert.equal(status.LatestDeliveryError, undefined);

  // Two digests, so that they are a chain, and every log file in one of them.
  await until(async () => {
    const digests = await keys('logs-of-delivering', '/CloudTrail-Digest/');
    const listed = new Set<string>();
    for (const Key of digests) {
      const { Body, Metadata } = await s3.getObject({ Bucket: 'logs-of-delivering', Key });
      assert.match(Metadata!.signature!, /^[0-9a-f]{512}$/);
      for (const file of JSON.parse(gunzipSync(await Body!.transformToByteArray()).toString()).logFiles) listed.add(file.s3Object);
    }
    return digests.length >= 2 && listed.has(key!);
  });
  const validate = (...more: string[]) =>
    run('aws', ['cloudtrail', 'validate-logs', '--trail-arn', arn, '--start-time', began.toISOString(), ...more], { env: server.env });
  const { stdout, stderr } = await validate('--verbose');
  assert.equal(stderr, '');
  assert.match(stdout, /digest files valid/);
  assert.match(stdout, /\d+\/\d+ log files valid/);
  assert.doesNotMatch(stdout, /INVALID/i);
  // Whatever is changed afterwards is found.
  await s3.putObject({ Bucket: 'logs-of-delivering', Key: key!, Body: 'not what was delivered' });
  const spoilt = await validate().catch((error) => error);
  assert.match(`${spoilt.stdout}${spoilt.stderr}`, /INVALID/);
  await cloudtrail.deleteTrail({ Name: arn });
});

test('selectors decide: data events of one bucket, changes only', async () => {
  await newTrail('choosy');
  for (const Bucket of ['watched', 'ignored']) await s3.createBucket({ Bucket });
  await cloudtrail.putEventSelectors({
    TrailName: 'choosy',
    EventSelectors: [
      {
        ReadWriteType: 'WriteOnly',
        IncludeManagementEvents: false,
        DataResources: [{ Type: 'AWS::S3::Object', Values: ['arn:aws:s3:::watched/in/'] }],
      },
    ],
  });
  // The other process that answers must have heard of it; here it is the same one.
  await until(async () => {
    await s3.putObject({ Bucket: 'watched', Key: 'in/a', Body: 'x' });
    return (await delivered('choosy')).some(({ eventName }) => eventName === 'PutObject');
  });
  await s3.getObject({ Bucket: 'watched', Key: 'in/a' });
  await s3.putObject({ Bucket: 'watched', Key: 'out/a', Body: 'x' });
  await s3.putObject({ Bucket: 'ignored', Key: 'in/a', Body: 'x' });
  await s3.putObject({ Bucket: 'watched', Key: 'in/last', Body: 'x' });
  const records = await until(async () => {
    const all = await delivered('choosy');
    return all.some(({ requestParameters }) => requestParameters?.key === 'in/last') && all;
  });
  const since = records.filter(({ eventCategory }) => eventCategory === 'Data');
  assert.deepEqual(
    [...new Set(since.map(({ eventName, requestParameters: { bucketName, key } }) => `${eventName} ${bucketName}/${key}`))].sort(),
    ['PutObject watched/in/a', 'PutObject watched/in/last'],
  );
  assert.equal(since[0].managementEvent, false);
  assert.equal('body' in since[0].requestParameters, false);
  await cloudtrail.deleteTrail({ Name: 'choosy' });
});

test('a trail that cannot deliver says so, and delivers all once it can', async () => {
  await newTrail('blocked');
  const bucket = 'logs-of-blocked';
  await s3.putBucketPolicy({ Bucket: bucket, Policy: bucketPolicy(bucket, 'somebody-else') });
  await codecommit.createRepository({ repositoryName: 'while-blocked' });
  await until(
    async () =>
      (await cloudtrail.getTrailStatus({ Name: 'blocked' })).LatestDeliveryError === 'AccessDenied' ||
      (await cloudtrail.getTrailStatus({ Name: 'blocked' })).LatestDeliveryError === 'AccessDeniedException',
  );
  await s3.putBucketPolicy({ Bucket: bucket, Policy: bucketPolicy(bucket, 'blocked') });
  await until(async () =>
    (await delivered('blocked')).some(({ requestParameters }) => requestParameters?.repositoryName === 'while-blocked'),
  );
  assert.equal((await cloudtrail.getTrailStatus({ Name: 'blocked' })).LatestDeliveryError, undefined);
  await cloudtrail.deleteTrail({ Name: 'blocked' });
});

test('a trail sends to a log group too', async () => {
  const logs = new CloudWatchLogs(server.client);
  await logs.createLogGroup({ logGroupName: 'audit' });
  const trust = { Statement: [{ Effect: 'Allow', Principal: { Service: 'cloudtrail.amazonaws.com' }, Action: 'sts:AssumeRole' }] };
  const { Role } = await iam.createRole({ RoleName: 'audit-logs', AssumeRolePolicyDocument: JSON.stringify(trust) });
  const group = `arn:aws:logs:${server.region}:${server.account}:log-group:audit:*`;
  await refused(
    newTrail('logging', { CloudWatchLogsLogGroupArn: group, CloudWatchLogsRoleArn: Role!.Arn! }),
    'InvalidCloudWatchLogsRoleArnException',
  );
  const allow = { Statement: [{ Effect: 'Allow', Action: ['logs:CreateLogStream', 'logs:PutLogEvents'], Resource: '*' }] };
  await iam.putRolePolicy({ RoleName: 'audit-logs', PolicyName: 'write', PolicyDocument: JSON.stringify(allow) });
  await cloudtrail.createTrail({
    Name: 'logging',
    S3BucketName: 'logs-of-logging',
    CloudWatchLogsLogGroupArn: group,
    CloudWatchLogsRoleArn: Role!.Arn!,
  });
  await cloudtrail.startLogging({ Name: 'logging' });
  await codecommit.createRepository({ repositoryName: 'to-logs' });
  const event = await until(async () => {
    const { events } = await logs.filterLogEvents({ logGroupName: 'audit', filterPattern: '{ $.eventName = "CreateRepository" }' });
    return events?.[0];
  });
  assert.equal(JSON.parse(event.message!).requestParameters.repositoryName, 'to-logs');
  assert.equal(event.logStreamName, `${server.account}_CloudTrail_${server.region}`);
  await cloudtrail.deleteTrail({ Name: 'logging' });
});

test('a trail tells a topic of each file, and writes under a key', async () => {
  const sns = new SNS(server.client);
  const sqs = new SQS(server.client);
  const kms = new KMS(server.client);
  const { QueueUrl } = await sqs.createQueue({ QueueName: 'files' });
  const queue = `arn:aws:sqs:${server.region}:${server.account}:files`;
  const allow = (service: string, Action: string, Resource: string) =>
    JSON.stringify({ Statement: [{ Effect: 'Allow', Principal: { Service: `${service}.amazonaws.com` }, Action, Resource }] });
  await sqs.setQueueAttributes({ QueueUrl, Attributes: { Policy: allow('sns', 'sqs:SendMessage', queue) } });
  const { TopicArn } = await sns.createTopic({ Name: 'files' });
  await sns.subscribe({ TopicArn, Protocol: 'sqs', Endpoint: queue, Attributes: { RawMessageDelivery: 'true' } });
  await refused(newTrail('told', { SnsTopicName: 'files' }), 'InsufficientSnsTopicPolicyException');
  await sns.setTopicAttributes({ TopicArn, AttributeName: 'Policy', AttributeValue: allow('cloudtrail', 'sns:Publish', TopicArn!) });

  const { KeyMetadata } = await kms.createKey({});
  const KeyId = KeyMetadata!.KeyId!;
  const settings = { Name: 'told', S3BucketName: 'logs-of-told', SnsTopicName: 'files', KmsKeyId: KeyId };
  await refused(cloudtrail.createTrail(settings), 'InsufficientEncryptionPolicyException');
  const { Policy } = await kms.getKeyPolicy({ KeyId });
  const policy = JSON.parse(Policy!);
  const Principal = { Service: 'cloudtrail.amazonaws.com' };
  policy.Statement.push({ Effect: 'Allow', Principal, Action: ['kms:GenerateDataKey*', 'kms:DescribeKey'], Resource: '*' });
  await kms.putKeyPolicy({ KeyId, Policy: JSON.stringify(policy) });
  const made = await cloudtrail.createTrail(settings);
  assert.equal(made.SnsTopicARN, TopicArn);
  assert.equal(made.KmsKeyId, KeyMetadata!.Arn);
  await cloudtrail.startLogging({ Name: 'told' });
  await codecommit.createRepository({ repositoryName: 'to-a-topic' });
  const told = await until(async () => (await sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 1 })).Messages?.[0]);
  const { s3Bucket, s3ObjectKey } = JSON.parse(told.Body!);
  assert.equal(s3Bucket, 'logs-of-told');
  const head = await s3.headObject({ Bucket: s3Bucket, Key: s3ObjectKey[0] });
  assert.equal(head.ServerSideEncryption, 'aws:kms');
  assert.equal(head.SSEKMSKeyId, KeyMetadata!.Arn);
  assert.ok((await cloudtrail.getTrailStatus({ Name: 'told' })).LatestNotificationTime);
  await cloudtrail.deleteTrail({ Name: 'told' });
});

describe('EventBridge', () => {
  test('a rule gets the changes that it waits for while a trail is logging, and no reads', async () => {
    const events = new EventBridge(server.client);
    const logs = new CloudWatchLogs(server.client);
    await logs.createLogGroup({ logGroupName: '/aws/events/changes' });
    const pattern = {
      source: ['aws.codecommit'],
      'detail-type': ['AWS API Call via CloudTrail'],
      detail: { eventSource: ['codecommit.amazonaws.com'], eventName: ['CreateRepository', 'GetRepository'] },
    };
    await events.putRule({ Name: 'changes', EventPattern: JSON.stringify(pattern) });
    const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:/aws/events/changes`;
    await events.putTargets({ Rule: 'changes', Targets: [{ Id: 'log', Arn }] });
    // Other tests' trails are gone by now, so nothing is told of this one.
    for (const { Name } of (await cloudtrail.listTrails({})).Trails!) await cloudtrail.deleteTrail({ Name });
    await codecommit.createRepository({ repositoryName: 'untold' });
    await cloudtrail.lookupEvents({ LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue: 'untold' }] });
    await newTrail('for-rules');
    await codecommit.createRepository({ repositoryName: 'to-a-rule' });
    await codecommit.getRepository({ repositoryName: 'to-a-rule' });
    await codecommit.createRepository({ repositoryName: 'to-a-rule-too' });
    const got = await until(async () => {
      const { events: found = [] } = await logs.filterLogEvents({ logGroupName: '/aws/events/changes' });
      return found.length >= 2 && found.map(({ message }) => JSON.parse(message!));
    });
    assert.deepEqual(got.map(({ detail }) => `${detail.eventName} ${detail.requestParameters.repositoryName}`).sort(), [
      'CreateRepository to-a-rule',
      'CreateRepository to-a-rule-too',
    ]);
    assert.equal(got[0]['detail-type'], 'AWS API Call via CloudTrail');
    assert.equal(got[0].source, 'aws.codecommit');
    assert.equal(got[0].detail.userIdentity.userName, 'administrator');
  });
});
