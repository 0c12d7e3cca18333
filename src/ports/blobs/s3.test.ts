/** What only the s3 driver can promise: parts, clean-up, broken connections, and that the store learns nothing. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { S3 } from '@aws-sdk/client-s3';
import { startServer, type TestServer } from '../../../test/support/server.ts';
import { BlobCorruptError, BlobNotFoundError, type BlobStore } from './port.ts';
import { openS3Blobs } from './s3.ts';

const MIB = 1024 * 1024;
const Bucket = 'blobs';
const key = randomBytes(32);

let server: TestServer;
let network: Network;
let s3: S3;
let store: BlobStore;

before(async () => {
  server = await startServer();
  network = await Network.before(Number(new URL(server.endpoint).port));
  s3 = new S3(server.client);
  await s3.createBucket({ Bucket });
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
  });
  store = await open('store');
});
after(async () => {
  await network.close();
  await server.stop();
});

function open(prefix: string, bucket = Bucket, storeKey = key): Promise<BlobStore> {
  return openS3Blobs({ bucket, prefix, region: server.region, endpoint: network.url, pathStyle: true }, storeKey);
}

/** A network between the driver and its store, which cuts connections. */
class Network {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections that are still to be cut, each after so many bytes of answers. */
  cuts: number[] = [];

  static async before(port: number): Promise<Network> {
    const network = new Network(port);
    network.#server.listen(0, '127.0.0.1');
    await once(network.#server, 'listening');
    return network;
  }

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const store = connect(port, '127.0.0.1');
      for (const [socket, other] of [
        [client, store],
        [store, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.once('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      client.pipe(store);
      let passed = 0;
      store.on('data', (bytes) => {
        passed += bytes.length;
        const cut = this.cuts[0];
        if (cut === undefined || passed < cut) {
          if (client.write(bytes)) return;
          store.pause();
          client.once('drain', () => store.resume());
          return;
        }
        this.cuts.shift();
        client.destroy();
      });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The driver must connect anew. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

test('puts a large blob in parts, which become one object of sealed bytes', async () => {
  const bytes = randomBytes(20 * MIB);
  const info = await store.put('large', Readable.from(pieces(bytes)));
  assert.equal(info.sha256, createHash('sha256').update(bytes).digest('hex'));
  const object = await s3.getObjectAttributes({ Bucket, Key: 'store/large', ObjectAttributes: ['ObjectParts', 'ObjectSize'] });
  assert.equal(object.ObjectParts?.TotalPartsCount, 3);
  assert.ok(bytes.equals(await buffer(await store.get('large'))));
  for (const [start, end] of [
    [8 * MIB - 10, 8 * MIB + 10],
    [20 * MIB - 1, 20 * MIB - 1],
    [3, 10 * MIB],
  ] as const)
    assert.ok(bytes.subarray(start, end + 1).equals(await buffer(await store.get('large', { start, end }))), `${start}-${end}`);
  const stranger = await open('store', Bucket, randomBytes(32));
  await assert.rejects(stranger.get('large'), BlobCorruptError);
});

test('a put that fails takes its parts away; what a crash left goes with the sweep, and nothing else', async () => {
  const uploads = async () => ((await s3.listMultipartUploads({ Bucket })).Uploads ?? []).map(({ Key }) => Key);
  const failing = Readable.from(
    (function* () {
      yield* pieces(randomBytes(12 * MIB));
      throw new Error('the client went away');
    })(),
  );
  await assert.rejects(store.put('failed', failing), /the client went away/);
  const controller = new AbortController();
  const endless = Readable.from(
    (function* () {
      for (let count = 0; ; count++) {
        if (count === 40) setImmediate(() => controller.abort());
        yield Buffer.alloc(MIB);
      }
    })(),
  );
  await assert.rejects(store.put('aborted', endless, controller.signal), { name: 'AbortError' });
  assert.deepEqual(await uploads(), []);
  for (const Key of ['store/dead', 'elsewhere/alive']) await s3.createMultipartUpload({ Bucket, Key });
  await store.sweep(new Date(Date.now() - 60_000));
  assert.deepEqual(await uploads(), ['elsewhere/alive', 'store/dead']);
  await store.sweep(new Date(Date.now() + 60_000));
  assert.deepEqual(await uploads(), ['elsewhere/alive']);
});

test('goes on where a connection broke, reading and writing', async () => {
  const bytes = randomBytes(10 * MIB);
  network.cutAll();
  network.cuts = [1, 1];
  await store.put('through', Readable.from(pieces(bytes)));
  assert.deepEqual(network.cuts, []);
  for (const cuts of [[1], [50_000, 3 * MIB, 70_000], [10 * MIB - 3, 1]]) {
    network.cutAll();
    network.cuts = [...cuts];
    assert.ok(bytes.equals(await buffer(await store.get('through'))));
    assert.deepEqual(network.cuts, []);
  }
});

test('never goes on in another object than it began with', async () => {
  const bytes = randomBytes(10 * MIB);
  await store.put('replaced', bytes);
  network.cutAll();
  network.cuts = [4 * MIB];
  const stream = await store.get('replaced');
  await store.put('replaced', randomBytes(10 * MIB));
  await assert.rejects(buffer(stream));
  network.cuts = [];
});

test('a store that stays away fails the call', async () => {
  await store.put('away', Buffer.from('x'));
  network.cutAll();
  network.cuts = Array(50).fill(1);
  await assert.rejects(store.get('away'), (error: Error) => !(error instanceof BlobNotFoundError) && !(error instanceof BlobCorruptError));
  network.cuts = [];
  assert.equal((await buffer(await store.get('away'))).toString(), 'x');
});

test('finds what was changed, cut or put under another name in the store', async () => {
  const Key = 'store/harmed';
  await store.put('harmed', randomBytes(200_000));
  const { Body } = await s3.getObject({ Bucket, Key });
  const sealed = Buffer.from(await Body!.transformToByteArray());
  const flipped = (at: number) => sealed.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const harms: [string, Uint8Array][] = [
    ...[0, 30, 100, 70_000, sealed.length - 70, sealed.length - 1].map((at) => [`byte ${at}`, flipped(at)] as [string, Uint8Array]),
    ...[0, 10, 80, 140, 65_700, sealed.length - 1].map((length) => [`${length} bytes`, sealed.subarray(0, length)] as [string, Uint8Array]),
    ['longer', Buffer.concat([sealed, Buffer.alloc(1)])],
  ];
  for (const [what, bytes] of harms) {
    await s3.putObject({ Bucket, Key, Body: bytes });
    await assert.rejects(async () => buffer(await store.get('harmed')), BlobCorruptError, what);
  }
  await s3.putObject({ Bucket, Key: 'store/other', Body: sealed });
  await assert.rejects(store.get('other'), BlobCorruptError);
  await assert.rejects(store.head('other'), BlobCorruptError);
  assert.deepEqual(
    (await Array.fromAsync(store.list('harmed'))).map((entry) => entry.key),
    ['harmed'],
  );
});

test('says at once when the bucket is not there', async () => {
  await assert.rejects(open('', 'no-such-bucket'), /The blob store s3:\/\/no-such-bucket\/ cannot be used \(NoSuchBucket: /);
});
