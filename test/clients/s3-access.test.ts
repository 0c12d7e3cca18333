/** Who may do what: users with little, policies of buckets, and what a missing key tells to whom. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { failure, newBucket, s3Client, text } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let admin: S3Client;
let iam: IAMClient;
const clients: { destroy(): void }[] = [];

before(async () => {
  server = await startServer();
  admin = s3Client(server);
  iam = new IAMClient(server.client);
  clients.push(admin, iam);
});
after(async () => {
  for (const client of clients) client.destroy();
  await server?.stop();
});

interface Statement {
  Effect?: 'Allow' | 'Deny';
  Action: string | string[];
  Resource: string | string[];
  Condition?: object;
}

/** A client of a new user who may do what the statements say. */
async function user(UserName: string, ...statements: Statement[]): Promise<S3Client> {
  await iam.send(new CreateUserCommand({ UserName }));
  if (statements.length > 0) {
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements.map((each) => ({ Effect: 'Allow', ...each })) });
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument }));
  }
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const client = s3Client(server, { credentials });
  clients.push(client);
  return client;
}

const arn = (bucket: string, key?: string) => `arn:aws:s3:::${bucket}${key === undefined ? '' : `/${key}`}`;

test('a missing key is told to those who may list, and denied to others', async () => {
  const Bucket = await newBucket(admin, 'told');
  const reader = await user('reader', { Action: 's3:GetObject', Resource: arn(Bucket, '*') });
  const lister = await user('lister', { Action: ['s3:GetObject', 's3:ListBucket'], Resource: [arn(Bucket), arn(Bucket, '*')] });
  await admin.send(new PutObjectCommand({ Bucket, Key: 'there', Body: 'x' }));
  assert.equal(await text(await reader.send(new GetObjectCommand({ Bucket, Key: 'there' }))), 'x');
  assert.equal(await failure(reader.send(new GetObjectCommand({ Bucket, Key: 'missing' }))), 'AccessDenied 403');
  assert.equal(await failure(lister.send(new GetObjectCommand({ Bucket, Key: 'missing' }))), 'NoSuchKey 404');
  assert.equal(await failure(reader.send(new PutObjectCommand({ Bucket, Key: 'there', Body: 'y' }))), 'AccessDenied 403');
  assert.equal(await failure(reader.send(new ListObjectsV2Command({ Bucket }))), 'AccessDenied 403');
});

test('lists are limited by prefix', async () => {
  const Bucket = await newBucket(admin, 'prefixes');
  const home = await user('home', {
    Action: 's3:ListBucket',
    Resource: arn(Bucket),
    Condition: { StringLike: { 's3:prefix': 'home/*' } },
  });
  await admin.send(new PutObjectCommand({ Bucket, Key: 'home/x', Body: 'x' }));
  assert.equal((await home.send(new ListObjectsV2Command({ Bucket, Prefix: 'home/' }))).KeyCount, 1);
  assert.equal(await failure(home.send(new ListObjectsV2Command({ Bucket, Prefix: 'other/' }))), 'AccessDenied 403');
  assert.equal(await failure(home.send(new ListObjectsV2Command({ Bucket }))), 'AccessDenied 403');
});

test('a bucket policy gives to users of its account, and takes away', async () => {
  const Bucket = await newBucket(admin, 'given');
  const guest = await user('guest');
  const get = () => guest.send(new GetObjectCommand({ Bucket, Key: 'a' }));
  await admin.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x' }));
  assert.equal(await failure(get()), 'AccessDenied 403');
  const Principal = { AWS: `arn:aws:iam::${server.account}:user/guest` };
  const policy = (...Statement: object[]) =>
    admin.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }));
  await policy({ Effect: 'Allow', Principal, Action: 's3:GetObject', Resource: arn(Bucket, '*') });
  assert.equal(await text(await get()), 'x');
  await policy(
    { Effect: 'Allow', Principal, Action: 's3:GetObject', Resource: arn(Bucket, '*') },
    { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: arn(Bucket, 'a') },
  );
  assert.equal(await failure(get()), 'AccessDenied 403');
  assert.equal(await failure(admin.send(new GetObjectCommand({ Bucket, Key: 'a' }))), 'AccessDenied 403');
});

test('a copy needs the source and the target; a delete of many is judged key by key', async () => {
  const from = await newBucket(admin, 'from');
  const to = await newBucket(admin, 'to');
  const copier = await user(
    'copier',
    { Action: 's3:GetObject', Resource: arn(from, 'open/*') },
    { Action: ['s3:PutObject', 's3:DeleteObject'], Resource: arn(to, 'mine/*') },
  );
  for (const Key of ['open/a', 'closed/a']) await admin.send(new PutObjectCommand({ Bucket: from, Key, Body: 'x' }));
  const copy = (source: string, Key: string) => copier.send(new CopyObjectCommand({ Bucket: to, Key, CopySource: `${from}/${source}` }));
  await copy('open/a', 'mine/a');
  assert.equal(await failure(copy('closed/a', 'mine/a')), 'AccessDenied 403');
  assert.equal(await failure(copy('open/a', 'yours/a')), 'AccessDenied 403');
  await admin.send(new PutObjectCommand({ Bucket: to, Key: 'yours/a', Body: 'x' }));
  const Objects = [{ Key: 'mine/a' }, { Key: 'yours/a' }];
  const told = await copier.send(new DeleteObjectsCommand({ Bucket: to, Delete: { Objects } }));
  assert.deepEqual(
    told.Deleted!.map((each) => each.Key),
    ['mine/a'],
  );
  assert.deepEqual(
    told.Errors!.map((each) => [each.Key, each.Code]),
    [['yours/a', 'AccessDenied']],
  );
  assert.equal(await failure(copier.send(new DeleteObjectCommand({ Bucket: to, Key: 'mine/b', VersionId: 'null' }))), 'AccessDenied 403');
});
