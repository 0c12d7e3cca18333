/** Versioning, delete markers, deletes of many, and lists in the order of bytes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { failure, newBucket, s3Client, text } from '../support/s3.ts';
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

const put = (Bucket: string, Key: string, Body = 'x') => client.send(new PutObjectCommand({ Bucket, Key, Body }));
const get = (Bucket: string, Key: string, VersionId?: string) => client.send(new GetObjectCommand({ Bucket, Key, VersionId }));
const del = (Bucket: string, Key: string, VersionId?: string) => client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
const versioning = (Bucket: string, Status: 'Enabled' | 'Suspended') =>
  client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));

describe('versions', () => {
  test('are kept, read, copied and removed one by one', async () => {
    const Bucket = await newBucket(client, 'versions');
    assert.equal((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status, undefined);
    await put(Bucket, 'k', 'before');
    await versioning(Bucket, 'Enabled');
    const one = (await put(Bucket, 'k', 'one')).VersionId!;
    const two = (await put(Bucket, 'k', 'two')).VersionId!;
    assert.match(one, /^[A-Za-z0-9._-]{32}$/);
    assert.equal(await text(await get(Bucket, 'k')), 'two');
    assert.equal(await text(await get(Bucket, 'k', one)), 'one');
    assert.equal(await text(await get(Bucket, 'k', 'null')), 'before');
    const copied = await client.send(new CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/k?versionId=${one}` }));
    assert.equal(copied.CopySourceVersionId, one);
    assert.equal(await text(await get(Bucket, 'c')), 'one');
    assert.equal((await del(Bucket, 'k', two)).VersionId, two);
    assert.equal(await text(await get(Bucket, 'k')), 'one');
    assert.equal(await failure(get(Bucket, 'k', two)), 'NoSuchVersion 404');
    assert.equal(await failure(get(Bucket, 'k', 'nonsense')), 'InvalidArgument 400');
    await del(Bucket, 'k', one);
    assert.equal(await text(await get(Bucket, 'k')), 'before');
  });

  test('a delete lays a marker, whose removal brings the object back', async () => {
    const Bucket = await newBucket(client, 'markers');
    await versioning(Bucket, 'Enabled');
    await put(Bucket, 'k', 'kept');
    const laid = await del(Bucket, 'k');
    assert.equal(laid.DeleteMarker, true);
    const missing = await get(Bucket, 'k').catch((error) => error);
    assert.deepEqual(
      [missing.name, missing.$metadata.httpStatusCode, missing.$response.headers['x-amz-delete-marker']],
      ['NoSuchKey', 404, 'true'],
    );
    assert.equal(missing.$response.headers['x-amz-version-id'], laid.VersionId);
    assert.equal(await failure(get(Bucket, 'k', laid.VersionId)), 'MethodNotAllowed 405');
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', VersionId: laid.VersionId })).catch((error) => error);
    assert.deepEqual([head.$metadata.httpStatusCode, head.$response.headers['x-amz-delete-marker']], [405, 'true']);
    const removed = await del(Bucket, 'k', laid.VersionId);
    assert.deepEqual([removed.DeleteMarker, removed.VersionId], [true, laid.VersionId]);
    assert.equal(await text(await get(Bucket, 'k')), 'kept');
  });

  test('suspended: writes and deletes take the place of the null version only', async () => {
    const Bucket = await newBucket(client, 'suspended');
    await versioning(Bucket, 'Enabled');
    const kept = (await put(Bucket, 'k', 'kept')).VersionId!;
    await versioning(Bucket, 'Suspended');
    assert.equal((await put(Bucket, 'k', 'a')).VersionId, 'null');
    await put(Bucket, 'k', 'b');
    assert.equal((await del(Bucket, 'k')).VersionId, 'null');
    const { Versions, DeleteMarkers } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    assert.deepEqual(
      Versions!.map((version) => [version.VersionId, version.IsLatest]),
      [[kept, false]],
    );
    assert.deepEqual(
      DeleteMarkers!.map((marker) => [marker.VersionId, marker.IsLatest]),
      [['null', true]],
    );
  });

  test('are listed newest first, in pages that miss and repeat nothing', async () => {
    const Bucket = await newBucket(client, 'history');
    await versioning(Bucket, 'Enabled');
    const written: string[] = [];
    for (const key of ['a', 'b/1', 'b/2', 'c']) {
      for (let n = 0; n < 3; n++) written.push(`${key} ${(await put(Bucket, key)).VersionId}`);
      if (key === 'c') written.push(`${key} ${(await del(Bucket, key)).VersionId}`);
    }
    for (const MaxKeys of [1, 2, 5, 1000]) {
      const seen: string[] = [];
      let markers: { KeyMarker?: string; VersionIdMarker?: string } = {};
      for (;;) {
        const page = await client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys, ...markers }));
        const entries = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
        assert.ok(entries.length <= MaxKeys);
        seen.push(...entries.map((entry) => `${entry.Key} ${entry.VersionId}`));
        if (!page.IsTruncated) break;
        markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
      }
      assert.deepEqual([...seen].sort(), [...written].sort(), `pages of ${MaxKeys}`);
    }
    const all = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'a' }));
    assert.deepEqual(
      all.Versions!.map((version) => version.VersionId),
      written
        .slice(0, 3)
        .map((each) => each.split(' ')[1])
        .reverse(),
    );
    const rolled = await client.send(new ListObjectVersionsCommand({ Bucket, Delimiter: '/' }));
    assert.deepEqual(rolled.CommonPrefixes, [{ Prefix: 'b/' }]);
  });
});

describe('deletes of many', () => {
  test('report each key, or only errors when quiet', async () => {
    const Bucket = await newBucket(client, 'many');
    await Promise.all(['a', 'b', 'c & <d>'].map((key) => put(Bucket, key)));
    const Objects = [{ Key: 'a' }, { Key: 'never' }, { Key: 'c & <d>' }, { Key: 'b', VersionId: 'nonsense' }];
    const told = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    assert.deepEqual(told.Deleted!.map((each) => each.Key).sort(), ['a', 'c & <d>', 'never']);
    assert.deepEqual(
      told.Errors!.map((each) => [each.Key, each.Code]),
      [['b', 'InvalidArgument']],
    );
    const quiet = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'b' }], Quiet: true } }));
    assert.deepEqual([quiet.Deleted, quiet.Errors], [undefined, undefined]);
    assert.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  });

  test('take a thousand, and no more', async () => {
    const Bucket = await newBucket(client, 'thousand');
    const Objects = Array.from({ length: 1001 }, (_, n) => ({ Key: `k${n}` }));
    assert.equal(await failure(client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))), 'MalformedXML 400');
    const told = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Objects.slice(1) } }));
    assert.equal(told.Deleted!.length, 1000);
  });
});

describe('lists', () => {
  const keys = [
    'A',
    'a',
    'a-b',
    'a/1',
    'a/2',
    'a/b/3',
    'a b',
    'b',
    'photos/2024/x',
    'photos/2025/y',
    'z',
    'ä',
    '\u{e000}',
    '日本',
    '😀/1',
    '😀/2',
    '\u{10ffff}',
  ];
  const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  let Bucket: string;

  before(async () => {
    Bucket = await newBucket(client, 'lists');
    await Promise.all(keys.map((key) => put(Bucket, key)));
  });

  async function pages(input: Partial<ListObjectsV2CommandInput>): Promise<string[]> {
    const seen: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(new ListObjectsV2Command({ Bucket, ...input, ContinuationToken }));
      const entries = [...(page.Contents ?? []).map((each) => each.Key!), ...(page.CommonPrefixes ?? []).map((each) => `${each.Prefix}*`)];
      assert.equal(page.KeyCount, entries.length);
      if (input.MaxKeys) assert.ok(entries.length <= input.MaxKeys);
      seen.push(...entries);
      ContinuationToken = page.NextContinuationToken;
      assert.equal(page.IsTruncated, ContinuationToken !== undefined);
    } while (ContinuationToken);
    return seen;
  }
  const byBytes = (list: string[]) => [...list].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

  test('are in the order of UTF-8 bytes, whatever the page', async () => {
    for (const MaxKeys of [1, 2, 7, undefined]) assert.deepEqual(await pages({ MaxKeys }), sorted, `pages of ${MaxKeys}`);
  });

  test('roll up at delimiters, whatever the page', async () => {
    const expected = byBytes(['A', 'a', 'a b', 'a-b', 'a/*', 'b', 'photos/*', 'z', 'ä', '\u{e000}', '日本', '😀/*', '\u{10ffff}']);
    for (const MaxKeys of [1, 2, 3, undefined])
      assert.deepEqual(byBytes(await pages({ Delimiter: '/', MaxKeys })), expected, `pages of ${MaxKeys}`);
    assert.deepEqual(await pages({ Delimiter: '/', Prefix: 'a/' }), ['a/1', 'a/2', 'a/b/*']);
    assert.deepEqual(await pages({ Delimiter: '20', Prefix: 'photos' }), ['photos/20*']);
    assert.deepEqual(await pages({ Delimiter: '/', Prefix: 'photos' }), ['photos/*']);
  });

  test('start where they are told to', async () => {
    assert.deepEqual(await pages({ StartAfter: 'a/2' }), sorted.slice(sorted.indexOf('a/2') + 1));
    assert.deepEqual(await pages({ StartAfter: 'a/2', Prefix: 'a/' }), ['a/b/3']);
    assert.deepEqual(await pages({ StartAfter: '\u{10ffff}' }), []);
    assert.deepEqual(await pages({ Prefix: '\u{10ffff}' }), ['\u{10ffff}']);
    assert.equal(await failure(client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: 'forged' }))), 'InvalidArgument 400');
  });

  test('encode keys when asked to, and tell owners when asked to', async () => {
    const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'a b', EncodingType: 'url', FetchOwner: true }));
    assert.deepEqual([page.Contents![0]!.Key, page.Prefix], ['a%20b', 'a%20b']);
    assert.match(page.Contents![0]!.Owner!.ID!, /^[0-9a-f]{64}$/);
  });

  test('of the first version page by markers', async () => {
    const first = await client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 5 }));
    assert.equal(first.NextMarker, 'a/');
    const second = await client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', Marker: first.NextMarker }));
    assert.equal(second.Contents![0]!.Key, 'b');
    assert.equal(second.IsTruncated, false);
    const none = await client.send(new ListObjectsCommand({ Bucket, MaxKeys: 0 }));
    assert.deepEqual([none.Contents, none.IsTruncated, none.MaxKeys], [undefined, false, 0]);
  });

  test('do not read what lies under a prefix', async () => {
    const deep = await newBucket(client, 'deep');
    await Promise.all(Array.from({ length: 200 }, (_, n) => put(deep, `${n % 4}/${n}`)));
    const page = await client.send(new ListObjectsV2Command({ Bucket: deep, Delimiter: '/', MaxKeys: 3 }));
    assert.deepEqual(
      page.CommonPrefixes!.map((each) => each.Prefix),
      ['0/', '1/', '2/'],
    );
    assert.equal(page.IsTruncated, true);
  });
});
