/** What port.ts promises, tried on every driver. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startServer } from '../../../test/support/server.ts';
import { openDiskBlobs } from './disk.ts';
import { createDummyBlobs } from './dummy.ts';
import { BlobCorruptError, type BlobEntry, BlobKeyError, BlobNotFoundError, type BlobStore } from './port.ts';
import { openS3Blobs } from './s3.ts';

const drivers: { name: string; open(directory: string, clean: (action: () => Promise<void>) => void): Promise<BlobStore> }[] = [
  { name: 'disk', open: (directory) => openDiskBlobs(directory, Buffer.alloc(32, 7)) },
  { name: 'dummy', open: async () => createDummyBlobs() },
  { name: "s3 (Penstock's own)", open: openOwnS3 },
];

/** Another Penstock is the store. */
async function openOwnS3(_directory: string, clean: (action: () => Promise<void>) => void): Promise<BlobStore> {
  const server = await startServer();
  clean(() => server.stop());
  await new S3Client(server.client).send(new CreateBucketCommand({ Bucket: 'blobs' }));
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
  });
  const { endpoint, region } = server;
  return openS3Blobs({ bucket: 'blobs', prefix: 'some/where', region, endpoint, pathStyle: true }, Buffer.alloc(32, 7));
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

for (const driver of drivers) {
  describe(`blobs: ${driver.name}`, () => {
    let directory: string;
    let store: BlobStore;
    const cleaning: (() => Promise<void>)[] = [];

    before(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'penstock-blobs-'));
      store = await driver.open(directory, (action) => cleaning.push(action));
    });
    after(async () => {
      for (const action of cleaning) await action();
      await rm(directory, { recursive: true });
    });

    for (const size of [0, 1, 65_535, 65_536, 65_537, 131_072, 3_000_000]) {
      test(`gives back ${size} bytes, whole and in ranges`, async () => {
        const bytes = randomBytes(size);
        const info = await store.put(`sizes/${size}`, bytes);
        assert.deepEqual([info.key, info.size, info.sha256], [`sizes/${size}`, size, sha256(bytes)]);
        assert.deepEqual(await store.head(`sizes/${size}`), info);
        assert.ok(bytes.equals(await buffer(await store.get(`sizes/${size}`))));
        for (const [start, end] of [
          [0, 0],
          [0, size - 1],
          [size - 1, size - 1],
          [Math.floor(size / 2), size + 1000],
          [65_530, 65_545],
          [65_536, 65_536],
        ] as const) {
          if (start >= size || start < 0 || end < start) continue;
          const part = await buffer(await store.get(`sizes/${size}`, { start, end }));
          assert.ok(part.equals(bytes.subarray(start, end + 1)), `${start}-${end}`);
        }
        await assert.rejects(store.get(`sizes/${size}`, { start: size, end: size }), RangeError);
      });
    }

    test('takes a stream in pieces of any size', async () => {
      const bytes = randomBytes(300_000);
      const pieces: Buffer[] = [];
      for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 7) % 9_973) pieces.push(bytes.subarray(at, at + step));
      const info = await store.put('streamed', Readable.from(pieces));
      assert.equal(info.sha256, sha256(bytes));
      assert.ok(bytes.equals(await buffer(await store.get('streamed'))));
    });

    test('replaces a blob atomically, while readers of the old one read on', async () => {
      const old = randomBytes(2_000_000);
      await store.put('replaced', old);
      const reader = await store.get('replaced');
      await store.put('replaced', Buffer.from('new'));
      assert.equal((await buffer(await store.get('replaced'))).toString(), 'new');
      await store.delete('replaced');
      assert.ok(old.equals(await buffer(reader)));
      assert.equal(await store.head('replaced'), undefined);
    });

    test('knows no blob that was never put, and deletes it without complaint', async () => {
      await assert.rejects(store.get('never/put'), BlobNotFoundError);
      assert.equal(await store.head('never/put'), undefined);
      await store.delete('never/put');
    });

    test('shows nothing of a put whose body fails', async () => {
      const body = Readable.from(
        (function* () {
          yield randomBytes(200_000);
          throw new Error('the client went away');
        })(),
      );
      await assert.rejects(store.put('failed', body), /the client went away/);
      assert.equal(await store.head('failed'), undefined);
      assert.deepEqual(await collect(store.list('failed')), []);
    });

    test('shows nothing of a put that is aborted', async () => {
      const controller = new AbortController();
      const body = new Readable({ read() {} });
      body.push(randomBytes(1000));
      const put = store.put('aborted', body, controller.signal);
      controller.abort();
      await assert.rejects(put, { name: 'AbortError' });
      assert.ok(body.destroyed);
      await assert.rejects(store.put('aborted', Buffer.from('x'), controller.signal), { name: 'AbortError' });
      assert.equal(await store.head('aborted'), undefined);
    });

    test('lists by prefix in key order, from after a key on', async () => {
      const keys = ['l/a', 'l/a-b', 'l/a.', 'l/a/b', 'l/a/c/d', 'l/a0', 'l/ab', 'l/ab-', 'l/ab/x', 'l/abc', 'l/B', 'l/b', 'l/z/1', 'm'];
      await Promise.all(keys.map((key) => store.put(key, Buffer.from(key))));
      const sorted = keys.filter((key) => key.startsWith('l/')).sort();
      assert.deepEqual((await collect(store.list('l/'))).map(nameOf), sorted);
      assert.deepEqual(
        (await collect(store.list('l/a'))).map(nameOf),
        sorted.filter((key) => key.startsWith('l/a')),
      );
      for (const after of [...sorted, 'l/a/', 'l/a/c', 'l/aZ', 'k', 'n']) {
        assert.deepEqual(
          (await collect(store.list('l/', after))).map(nameOf),
          sorted.filter((key) => key > after),
          `after ${after}`,
        );
      }
    });

    test('keeps keys apart that differ only in case', async () => {
      await store.put('case/Name', Buffer.from('upper'));
      await store.put('case/name', Buffer.from('lower'));
      assert.equal((await buffer(await store.get('case/Name'))).toString(), 'upper');
    });

    test('refuses keys that could lead elsewhere', async () => {
      const bad = [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '..',
        'a/../b',
        './a',
        'a/.',
        'a b',
        'a\0',
        'é',
        'a=b',
        'a+b',
        'a\n',
        `${'x'.repeat(101)}`,
        'y/'.repeat(300),
      ];
      for (const key of bad) {
        await assert.rejects(store.put(key, Buffer.from('x')), TypeError, key);
        await assert.rejects(store.get(key), TypeError, key);
        await assert.rejects(store.head(key), TypeError, key);
        await assert.rejects(store.delete(key), TypeError, key);
      }
    });

    test('holds when many calls run at once, on the same keys too', async () => {
      const bodies = Array.from({ length: 40 }, (_, n) => Buffer.alloc(70_000 + n, n));
      await Promise.all(bodies.map((body) => store.put('contended', body)));
      const winner = await buffer(await store.get('contended'));
      assert.ok(bodies.some((body) => body.equals(winner)));
      await Promise.all(bodies.flatMap((body, n) => [store.put(`many/${n}`, body), store.head(`many/${n}`), store.delete('contended')]));
      assert.equal((await collect(store.list('many/'))).length, bodies.length);
      assert.equal(await store.head('contended'), undefined);
    });

    test('keeps a blob under a wrapping key from whoever does not have it', async () => {
      const bytes = randomBytes(200_000);
      const under = store.under(Buffer.alloc(32, 1));
      const info = await under.put('wrapped/one', Readable.from([bytes]));
      assert.equal(info.sha256, sha256(bytes));
      assert.ok(bytes.equals(await buffer(await under.get('wrapped/one'))));
      const range = await buffer(await store.under(Buffer.alloc(32, 1)).get('wrapped/one', { start: 70_000, end: 140_000 }));
      assert.ok(range.equals(bytes.subarray(70_000, 140_001)));
      await assert.rejects(store.get('wrapped/one'), BlobKeyError);
      await assert.rejects(async () => buffer(await store.under(Buffer.alloc(32, 2)).get('wrapped/one')), BlobCorruptError);
      assert.deepEqual(await store.head('wrapped/one'), info);
      assert.deepEqual((await collect(store.list('wrapped/'))).map(nameOf), ['wrapped/one']);
      await store.put('wrapped/two', bytes);
      assert.ok(bytes.equals(await buffer(await under.get('wrapped/two'))), 'what was put without a key is still given');
      await store.delete('wrapped/one');
      await assert.rejects(under.get('wrapped/one'), BlobNotFoundError);
    });

    test('a sweep leaves whole blobs and puts under way alone', async () => {
      const body = new Readable({ read() {} });
      body.push(randomBytes(100_000));
      const put = store.put('slow', body);
      await store.put('kept', Buffer.from('kept'));
      await store.sweep(new Date(Date.now() - 60_000));
      body.push(null);
      assert.equal((await put).size, 100_000);
      assert.ok(await store.head('kept'));
    });
  });
}

const nameOf = (entry: BlobEntry) => entry.key;

async function collect(list: AsyncIterable<BlobEntry>): Promise<BlobEntry[]> {
  return Array.fromAsync(list);
}
