/** SSE-KMS: objects under keys that the user named. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import * as KMS from '@aws-sdk/client-kms';
import * as S3 from '@aws-sdk/client-s3';
import { kmsClient, failure as kmsFailure, newKey } from '../support/kms.ts';
import { failure, newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let s3: S3.S3Client;
let kms: KMS.KMSClient;
before(async () => {
  server = await startServer();
  s3 = s3Client(server);
  kms = kmsClient(server);
});
after(() => server.stop());

const put = (Bucket: string, Key: string, Body: Buffer, more: Partial<S3.PutObjectCommandInput> = {}) =>
  s3.send(new S3.PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Bucket: string, Key: string, more: Partial<S3.GetObjectCommandInput> = {}, client = s3) => {
  const output = await client.send(new S3.GetObjectCommand({ Bucket, Key, ...more }));
  return { ...output, bytes: Buffer.from(await output.Body!.transformToByteArray()) };
};
const underKms = (SSEKMSKeyId?: string) => ({ ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId });

async function userWith(...actions: string[]): Promise<S3.S3Client> {
  const iam = new IAMClient(server.client);
  const UserName = `user-${randomBytes(4).toString('hex')}`;
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] });
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return s3Client(server, { credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! } });
}

describe('S3 under KMS keys', () => {
  it('keeps an object under the key that was named, by id, ARN or alias', async () => {
    const { KeyId, Arn } = await newKey(kms);
    await kms.send(new KMS.CreateAliasCommand({ AliasName: 'alias/objects', TargetKeyId: KeyId }));
    const bucket = await newBucket(s3, 'kms');
    const bytes = randomBytes(200_000);
    for (const named of [KeyId, Arn, 'alias/objects', Arn!.replace(/key\/.*/, 'alias/objects')]) {
      const made = await put(bucket, 'object', bytes, underKms(named));
      assert.deepEqual([made.ServerSideEncryption, made.SSEKMSKeyId], ['aws:kms', Arn]);
      const got = await get(bucket, 'object');
      assert.deepEqual([got.ServerSideEncryption, got.SSEKMSKeyId], ['aws:kms', Arn]);
      assert.ok(bytes.equals(got.bytes));
    }
    const part = await get(bucket, 'object', { Range: 'bytes=70000-140000' });
    assert.ok(part.bytes.equals(bytes.subarray(70_000, 140_001)));
    assert.equal((await s3.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: 'object' }))).SSEKMSKeyId, Arn);
  });

  it('uses the AWS-managed key when none is named, which everybody may who may read the object', async () => {
    const bucket = await newBucket(s3, 'kms-managed');
    const { SSEKMSKeyId } = await put(bucket, 'object', Buffer.from('managed'), underKms());
    const { KeyMetadata } = await kms.send(new KMS.DescribeKeyCommand({ KeyId: 'alias/aws/s3' }));
    assert.deepEqual([SSEKMSKeyId, KeyMetadata!.KeyManager], [KeyMetadata!.Arn, 'AWS']);
    const reader = await userWith('s3:GetObject');
    assert.equal((await get(bucket, 'object', {}, reader)).bytes.toString(), 'managed');
  });

  it('asks for the right to use the key of whoever reads and writes', async () => {
    const { KeyId } = await newKey(kms);
    const bucket = await newBucket(s3, 'kms-rights');
    await put(bucket, 'object', Buffer.from('secret'), underKms(KeyId));
    const nobody = await userWith('s3:*');
    assert.equal(await failure(get(bucket, 'object', {}, nobody)), 'AccessDenied 403');
    const writing = (client: S3.S3Client) =>
      client.send(new S3.PutObjectCommand({ Bucket: bucket, Key: 'other', Body: 'x', ...underKms(KeyId) }));
    assert.equal(await failure(writing(nobody)), 'AccessDenied 403');
    assert.equal(await failure(s3.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: 'other' }))), 'NotFound 404');
    const reader = await userWith('s3:*', 'kms:Decrypt');
    assert.equal((await get(bucket, 'object', {}, reader)).bytes.toString(), 'secret');
    assert.equal(await failure(writing(reader)), 'AccessDenied 403');
    await writing(await userWith('s3:*', 'kms:GenerateDataKey'));
    // Without the key's bytes there is nothing to decrypt by oneself.
    const via = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${server.account}:root` }, Action: 'kms:*', Resource: '*' },
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 'kms:Decrypt',
          Resource: '*',
          Condition: { StringNotEquals: { 'kms:EncryptionContext:aws:s3:arn': `arn:aws:s3:::${bucket}/object` } },
        },
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 'kms:Decrypt',
          Resource: '*',
          Condition: { StringNotEquals: { 'kms:ViaService': `s3.${server.region}.amazonaws.com` } },
        },
      ],
    });
    await kms.send(new KMS.PutKeyPolicyCommand({ KeyId, Policy: via }));
    assert.equal((await get(bucket, 'object', {}, reader)).bytes.toString(), 'secret');
    assert.equal(await failure(get(bucket, 'other', {}, reader)), 'AccessDenied 403');
  });

  it('cannot read while the key is disabled or pending deletion, and at once when it is enabled again', async () => {
    const { KeyId } = await newKey(kms);
    const bucket = await newBucket(s3, 'kms-state');
    for (const BucketKeyEnabled of [false, true]) {
      await put(bucket, 'object', Buffer.from('secret'), { ...underKms(KeyId), BucketKeyEnabled });
      for (let round = 0; round < 3; round++) {
        assert.equal((await get(bucket, 'object')).bytes.toString(), 'secret');
        await kms.send(new KMS.DisableKeyCommand({ KeyId }));
        assert.equal(await failure(get(bucket, 'object')), 'KMS.DisabledException 400');
        assert.equal(
          await failure(put(bucket, 'other', Buffer.from('x'), { ...underKms(KeyId), BucketKeyEnabled })),
          'KMS.DisabledException 400',
        );
        await kms.send(new KMS.EnableKeyCommand({ KeyId }));
      }
    }
    await kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId }));
    assert.equal(await failure(get(bucket, 'object')), 'KMS.KMSInvalidStateException 400');
    assert.match(await kmsFailure(get(bucket, 'object')), /is pending deletion/);
    assert.equal((await s3.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: 'object' }))).ContentLength, 6);
    assert.equal(await failure(put(bucket, 'x', Buffer.from('x'), underKms('alias/none'))), 'KMS.NotFoundException 400');
    await s3.send(new S3.DeleteObjectCommand({ Bucket: bucket, Key: 'object' }));
  });

  it('takes the bucket’s default, and its bucket key', async () => {
    const { KeyId, Arn } = await newKey(kms);
    const bucket = await newBucket(s3, 'kms-default');
    await s3.send(
      new S3.PutBucketEncryptionCommand({
        Bucket: bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KeyId }, BucketKeyEnabled: true }],
        },
      }),
    );
    for (const key of ['one', 'two']) {
      const made = await put(bucket, key, Buffer.from(key));
      assert.deepEqual([made.SSEKMSKeyId, made.BucketKeyEnabled], [Arn, true]);
    }
    assert.equal((await get(bucket, 'two')).bytes.toString(), 'two');
    const plain = await put(bucket, 'plain', Buffer.from('x'), { ServerSideEncryption: 'AES256' });
    assert.deepEqual([plain.ServerSideEncryption, plain.SSEKMSKeyId], ['AES256', undefined]);
  });

  it('re-encrypts copies under the key that they name', async () => {
    const [one, two] = [await newKey(kms), await newKey(kms)];
    const bucket = await newBucket(s3, 'kms-copy');
    const bytes = randomBytes(100_000);
    await put(bucket, 'one', bytes, underKms(one.KeyId));
    const copy = (from: string, Key: string, more: object) =>
      s3.send(new S3.CopyObjectCommand({ Bucket: bucket, CopySource: `${bucket}/${from}`, Key, ...more }));
    assert.equal((await copy('one', 'two', underKms(two.KeyId))).SSEKMSKeyId, two.Arn);
    assert.equal((await copy('two', 'plain', {})).ServerSideEncryption, 'AES256');
    await copy('plain', 'again', underKms(two.KeyId));
    // Onto itself, to change the key.
    await copy('again', 'again', underKms(one.KeyId));
    await kms.send(new KMS.DisableKeyCommand({ KeyId: one.KeyId }));
    assert.ok((await get(bucket, 'two')).bytes.equals(bytes));
    assert.ok((await get(bucket, 'plain')).bytes.equals(bytes));
    for (const key of ['one', 'again']) assert.equal(await failure(get(bucket, key)), 'KMS.DisabledException 400');
    assert.equal(await failure(copy('one', 'three', {})), 'KMS.DisabledException 400');
    assert.equal(await failure(copy('two', 'three', underKms(one.KeyId))), 'KMS.DisabledException 400');
  });

  it('keeps uploads in parts under one key, parts that are copied among them', async () => {
    const { KeyId, Arn } = await newKey(kms);
    const bucket = await newBucket(s3, 'kms-parts');
    const [first, second] = [randomBytes(5 * 2 ** 20), randomBytes(1000)];
    await put(bucket, 'source', second, underKms());
    const target = { Bucket: bucket, Key: 'whole' };
    const { UploadId, SSEKMSKeyId } = await s3.send(new S3.CreateMultipartUploadCommand({ ...target, ...underKms(KeyId) }));
    assert.equal(SSEKMSKeyId, Arn);
    const one = await s3.send(new S3.UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: first }));
    const two = await s3.send(new S3.UploadPartCopyCommand({ ...target, UploadId, PartNumber: 2, CopySource: `${bucket}/source` }));
    assert.deepEqual([one.SSEKMSKeyId, two.SSEKMSKeyId], [Arn, Arn]);
    const Parts = [
      { PartNumber: 1, ETag: one.ETag },
      { PartNumber: 2, ETag: two.CopyPartResult!.ETag },
    ];
    await s3.send(new S3.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
    assert.ok((await get(bucket, 'whole')).bytes.equals(Buffer.concat([first, second])));
    await kms.send(new KMS.DisableKeyCommand({ KeyId }));
    assert.equal(await failure(get(bucket, 'whole')), 'KMS.DisabledException 400');
    assert.equal(await failure(get(bucket, 'whole', { Range: `bytes=${5 * 2 ** 20}-` })), 'KMS.DisabledException 400');
  });

  it('stays readable when the key rotates, and after a restart', async () => {
    const { KeyId } = await newKey(kms);
    const bucket = await newBucket(s3, 'kms-rotated');
    await put(bucket, 'object', Buffer.from('before'), underKms(KeyId));
    await kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }));
    assert.equal((await get(bucket, 'object')).bytes.toString(), 'before');
    await server.restart();
    assert.equal((await get(bucket, 'object')).bytes.toString(), 'before');
  });
});
