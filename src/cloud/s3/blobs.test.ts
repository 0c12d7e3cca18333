/** Rows and blobs together: failing disks, blobs that nobody names, copies that share, events in the transaction. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { type BlobFault, createDummyBlobs } from '../../ports/blobs/dummy.ts';
import { discard, sweep } from './content.ts';
import { s3 } from './service.ts';

const DAY_MS = 86_400_000;
const faults: BlobFault[] = [];
const blobs = createDummyBlobs(faults);
const signal = new AbortController().signal;
let now = new Date();
let bench: TestPlatform;

before(async () => {
  bench = await openPlatform(s3, { blobs, now: () => now });
});
after(() => bench[Symbol.asyncDispose]());

async function newBucket(Bucket: string): Promise<string> {
  await bench.call('s3', 'CreateBucket', { Bucket });
  return Bucket;
}
const put = (Bucket: string, Key: string, Body: string) =>
  bench.call('s3', 'PutObject', { Bucket, Key, Body: Readable.from([Buffer.from(Body)]) });
const get = async (Bucket: string, Key: string) =>
  (await buffer((await bench.call('s3', 'GetObject', { Bucket, Key })).Body as Readable)).toString();
const stored = async () => (await Array.fromAsync(blobs.list('s3/'))).length;

/** Runs what `s3.discard` jobs wait, as the worker would. */
async function runDiscards(): Promise<number> {
  const jobs = (await bench.jobs()).filter((job) => job.task === 's3.discard');
  await bench.clearJobs();
  for (const job of jobs) await discard(bench.platform, job.payload, { attempt: 1, maxAttempts: 1, signal });
  return jobs.length;
}

test('a disk that fails leaves the old object, and no row without bytes', async () => {
  const bucket = await newBucket('failing');
  await put(bucket, 'k', 'old');
  const before = await stored();
  faults.push({ prefix: 's3/', failPutAfter: 2 });
  await assert.rejects(put(bucket, 'k', 'new body'), { code: 'ENOSPC' });
  await assert.rejects(put(bucket, 'other', 'new body'), { code: 'ENOSPC' });
  faults.length = 0;
  assert.equal(await get(bucket, 'k'), 'old');
  await assert.rejects(get(bucket, 'other'), { code: 'NoSuchKey' });
  assert.equal(await stored(), before);
});

test('a write that is refused at its end leaves no blob', async () => {
  const bucket = await newBucket('refused');
  await put(bucket, 'k', 'old');
  const before = await stored();
  await assert.rejects(bench.call('s3', 'PutObject', { Bucket: bucket, Key: 'k', IfNoneMatch: '*', Body: Buffer.from('new') }), {
    code: 'PreconditionFailed',
  });
  assert.equal(await stored(), before);
});

test('what is overwritten or deleted goes after commit, unless a copy shares it', async () => {
  const bucket = await newBucket('shared');
  await runDiscards();
  const before = await stored();
  await put(bucket, 'a', 'shared bytes');
  await bench.call('s3', 'CopyObject', { Bucket: bucket, Key: 'b', CopySource: `${bucket}/a` });
  assert.equal(await stored(), before + 1, 'the copy has the blob of its source');
  await put(bucket, 'a', 'new bytes');
  assert.equal(await runDiscards(), 1);
  assert.equal(await get(bucket, 'b'), 'shared bytes');
  await bench.call('s3', 'DeleteObject', { Bucket: bucket, Key: 'b' });
  await bench.call('s3', 'DeleteObject', { Bucket: bucket, Key: 'a' });
  assert.equal(await runDiscards(), 2);
  assert.equal(await stored(), before);
});

test('a reader that meets an object while it is replaced gets the old or the new', async () => {
  const bucket = await newBucket('replaced');
  await put(bucket, 'k', 'old');
  const { Body } = await bench.call('s3', 'GetObject', { Bucket: bucket, Key: 'k' });
  await put(bucket, 'k', 'new');
  await runDiscards();
  assert.equal((await buffer(Body as Readable)).toString(), 'old');
  assert.equal(await get(bucket, 'k'), 'new');
});

