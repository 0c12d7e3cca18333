/** What is peculiar to S3's wire: presigned URLs, buckets in the host name, trailing checksums, bodies that break off; and boto3. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { Readable, Transform } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { failure, newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);

let server: TestServer;
let client: S3Client;
let Bucket: string;

before(async () => {
  server = await startServer();
  client = s3Client(server);
  Bucket = await newBucket(client, 'wire');
});
after(async () => {
  client?.destroy();
  await server?.stop();
});

const body = async (Key: string) => (await client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString();

describe('presigned URLs', () => {
  test('put and get, with the headers that they were signed with', async () => {
    const plain = s3Client(server, { requestChecksumCalculation: 'WHEN_REQUIRED' });
    const putUrl = await getSignedUrl(plain, new PutObjectCommand({ Bucket, Key: 'a/ü b', ContentType: 'text/x' }), { expiresIn: 60 });
    const put = await fetch(putUrl, { method: 'PUT', body: 'by url', headers: { 'content-type': 'text/x' } });
    assert.equal(put.status, 200);
    const getUrl = await getSignedUrl(plain, new GetObjectCommand({ Bucket, Key: 'a/ü b', ResponseContentType: 'text/y' }), {
      expiresIn: 60,
    });
    const got = await fetch(getUrl, { headers: { range: 'bytes=3-' } });
    assert.deepEqual(
      [got.status, got.headers.get('content-type'), got.headers.get('content-range'), await got.text()],
      [206, 'text/y', 'bytes 3-5/6', 'url'],
    );
    const asPut = await fetch(getUrl, { method: 'PUT', body: 'x' });
    assert.equal(asPut.status, 403);
    plain.destroy();
  });

  test('end when they are told to', async () => {
    const hourAgo = new Date(Date.now() - 3_600_000);
    const url = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key: 'x' }), { expiresIn: 60, signingDate: hourAgo });
    const late = await fetch(url);
    assert.equal(late.status, 403);
    assert.match(await late.text(), /<Code>AccessDenied<\/Code><Message>Request has expired<\/Message>/);
  });
});

test('the bucket may be in the host name', async () => {
  await client.send(new PutObjectCommand({ Bucket, Key: 'dir/in host', Body: 'found' }));
  const { port } = new URL(server.endpoint);
  const virtual = s3Client(server, { endpoint: `http://localhost:${port}`, forcePathStyle: false });
  const url = new URL(await getSignedUrl(virtual, new GetObjectCommand({ Bucket, Key: 'dir/in host' })));
  assert.equal(url.host, `${Bucket}.localhost:${port}`);
  // The name need not resolve: what counts is the Host header.
  const sent = request({ host: '127.0.0.1', port, path: url.pathname + url.search, headers: { host: url.host } });
  sent.end();
  const [answer] = await once(sent, 'response');
  assert.deepEqual([answer.statusCode, await text(answer)], [200, 'found']);
  virtual.destroy();
});

describe('streamed bodies', () => {
  test('a trailing checksum that does not fit refuses the object', async () => {
    const lying = s3Client(server);
    lying.middlewareStack.add(
      (next) => (args) => {
        const { request } = args as unknown as { request: { body: Readable } };
        request.body = request.body.pipe(
          new Transform({
            transform(chunk, _encoding, done) {
              done(null, Buffer.from(chunk.toString('latin1').replace(/(x-amz-checksum-crc32:)\S+/, '$1AAAAAA=='), 'latin1'));
            },
          }),
        );
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    const Body = Readable.from([Buffer.from('some bytes')]);
    assert.equal(await failure(lying.send(new PutObjectCommand({ Bucket, Key: 'lied', Body, ContentLength: 10 }))), 'BadDigest 400');
    assert.equal(await failure(client.send(new HeadObjectCommand({ Bucket, Key: 'lied' }))), 'NotFound 404');
    lying.destroy();
  });

  test('a body that breaks off leaves what was there', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'whole', Body: 'whole' }));
    const plain = s3Client(server, { requestChecksumCalculation: 'WHEN_REQUIRED' });
    const url = await getSignedUrl(plain, new PutObjectCommand({ Bucket, Key: 'whole' }));
    const sent = request(url, { method: 'PUT', headers: { 'content-length': 200_000 } });
    const closed = new Promise((resolve) => sent.once('close', resolve));
    sent.on('error', () => {});
    sent.write(Buffer.alloc(100_000), () => sent.destroy());
    await closed;
    plain.destroy();
    assert.equal(await body('whole'), 'whole');
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'whole' }));
    assert.equal(Contents!.length, 1);
  });
});

test('a list of keys to delete must come with its digest, and be what was sent', async () => {
  const Delete = { Objects: [{ Key: 'whole' }] };
  const spoilt = (change: (headers: Record<string, string>) => void): S3Client => {
    const other = s3Client(server);
    other.middlewareStack.add(
      (next) => (args) => {
        change((args as unknown as { request: { headers: Record<string, string> } }).request.headers);
        return next(args);
      },
      // After the checksum was computed, before the request is signed.
      { step: 'build', priority: 'low', name: 'spoil' },
    );
    return other;
  };
  const bare = spoilt((headers) => {
    for (const name of Object.keys(headers)) if (/^(x-amz-(sdk-)?checksum|content-md5)/i.test(name)) delete headers[name];
  });
  assert.equal(await failure(bare.send(new DeleteObjectsCommand({ Bucket, Delete }))), 'InvalidRequest 400');
  const wrong = spoilt((headers) => {
    headers['x-amz-checksum-crc32'] = 'AAAAAA==';
  });
  assert.equal(await failure(wrong.send(new DeleteObjectsCommand({ Bucket, Delete }))), 'BadDigest 400');
  for (const each of [bare, wrong]) each.destroy();
});

const hasBoto = await run('python3', ['-c', 'import boto3']).then(
  () => true,
  () => false,
);

test('boto3 carries files both ways', { skip: hasBoto ? false : 'there is no boto3' }, async () => {
  const script = `
import boto3, hashlib, io, os
s3 = boto3.client('s3')
s3.create_bucket(Bucket='boto')
data = os.urandom(17 * 1024 * 1024)
s3.upload_fileobj(io.BytesIO(data), 'boto', 'dir/large', ExtraArgs={'Metadata': {'who': 'boto'}})
back = io.BytesIO()
s3.download_fileobj('boto', 'dir/large', back)
assert back.getvalue() == data
head = s3.head_object(Bucket='boto', Key='dir/large')
assert head['Metadata'] == {'who': 'boto'} and head['ContentLength'] == len(data), head
assert [o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket='boto') for o in p['Contents']] == ['dir/large']
resource = boto3.resource('s3').Bucket('boto')
resource.objects.all().delete()
resource.delete()
print('done')
`;
  const { stdout } = await run('python3', ['-c', script], { env: server.env });
  assert.equal(stdout, 'done\n');
});
