/** Buckets and what can be set of them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketEncryptionCommand,
  DeleteBucketPolicyCommand,
  DeleteBucketTaggingCommand,
  DeleteObjectCommand,
  DeletePublicAccessBlockCommand,
  GetBucketAclCommand,
  GetBucketEncryptionCommand,
  GetBucketLocationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketPolicyCommand,
  GetBucketTaggingCommand,
  GetObjectAclCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutBucketEncryptionCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { kmsClient, newKey } from '../support/kms.ts';
import { failure, newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let client: S3Client;

before(async () => {
  server = await startServer();
  client = s3Client(server);
});
after(async () => {
  client?.destroy();
  await server?.stop();
});

const create = (Bucket: string, more = {}) => client.send(new CreateBucketCommand({ Bucket, ...more }));

describe('names', () => {
  for (const name of ['ab', 'A-b', 'a_b', '-ab', 'ab-', 'a..b', '192.168.0.1', 'xn--ab', 'sthree-x', 'ab-s3alias', 'a'.repeat(64)]) {
    test(`${name.slice(0, 20)} is no bucket name`, async () => {
      assert.equal(await failure(create(name)), 'InvalidBucketName 400');
    });
  }
  test('a.b-0 is one', async () => {
    await create('a.b-0');
    const head = await client.send(new HeadBucketCommand({ Bucket: 'a.b-0' }));
    assert.equal(head.BucketRegion, server.region);
  });
});

test('a bucket is made once, listed, and deleted when it is empty', async () => {
  await create('once');
  // us-east-1 forgives.
  await create('once');
  const { Buckets, Owner } = await client.send(new ListBucketsCommand({ Prefix: 'onc' }));
  assert.deepEqual(
    Buckets!.map((each) => each.Name),
    ['once'],
  );
  assert.match(Owner!.ID!, /^[0-9a-f]{64}$/);
  await client.send(new PutObjectCommand({ Bucket: 'once', Key: 'k', Body: 'x' }));
  assert.equal(await failure(client.send(new DeleteBucketCommand({ Bucket: 'once' }))), 'BucketNotEmpty 409');
  await client.send(new DeleteObjectCommand({ Bucket: 'once', Key: 'k' }));
  await client.send(new CreateMultipartUploadCommand({ Bucket: 'once', Key: 'unfinished' }));
  await client.send(new DeleteBucketCommand({ Bucket: 'once' }));
  assert.equal(await failure(client.send(new HeadBucketCommand({ Bucket: 'once' }))), 'NotFound 404');
  assert.equal(await failure(client.send(new DeleteBucketCommand({ Bucket: 'once' }))), 'NoSuchBucket 404');
});

test('buckets are where they were asked for', async () => {
  await create('in-ireland', { CreateBucketConfiguration: { LocationConstraint: 'EU' } });
  const location = await client.send(new GetBucketLocationCommand({ Bucket: 'in-ireland' }));
  assert.equal(location.LocationConstraint, 'eu-west-1');
  assert.equal(
    (await client.send(new GetBucketLocationCommand({ Bucket: await newBucket(client, 'here') }))).LocationConstraint,
    undefined,
  );
  const ireland = s3Client(server, { region: 'eu-west-1' });
  const again = (constraint: string) =>
    ireland.send(
      new CreateBucketCommand({
        Bucket: 'in-ireland',
        CreateBucketConfiguration: { LocationConstraint: constraint as 'EU' },
      }),
    );
  assert.equal(await failure(again('eu-west-1')), 'BucketAlreadyOwnedByYou 409');
  assert.equal(await failure(again('eu-west-2')), 'IllegalLocationConstraintException 400');
  ireland.destroy();
});

test('lists of buckets page', async () => {
  for (const name of ['page-a', 'page-b', 'page-c']) await create(name);
  const first = await client.send(new ListBucketsCommand({ Prefix: 'page-', MaxBuckets: 2 }));
  assert.deepEqual(
    first.Buckets!.map((each) => each.Name),
    ['page-a', 'page-b'],
  );
  const second = await client.send(new ListBucketsCommand({ Prefix: 'page-', MaxBuckets: 2, ContinuationToken: first.ContinuationToken }));
  assert.deepEqual([second.Buckets!.map((each) => each.Name), second.ContinuationToken], [['page-c'], undefined]);
});

test('writers and the one who deletes the bucket never leave an object without a bucket', async () => {
  for (let round = 0; round < 5; round++) {
    const Bucket = await newBucket(client, 'raced');
    const writes = Array.from({ length: 6 }, (_, n) => client.send(new PutObjectCommand({ Bucket, Key: `${n}`, Body: 'x' })));
    const [deleted, ...written] = await Promise.allSettled([client.send(new DeleteBucketCommand({ Bucket })), ...writes]);
    if (deleted.status === 'fulfilled') {
      for (const each of written) assert.equal(each.status === 'rejected' && each.reason.name, 'NoSuchBucket');
    } else {
      assert.equal(deleted.reason.name, 'BucketNotEmpty');
      for (const each of written) assert.equal(each.status, 'fulfilled');
    }
  }
});

describe('settings', () => {
  let Bucket: string;
  before(async () => {
    Bucket = await newBucket(client, 'settings');
  });

  test('tags', async () => {
    assert.equal(await failure(client.send(new GetBucketTaggingCommand({ Bucket }))), 'NoSuchTagSet 404');
    const TagSet = [{ Key: 'a', Value: 'b + c' }];
    await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
    assert.deepEqual((await client.send(new GetBucketTaggingCommand({ Bucket }))).TagSet, TagSet);
    await client.send(new DeleteBucketTaggingCommand({ Bucket }));
    assert.equal(await failure(client.send(new GetBucketTaggingCommand({ Bucket }))), 'NoSuchTagSet 404');
  });

  test('encryption: AES256 unless set, and what is set is what objects get', async () => {
    const usual = async () => (await client.send(new GetBucketEncryptionCommand({ Bucket }))).ServerSideEncryptionConfiguration!.Rules![0]!;
    assert.equal((await usual()).ApplyServerSideEncryptionByDefault!.SSEAlgorithm, 'AES256');
    const { Arn: KMSMasterKeyID } = await newKey(kmsClient(server));
    await client.send(
      new PutBucketEncryptionCommand({
        Bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID }, BucketKeyEnabled: true }],
        },
      }),
    );
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    assert.deepEqual([head.ServerSideEncryption, head.SSEKMSKeyId, head.BucketKeyEnabled], ['aws:kms', KMSMasterKeyID, true]);
    await client.send(new DeleteBucketEncryptionCommand({ Bucket }));
    assert.equal((await usual()).ApplyServerSideEncryptionByDefault!.SSEAlgorithm, 'AES256');
  });

  test('public access is blocked at first', async () => {
    const block = await client.send(new GetPublicAccessBlockCommand({ Bucket }));
    assert.deepEqual(Object.values(block.PublicAccessBlockConfiguration!), [true, true, true, true]);
    const everybody = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }],
    });
    assert.equal(await failure(client.send(new PutBucketPolicyCommand({ Bucket, Policy: everybody }))), 'AccessDenied 403');
    await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: { BlockPublicAcls: true } }));
    await client.send(new PutBucketPolicyCommand({ Bucket, Policy: everybody }));
    await client.send(new DeletePublicAccessBlockCommand({ Bucket }));
    assert.equal(await failure(client.send(new GetPublicAccessBlockCommand({ Bucket }))), 'NoSuchPublicAccessBlockConfiguration 404');
    await client.send(new DeleteBucketPolicyCommand({ Bucket }));
  });

  test('policies are kept as they are, and must be about the bucket', async () => {
    assert.equal(await failure(client.send(new GetBucketPolicyCommand({ Bucket }))), 'NoSuchBucketPolicy 404');
    const statement = { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: `arn:aws:s3:::${Bucket}/secret/*` };
    const put = (Statement: object | string) =>
      client.send(
        new PutBucketPolicyCommand({
          Bucket,
          Policy: typeof Statement === 'string' ? Statement : JSON.stringify({ Version: '2012-10-17', Statement }),
        }),
      );
    for (const bad of [
      'no policy',
      '{',
      [],
      { ...statement, Effect: 'Maybe' },
      { ...statement, Action: 'ec2:*' },
      { ...statement, Resource: 'arn:aws:s3:::other/*' },
      { ...statement, Resource: `arn:aws:s3:::${Bucket}2/*` },
      { ...statement, Principal: undefined },
      { ...statement, Principal: { AWS: 'nobody' } },
    ]) {
      assert.equal(await failure(put(bad)), 'MalformedPolicy 400', JSON.stringify(bad));
    }
    await put(statement);
    const { Policy } = await client.send(new GetBucketPolicyCommand({ Bucket }));
    assert.deepEqual(JSON.parse(Policy!).Statement, statement);
    assert.equal(await failure(client.send(new PutObjectCommand({ Bucket, Key: 'secret/x', Body: 'x' }))), 'AccessDenied 403');
    await client.send(new PutObjectCommand({ Bucket, Key: 'open/x', Body: 'x' }));
    await client.send(new DeleteBucketPolicyCommand({ Bucket }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'secret/x', Body: 'x' }));
  });

  test('access control lists leave the owner in control, and cannot be changed', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'acl', Body: 'x', ACL: 'bucket-owner-full-control' }));
    const ofBucket = await client.send(new GetBucketAclCommand({ Bucket }));
    const ofObject = await client.send(new GetObjectAclCommand({ Bucket, Key: 'acl' }));
    assert.deepEqual(ofBucket.Grants, ofObject.Grants);
    assert.deepEqual([ofBucket.Grants![0]!.Permission, ofBucket.Grants![0]!.Grantee!.ID], ['FULL_CONTROL', ofBucket.Owner!.ID]);
    const setAcl = (ACL: 'private' | 'public-read') => client.send(new PutObjectAclCommand({ Bucket, Key: 'acl', ACL }));
    await setAcl('private');
    assert.equal(await failure(setAcl('public-read')), 'AccessControlListNotSupported 400');
  });

  test('notifications go to EventBridge, or nowhere', async () => {
    const configuration = async () =>
      (await client.send(new GetBucketNotificationConfigurationCommand({ Bucket }))).EventBridgeConfiguration;
    const configure = (NotificationConfiguration: object) =>
      client.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
    assert.equal(await configuration(), undefined);
    await configure({ EventBridgeConfiguration: {} });
    assert.deepEqual(await configuration(), {});
    const topic = { TopicArn: `arn:aws:sns:${server.region}:${server.account}:t`, Events: ['s3:ObjectCreated:*'] };
    assert.equal(await failure(configure({ TopicConfigurations: [topic] })), 'InvalidArgument 400');
    await configure({});
    assert.equal(await configuration(), undefined);
  });
});