test('parts that are replaced, not used or given up go', async () => {
  const bucket = await newBucket('parts');
  await runDiscards();
  const before = await stored();
  const upload = async (Key: string) => (await bench.call('s3', 'CreateMultipartUpload', { Bucket: bucket, Key })).UploadId!;
  const part = (Key: string, UploadId: string, PartNumber: number, body: string) =>
    bench.call('s3', 'UploadPart', { Bucket: bucket, Key, UploadId, PartNumber, Body: Buffer.from(body) });
  const id = await upload('k');
  await part('k', id, 1, 'replaced');
  await part('k', id, 2, 'not used');
  const { ETag } = await part('k', id, 1, 'used');
  await bench.call('s3', 'CompleteMultipartUpload', {
    Bucket: bucket,
    Key: 'k',
    UploadId: id,
    MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
  });
  const other = await upload('other');
  await part('other', other, 1, 'given up');
  await bench.call('s3', 'AbortMultipartUpload', { Bucket: bucket, Key: 'other', UploadId: other });
  await runDiscards();
  assert.equal(await stored(), before + 1);
  assert.equal(await get(bucket, 'k'), 'used');
});

test('the sweep takes old blobs that no row names, once a day, and nothing else', async () => {
  const bucket = await newBucket('swept');
  await put(bucket, 'kept', 'kept');
  await runDiscards();
  const before = await stored();
  await blobs.put('s3/orphan', Buffer.from('left by a crash'));
  await blobs.put('git/other', Buffer.from('not ours'));
  assert.deepEqual(await sweep.pending(bench.platform), ['blobs']);
  await sweep.run(bench.platform, 'blobs', signal);
  assert.equal(await stored(), before + 1, 'a young one may be on its way to its row');
  assert.deepEqual(await sweep.pending(bench.platform), []);
  now = new Date(now.getTime() + 2 * DAY_MS);
  assert.deepEqual(await sweep.pending(bench.platform), ['blobs']);
  await sweep.run(bench.platform, 'blobs', signal);
  assert.equal(await stored(), before);
  assert.ok(await blobs.head('git/other'));
  assert.equal(await get(bucket, 'kept'), 'kept');
});

test('objects made and deleted are events, where EventBridge is asked for, in the transaction of the change', async () => {
  const bucket = await newBucket('events');
  const events = async () => (await bench.jobs()).filter((job) => job.task === 'events.deliver').map((job) => job.payload);
  await bench.clearJobs();
  await put(bucket, 'quiet', 'x');
  assert.deepEqual(await events(), []);
  await bench.call('s3', 'PutBucketNotificationConfiguration', {
    Bucket: bucket,
    NotificationConfiguration: { EventBridgeConfiguration: {} },
  });
  await bench.call('s3', 'PutBucketVersioning', { Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } });
  const { VersionId, ETag } = await put(bucket, 'loud key', 'abc');
  await bench.call('s3', 'DeleteObject', { Bucket: bucket, Key: 'loud key' });
  await bench.call('s3', 'DeleteObject', { Bucket: bucket, Key: 'loud key', VersionId });
  await assert.rejects(bench.call('s3', 'PutObject', { Bucket: bucket, Key: 'loud key', IfMatch: '"other"', Body: Buffer.from('x') }), {
    code: 'NoSuchKey',
  });
  const [created, marked, deleted, ...rest] = await events();
  assert.deepEqual(rest, []);
  assert.deepEqual(
    [created.source, created.detailType, created.resources, created.account, created.region],
    ['aws.s3', 'Object Created', [`arn:aws:s3:::${bucket}`], '123456789012', 'us-east-1'],
  );
  const { sequencer, ...object } = created.detail.object;
  assert.deepEqual(object, { key: 'loud key', size: 3, etag: ETag!.replaceAll('"', ''), 'version-id': VersionId });
  assert.deepEqual([created.detail.bucket.name, created.detail.reason], [bucket, 'PutObject']);
  assert.deepEqual([marked.detailType, marked.detail['deletion-type']], ['Object Deleted', 'Delete Marker Created']);
  assert.deepEqual([deleted.detailType, deleted.detail['deletion-type']], ['Object Deleted', 'Permanently Deleted']);
  assert.ok(sequencer < marked.detail.object.sequencer && marked.detail.object.sequencer < deleted.detail.object.sequencer);
});
