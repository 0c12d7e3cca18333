/** kill -9 in the middle of uploads: what was acknowledged is there, whole; what was not is there whole or not at all. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { newBucket, s3Client } from '../support/s3.ts';
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

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const read = async (Bucket: string, Key: string) => (await client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray();

test('puts: nothing acknowledged is lost, nothing is torn', async () => {
  const Bucket = await newBucket(client, 'killed');
  const sent = new Map<string, string[]>();
  const acknowledged = new Map<string, string>();
  for (const killAfter of [5, 17, 31]) {
    let done = 0;
    let killed: Promise<void> | undefined;
    // Four writers, each on a key of its own, over and over, until the server is gone.
    await Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        const Key = `key-${writer}`;
        try {
          for (;;) {
            const Body = randomBytes(150_000);
            sent.set(Key, [...(sent.get(Key) ?? []), digest(Body)]);
            await client.send(new PutObjectCommand({ Bucket, Key, Body }));
            acknowledged.set(Key, digest(Body));
            if (++done === killAfter) killed = server.kill();
          }
        } catch {
          // The server is gone.
        }
      }),
    );
    await killed;
    await server.restart();
    for (const [Key, last] of acknowledged) {
      const found = digest(await read(Bucket, Key));
      const candidates = sent.get(Key)!;
      assert.ok(candidates.indexOf(found) >= candidates.indexOf(last), `${Key} is the last acknowledged body or a later one`);
    }
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
    for (const { Key, ETag } of Contents!) {
      assert.equal(
        ETag,
        `"${createHash('md5')
          .update(await read(Bucket, Key!))
          .digest('hex')}"`,
      );
    }
  }
});

test('a multipart upload goes on after a kill, also when it fell between the parts and the answer', async () => {
  const Bucket = await newBucket(client, 'resumed');
  const Key = 'resumed';
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const bodies = [randomBytes(5 * 1024 * 1024), randomBytes(1000)];
  const one = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: bodies[0] }));
  await server.restart();
  const two = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body: bodies[1] }));
  const Parts = [
    { PartNumber: 1, ETag: one.ETag },
    { PartNumber: 2, ETag: two.ETag },
  ];
  const complete = () => client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  const answer = await complete();
  await server.restart();
  assert.equal((await complete()).ETag, answer.ETag);
  assert.equal(digest(await read(Bucket, Key)), digest(Buffer.concat(bodies)));
});
