/** Multipart uploads: parts in any order, at once and again; complete, complete again, give up. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  type ChecksumType,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { failure, newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

const MIB = 1024 * 1024;

let server: TestServer;
let client: S3Client;
let Bucket: string;

before(async () => {
  server = await startServer();
  client = s3Client(server);
  Bucket = await newBucket(client, 'multipart');
});
after(async () => {
  client?.destroy();
  await server?.stop();
});

const begin = async (
  Key: string,
  more: { ChecksumAlgorithm?: ChecksumAlgorithm; ChecksumType?: ChecksumType; ContentType?: string } = {},
) => (await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId!;
const uploadPart = async (Key: string, UploadId: string, PartNumber: number, Body: Buffer, more = {}): Promise<CompletedPart> => {
  const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumSHA256 } = await client.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }),
  );
  return { PartNumber, ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumSHA256 };
};
const complete = (Key: string, UploadId: string, Parts: CompletedPart[], more = {}) =>
  client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));
const bodyOf = async (Key: string, more = {}) =>
  Buffer.from(await (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body!.transformToByteArray());
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest();

test('parts become one object, whatever order they come in; asked twice, the answer is the same', async () => {
  const bodies = [randomBytes(5 * MIB), randomBytes(5 * MIB + 7), randomBytes(1234)];
  const id = await begin('whole', { ContentType: 'text/x' });
  await uploadPart('whole', id, 30, randomBytes(99));
  const parts = await Promise.all([30, 7, 2].map((number, n) => uploadPart('whole', id, number, bodies[2 - n]!)));
  parts.reverse();
  const answer = await complete('whole', id, parts);
  const etag = `"${createHash('md5')
    .update(Buffer.concat(bodies.map(md5)))
    .digest('hex')}-3"`;
  assert.equal(answer.ETag, etag);
  const again = await complete('whole', id, parts);
  assert.deepEqual([again.ETag, again.ChecksumCRC32], [answer.ETag, answer.ChecksumCRC32]);

  const whole = Buffer.concat(bodies);
  assert.ok(whole.equals(await bodyOf('whole')));
  assert.ok(whole.subarray(5 * MIB - 3, 10 * MIB + 20).equals(await bodyOf('whole', { Range: `bytes=${5 * MIB - 3}-${10 * MIB + 19}` })));
  const second = await client.send(new GetObjectCommand({ Bucket, Key: 'whole', PartNumber: 2 }));
  assert.ok(bodies[1]!.equals(Buffer.from(await second.Body!.transformToByteArray())));
  assert.deepEqual([second.PartsCount, second.$metadata.httpStatusCode], [3, 206]);
  assert.equal(await failure(bodyOf('whole', { PartNumber: 4 })), 'InvalidPartNumber 416');
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole' }));
  assert.deepEqual([head.ContentLength, head.ETag, head.ContentType], [whole.length, etag, 'text/x']);
  assert.equal(await failure(uploadPart('whole', id, 1, randomBytes(1))), 'NoSuchUpload 404');
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'whole' }));
  assert.equal(Uploads, undefined);

  const copied = await client.send(new CopyObjectCommand({ Bucket, Key: 'copied', CopySource: `${Bucket}/whole` }));
  assert.equal(copied.CopyObjectResult!.ETag, `"${md5(whole).toString('hex')}"`);
  assert.ok(whole.equals(await bodyOf('copied')));
});

describe('checksums', () => {
  const bodies = [randomBytes(5 * MIB), randomBytes(777)];
  const whole = Buffer.concat(bodies);

  test('composite: of the checksums of the parts', async () => {
    const id = await begin('composite', { ChecksumAlgorithm: 'SHA256' });
    const parts = await Promise.all(bodies.map((body, n) => uploadPart('composite', id, n + 1, body, { ChecksumAlgorithm: 'SHA256' })));
    const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
    const told = await complete('composite', id, parts);
    assert.equal(told.ChecksumSHA256, `${sha(Buffer.concat(bodies.map(sha))).toString('base64')}-2`);
    assert.equal(told.ChecksumType, 'COMPOSITE');
    const { ObjectParts } = await client.send(
      new GetObjectAttributesCommand({ Bucket, Key: 'composite', ObjectAttributes: ['ObjectParts', 'Checksum'] }),
    );
    assert.deepEqual(
      ObjectParts!.Parts!.map((part) => part.Size),
      bodies.map((body) => body.length),
    );
  });

  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    test(`${algorithm} of the full object is that of the same bytes in one piece`, async () => {
      const single = await client.send(new PutObjectCommand({ Bucket, Key: 'single', Body: whole, ChecksumAlgorithm: algorithm }));
      const id = await begin('full', { ChecksumAlgorithm: algorithm, ChecksumType: 'FULL_OBJECT' });
      const parts = await Promise.all(bodies.map((body, n) => uploadPart('full', id, n + 1, body, { ChecksumAlgorithm: algorithm })));
      const member = `Checksum${algorithm}` as const;
      assert.equal(
        await failure(complete('full', id, parts, { [member]: single[member]!.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) })),
        'BadDigest 400',
      );
      const told = await complete('full', id, parts, { [member]: single[member], ChecksumType: 'FULL_OBJECT' });
      assert.deepEqual([told[member], told.ChecksumType], [single[member], 'FULL_OBJECT']);
    });
  }

  test('that do not fit are refused', async () => {
    assert.equal(await failure(begin('refused', { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' })), 'InvalidRequest 400');
    const id = await begin('refused', { ChecksumAlgorithm: 'SHA256' });
    assert.equal(await failure(uploadPart('refused', id, 1, bodies[1]!, { ChecksumAlgorithm: 'CRC32' })), 'InvalidRequest 400');
    const part = await uploadPart('refused', id, 1, bodies[1]!, { ChecksumAlgorithm: 'SHA256' });
    assert.equal(await failure(complete('refused', id, [{ PartNumber: 1, ETag: part.ETag }])), 'InvalidRequest 400');
    await complete('refused', id, [part]);
  });
});

test('what a client completes wrongly is refused, and can be completed rightly after', async () => {
  const id = await begin('wrong');
  const [one, two] = await Promise.all([uploadPart('wrong', id, 1, randomBytes(100)), uploadPart('wrong', id, 2, randomBytes(100))]);
  const tries: [CompletedPart[], string][] = [
    [[], 'MalformedXML 400'],
    [[two!, one!], 'InvalidPartOrder 400'],
    [[one!, one!], 'InvalidPartOrder 400'],
    [[one!, { PartNumber: 3, ETag: one!.ETag }], 'EntityTooSmall 400'],
    [[{ PartNumber: 1, ETag: '"00000000000000000000000000000000"' }], 'InvalidPart 400'],
    [[{ PartNumber: 9, ETag: one!.ETag }], 'InvalidPart 400'],
    [[one!, two!], 'EntityTooSmall 400'],
  ];
  for (const [parts, expected] of tries) assert.equal(await failure(complete('wrong', id, parts)), expected);
  assert.equal(await failure(complete('wrong', 'no-such-upload', [one!])), 'NoSuchUpload 404');
  assert.equal(await failure(complete('other', id, [one!])), 'NoSuchUpload 404');
  assert.equal(await failure(uploadPart('wrong', id, 0, randomBytes(1))), 'InvalidArgument 400');
  assert.equal(await failure(uploadPart('wrong', id, 10_001, randomBytes(1))), 'InvalidArgument 400');
  assert.equal(await failure(complete('wrong', id, [two!], { MpuObjectSize: 99 })), 'InvalidRequest 400');
  await complete('wrong', id, [two!], { IfNoneMatch: '*' });
  assert.equal((await bodyOf('wrong')).length, 100);
});

test('parts and uploads are listed in pages, and gone when given up', async () => {
  const id = await begin('given/up');
  for (const number of [5, 1, 3]) await uploadPart('given/up', id, number, randomBytes(number));
  const first = await client.send(new ListPartsCommand({ Bucket, Key: 'given/up', UploadId: id, MaxParts: 2 }));
  assert.deepEqual(
    [first.Parts!.map((part) => [part.PartNumber, part.Size]), first.IsTruncated],
    [
      [
        [1, 1],
        [3, 3],
      ],
      true,
    ],
  );
  const rest = await client.send(
    new ListPartsCommand({ Bucket, Key: 'given/up', UploadId: id, PartNumberMarker: first.NextPartNumberMarker }),
  );
  assert.deepEqual(
    rest.Parts!.map((part) => part.PartNumber),
    [5],
  );

  const others = await Promise.all([begin('given/up'), begin('given/down')]);
  const seen: string[] = [];
  let markers: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'given/', MaxUploads: 1, ...markers }));
    seen.push(...page.Uploads!.map((upload) => upload.UploadId!));
    if (!page.IsTruncated) break;
    markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
  assert.deepEqual([...seen].sort(), [id, ...others].sort());
  assert.equal(seen[0], others[1]);
  const rolled = await client.send(new ListMultipartUploadsCommand({ Bucket, Delimiter: '/' }));
  assert.ok(rolled.CommonPrefixes!.some((each) => each.Prefix === 'given/'));

  await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'given/up', UploadId: id }));
  assert.equal(await failure(client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'given/up', UploadId: id }))), 'NoSuchUpload 404');
  assert.equal(await failure(client.send(new ListPartsCommand({ Bucket, Key: 'given/up', UploadId: id }))), 'NoSuchUpload 404');
});

test('parts are copied from objects, in whole or in part', async () => {
  const source = randomBytes(6 * MIB);
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: source }));
  const id = await begin('from-copies');
  const copyPart = (PartNumber: number, CopySourceRange?: string) =>
    client.send(
      new UploadPartCopyCommand({ Bucket, Key: 'from-copies', UploadId: id, PartNumber, CopySource: `${Bucket}/source`, CopySourceRange }),
    );
  const one = await copyPart(1);
  const two = await copyPart(2, 'bytes=10-19');
  assert.equal(one.CopyPartResult!.ETag, `"${md5(source).toString('hex')}"`);
  assert.equal(await failure(copyPart(3, `bytes=0-${6 * MIB}`)), 'InvalidArgument 400');
  assert.equal(await failure(copyPart(3, 'bytes=5-')), 'InvalidArgument 400');
  await complete('from-copies', id, [
    { PartNumber: 1, ETag: one.CopyPartResult!.ETag },
    { PartNumber: 2, ETag: two.CopyPartResult!.ETag },
  ]);
  assert.ok(Buffer.concat([source, source.subarray(10, 20)]).equals(await bodyOf('from-copies')));
});
