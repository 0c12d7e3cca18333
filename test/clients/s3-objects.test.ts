/** Objects: what is put comes back, whole, in part, on conditions, copied; and what is wrong is refused with S3's own errors. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { kmsClient, newKey } from '../support/kms.ts';
import { failure, newBucket, s3Client, text } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let client: S3Client;
let Bucket: string;

before(async () => {
  server = await startServer();
  client = s3Client(server);
  Bucket = await newBucket(client, 'objects');
});
after(async () => {
  client?.destroy();
  await server?.stop();
});

const put = (Key: string, Body: string | Buffer | Readable, more = {}) => client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = (Key: string, more = {}) => client.send(new GetObjectCommand({ Bucket, Key, ...more }));
const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex');

describe('put and get', () => {
  test('keep bytes, type, headers and metadata', async () => {
    const bytes = randomBytes(200_000);
    const written = await put('kept', bytes, {
      ContentType: 'text/x-test',
      CacheControl: 'max-age=5',
      ContentDisposition: 'attachment; filename="a b.txt"',
      ContentEncoding: 'identity',
      ContentLanguage: 'de',
      Expires: new Date('2030-01-02T03:04:05Z'),
      Metadata: { Colour: 'blue', empty: '' },
      StorageClass: 'STANDARD_IA',
    });
    assert.equal(written.ETag, `"${md5(bytes)}"`);
    assert.equal(written.VersionId, undefined);
    const read = await get('kept');
    assert.ok(bytes.equals(Buffer.from(await read.Body!.transformToByteArray())));
    assert.equal(read.ContentLength, bytes.length);
    assert.deepEqual(
      [read.ContentType, read.CacheControl, read.ContentDisposition, read.ContentEncoding, read.ContentLanguage, read.ExpiresString],
      ['text/x-test', 'max-age=5', 'attachment; filename="a b.txt"', 'identity', 'de', 'Wed, 02 Jan 2030 03:04:05 GMT'],
    );
    assert.deepEqual(read.Metadata, { colour: 'blue', empty: '' });
    assert.equal(read.StorageClass, 'STANDARD_IA');
    assert.equal(read.ServerSideEncryption, 'AES256');
  });

  test('take a stream of unknown length, and do not keep its chunked form', async () => {
    const pieces = Array.from({ length: 30 }, () => randomBytes(11_111));
    const bytes = Buffer.concat(pieces);
    await put('streamed', Readable.from(pieces), { ContentLength: bytes.length });
    const read = await get('streamed');
    assert.ok(bytes.equals(Buffer.from(await read.Body!.transformToByteArray())));
    assert.equal(read.ContentEncoding, undefined);
    assert.ok(read.ChecksumCRC32);
  });

  test('hold an empty object', async () => {
    await put('empty', '');
    const read = await get('empty');
    assert.equal(read.ContentLength, 0);
    assert.equal(await text(read), '');
    assert.equal(await failure(get('empty', { Range: 'bytes=0-0' })), 'InvalidRange 416');
  });

  for (const key of [
    '..',
    '../../etc/passwd',
    'a//b',
    '/lead',
    'trail/',
    ' spaces in  it ',
    'ünï/日本/😀',
    '%2F%00',
    'a+b&c=d?e#f',
    '\'"<>\\',
    'x'.repeat(1024),
  ]) {
    test(`the key ${JSON.stringify(key.slice(0, 40))} is only a name`, async () => {
      await put(key, `body of ${key}`);
      assert.equal(await text(await get(key)), `body of ${key}`);
      await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
      assert.equal(await failure(get(key)), 'NoSuchKey 404');
    });
  }

  test('refuse keys that are too long or hold NUL', async () => {
    assert.equal(await failure(put('é'.repeat(513), 'x')), 'KeyTooLongError 400');
    assert.equal(await failure(put('a\0b', 'x')), 'InvalidArgument 400');
  });

  test('give a response other headers when asked to', async () => {
    await put('override', 'x', { ContentType: 'text/plain' });
    const read = await get('override', {
      ResponseContentType: 'text/html',
      ResponseCacheControl: 'no-store',
      ResponseExpires: new Date(0),
    });
    assert.deepEqual([read.ContentType, read.CacheControl, read.ExpiresString], ['text/html', 'no-store', 'Thu, 01 Jan 1970 00:00:00 GMT']);
  });

  test('refuse what is not there', async () => {
    assert.equal(await failure(get('never')), 'NoSuchKey 404');
    assert.equal(await failure(client.send(new HeadObjectCommand({ Bucket, Key: 'never' }))), 'NotFound 404');
    assert.equal(await failure(client.send(new GetObjectCommand({ Bucket: 'no-such-bucket', Key: 'x' }))), 'NoSuchBucket 404');
    assert.equal(await failure(client.send(new PutObjectCommand({ Bucket: 'no-such-bucket', Key: 'x', Body: 'x' }))), 'NoSuchBucket 404');
  });

  test('limit metadata to 2 KB', async () => {
    await put('meta', 'x', { Metadata: { a: 'v'.repeat(2047) } });
    assert.equal(await failure(put('meta', 'x', { Metadata: { a: 'v'.repeat(2048) } })), 'MetadataTooLarge 400');
  });

  test('name an expected owner', async () => {
    await put('owned', 'x', { ExpectedBucketOwner: server.account });
    assert.equal(await failure(get('owned', { ExpectedBucketOwner: '999999999999' })), 'AccessDenied 403');
  });

  test('tell encryption as it was asked for', async () => {
    const { Arn: key } = await newKey(kmsClient(server));
    await put('kms', 'x', { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: key });
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'kms' }));
    assert.deepEqual([head.ServerSideEncryption, head.SSEKMSKeyId], ['aws:kms', key]);
    assert.equal(await failure(put('ssec', 'x', { SSECustomerAlgorithm: 'AES256', SSECustomerKey: 'k'.repeat(32) })), 'NotImplemented 501');
  });
});

describe('checksums', () => {
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
    test(`${algorithm} is checked, kept and told`, async () => {
      const written = await put(`sum-${algorithm}`, 'checksummed', { ChecksumAlgorithm: algorithm });
      const read = await get(`sum-${algorithm}`, { ChecksumMode: 'ENABLED' });
      assert.equal(await text(read), 'checksummed');
      assert.ok(written[`Checksum${algorithm}`]);
      assert.equal(read[`Checksum${algorithm}`], written[`Checksum${algorithm}`]);
      assert.equal(read.ChecksumType, 'FULL_OBJECT');
    });
  }

  test('a body that is not what was said is refused, and nothing of it is kept', async () => {
    assert.equal(await failure(put('bad', 'x', { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' })), 'BadDigest 400');
    assert.equal(await failure(put('bad', 'x', { ContentMD5: 'short' })), 'InvalidDigest 400');
    assert.equal(await failure(put('bad', 'x', { ChecksumSHA256: createHash('sha256').update('y').digest('base64') })), 'BadDigest 400');
    assert.equal(await failure(put('bad', 'x', { ChecksumCRC32: 'nonsense' })), 'InvalidRequest 400');
    assert.equal(await failure(get('bad')), 'NoSuchKey 404');
  });

  test('without any, CRC64NVME is computed', async () => {
    const plain = s3Client(server, { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' });
    await plain.send(new PutObjectCommand({ Bucket, Key: 'plain', Body: '123456789' }));
    const read = await plain.send(new GetObjectCommand({ Bucket, Key: 'plain', ChecksumMode: 'ENABLED' }));
    // The check value of CRC-64/NVME, AE8B14860A799888.
    assert.equal(read.ChecksumCRC64NVME, 'rosUhgp5mIg=');
    plain.destroy();
  });
});

describe('ranges', () => {
  const bytes = randomBytes(150_000);
  before(() => put('ranged', bytes));

  for (const [range, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=65530-70000', 65_530, 70_001],
    ['bytes=149990-', 149_990, 150_000],
    ['bytes=-10', 149_990, 150_000],
    ['bytes=-999999', 0, 150_000],
    ['bytes=100-9999999', 100, 150_000],
  ] as const) {
    test(range, async () => {
      const read = await get('ranged', { Range: range });
      assert.ok(bytes.subarray(start, end).equals(Buffer.from(await read.Body!.transformToByteArray())));
      assert.equal(read.$metadata.httpStatusCode, 206);
      assert.equal(read.ContentRange, `bytes ${start}-${end - 1}/150000`);
      assert.equal(read.ContentLength, end - start);
    });
  }

  test('a range past the end is 416, one that is none is ignored', async () => {
    assert.equal(await failure(get('ranged', { Range: 'bytes=150000-' })), 'InvalidRange 416');
    assert.equal(await failure(get('ranged', { Range: 'bytes=-0' })), 'InvalidRange 416');
    for (const Range of ['bytes=5-4', 'lines=1-2', 'bytes=-', 'bytes=0-1,5-6']) {
      const read = await get('ranged', { Range });
      assert.deepEqual([read.$metadata.httpStatusCode, read.ContentLength], [200, 150_000]);
      await read.Body!.transformToByteArray();
    }
  });
});

describe('conditions', () => {
  test('of reads', async () => {
    const { ETag } = await put('if', 'x');
    const past = new Date(Date.now() - 3_600_000);
    const future = new Date(Date.now() + 3_600_000);
    const statusOf = async (conditions: object) => {
      try {
        const read = await get('if', conditions);
        await text(read);
        return read.$metadata.httpStatusCode;
      } catch (error) {
        return (error as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode;
      }
    };
    assert.equal(await statusOf({ IfMatch: ETag }), 200);
    assert.equal(await statusOf({ IfMatch: '"other"' }), 412);
    assert.equal(await statusOf({ IfNoneMatch: ETag }), 304);
    assert.equal(await statusOf({ IfNoneMatch: '"other"' }), 200);
    assert.equal(await statusOf({ IfModifiedSince: past }), 200);
    assert.equal(await statusOf({ IfModifiedSince: future }), 304);
    assert.equal(await statusOf({ IfUnmodifiedSince: past }), 412);
    assert.equal(await statusOf({ IfMatch: ETag, IfUnmodifiedSince: past }), 200);
    assert.equal(await statusOf({ IfNoneMatch: '"other"', IfModifiedSince: future }), 200);
  });

  test('of writes: of many that want to be first, one is', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => put('first', `writer ${n}`, { IfNoneMatch: '*' })));
    assert.equal(tries.filter((each) => each.status === 'fulfilled').length, 1);
    for (const each of tries) if (each.status === 'rejected') assert.equal(each.reason.name, 'PreconditionFailed');
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket, Key: 'first' }));
    assert.equal(await failure(put('first', 'y', { IfMatch: '"other"' })), 'PreconditionFailed 412');
    await put('first', 'y', { IfMatch: ETag });
    assert.equal(await failure(put('never', 'y', { IfMatch: ETag })), 'NoSuchKey 404');
  });

  test('of deletes', async () => {
    await put('del', 'x');
    assert.equal(await failure(client.send(new DeleteObjectCommand({ Bucket, Key: 'del', IfMatch: '"other"' }))), 'PreconditionFailed 412');
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'del', IfMatch: '*' }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'del' }));
  });
});

test('many writers of one key: one whole body stays, and readers meanwhile never see another', async () => {
  const bodies = Array.from({ length: 30 }, (_, n) => `${n} `.repeat(20_000));
  await put('busy', bodies[0]!);
  const digests = new Set(bodies.map(md5));
  const reads = async () => {
    for (let n = 0; n < 15; n++) assert.ok(digests.has(md5(await text(await get('busy')))));
  };
  await Promise.all([reads(), reads(), ...bodies.map((body) => put('busy', body))]);
  const last = await get('busy');
  assert.equal(last.ETag, `"${md5(await text(last))}"`);
});

describe('copies', () => {
  const copy = (Key: string, from: string, more = {}) =>
    client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${encodeURIComponent(from)}`, ...more }));

  test('take metadata and tags along, or not', async () => {
    await put('source ü', 'to copy', { ContentType: 'text/x', Metadata: { a: '1' }, Tagging: 'k=v' });
    const copied = await copy('copy', 'source ü');
    assert.equal(copied.CopyObjectResult!.ETag, `"${md5('to copy')}"`);
    const read = await get('copy');
    assert.deepEqual([await text(read), read.ContentType, read.Metadata, read.TagCount], ['to copy', 'text/x', { a: '1' }, 1]);
    await copy('copy2', 'source ü', { MetadataDirective: 'REPLACE', Metadata: { b: '2' }, TaggingDirective: 'REPLACE', Tagging: 'x=y&z=' });
    const other = await get('copy2');
    assert.deepEqual([await text(other), other.Metadata, other.ContentType], ['to copy', { b: '2' }, 'binary/octet-stream']);
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'copy2' }));
    assert.deepEqual(TagSet, [
      { Key: 'x', Value: 'y' },
      { Key: 'z', Value: '' },
    ]);
  });

  test('outlive their source', async () => {
    await put('parent', 'inherited');
    await copy('child', 'parent');
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'parent' }));
    await copy('grandchild', 'child');
    await put('child', 'changed');
    assert.equal(await text(await get('grandchild')), 'inherited');
  });

  test('onto itself only to change something', async () => {
    await put('self', 'x');
    assert.equal(await failure(copy('self', 'self')), 'InvalidRequest 400');
    await copy('self', 'self', { MetadataDirective: 'REPLACE', Metadata: { now: 'there' } });
    const read = await get('self');
    assert.deepEqual([await text(read), read.Metadata], ['x', { now: 'there' }]);
  });

  test('on conditions of the source', async () => {
    const { ETag } = await put('cond', 'x');
    assert.equal(await failure(copy('cond2', 'cond', { CopySourceIfNoneMatch: ETag })), 'PreconditionFailed 412');
    assert.equal(await failure(copy('cond2', 'cond', { CopySourceIfMatch: '"other"' })), 'PreconditionFailed 412');
    assert.equal(await failure(copy('cond2', 'never')), 'NoSuchKey 404');
    await copy('cond2', 'cond', { CopySourceIfMatch: ETag });
  });
});

test('attributes tell what is asked for', async () => {
  await put('attributes', 'x', { ChecksumAlgorithm: 'SHA256' });
  const ObjectAttributes = ['ETag', 'Checksum', 'ObjectSize', 'StorageClass', 'ObjectParts'] as const;
  const told = await client.send(new GetObjectAttributesCommand({ Bucket, Key: 'attributes', ObjectAttributes: [...ObjectAttributes] }));
  assert.deepEqual([told.ETag, told.ObjectSize, told.StorageClass, told.ObjectParts], [md5('x'), 1, 'STANDARD', undefined]);
  assert.equal(told.Checksum!.ChecksumSHA256, createHash('sha256').update('x').digest('base64'));
});

test('tags are checked', async () => {
  await put('tagged', 'x');
  const tag = (TagSet: { Key: string; Value: string }[]) =>
    client.send(new PutObjectTaggingCommand({ Bucket, Key: 'tagged', Tagging: { TagSet } }));
  await tag([{ Key: 'a', Value: 'ä b' }]);
  assert.equal(await failure(tag(Array.from({ length: 11 }, (_, n) => ({ Key: `k${n}`, Value: '' })))), 'InvalidTag 400');
  assert.equal(
    await failure(
      tag([
        { Key: 'a', Value: '1' },
        { Key: 'a', Value: '2' },
      ]),
    ),
    'InvalidTag 400',
  );
  assert.equal(await failure(tag([{ Key: 'aws:x', Value: '1' }])), 'InvalidTag 400');
  assert.equal(await failure(put('tagged', 'x', { Tagging: `${'k'.repeat(129)}=v` })), 'InvalidTag 400');
  const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'tagged' }));
  assert.deepEqual(TagSet, [{ Key: 'a', Value: 'ä b' }]);
});
