/** What only the disk driver can promise: secrecy, detection of damage, and order after a crash or a full disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openDiskBlobs } from './disk.ts';
import { BlobCorruptError, type BlobStore } from './port.ts';
import { HEADER_BYTES, SEALED_CHUNK_BYTES, sealedBytes } from './sealed-format.ts';

const key = randomBytes(32);
let directory: string;
let store: BlobStore;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'penstock-disk-'));
  store = await openDiskBlobs(path.join(directory, 'blobs'), key);
});
after(() => rm(directory, { recursive: true }));

const fileOf = (name: string) => path.join(directory, 'blobs', 'data', `${name.slice(0, 2)}=`, name);
const read = async (name: string, range?: { start: number; end: number }) => buffer(await store.get(name, range));

test('is readable by its owner only', async () => {
  await store.put('private', Buffer.from('x'));
  for (const folder of ['blobs', 'blobs/data', 'blobs/tmp', 'blobs/data/pr=']) {
    assert.equal((await stat(path.join(directory, folder))).mode & 0o777, 0o700, folder);
  }
  assert.equal((await stat(fileOf('private'))).mode & 0o777, 0o600);
});

test('keeps no plain bytes, and needs its key', async () => {
  const secret = Buffer.alloc(1000, 'a telling line of text ');
  await store.put('secret', secret);
  assert.ok(!(await readFile(fileOf('secret'))).includes('telling'));
  const stranger = await openDiskBlobs(path.join(directory, 'blobs'), randomBytes(32));
  await assert.rejects(stranger.get('secret'), BlobCorruptError);
  const reopened = await openDiskBlobs(path.join(directory, 'blobs'), key);
  assert.ok(secret.equals(await buffer(await reopened.get('secret'))));
});

test('finds every flipped byte, wherever it is', async () => {
  const bytes = randomBytes(150_000);
  const length = sealedBytes(bytes.length);
  for (const at of [0, 10, 30, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + SEALED_CHUNK_BYTES, length - 60, length - 50, length - 1]) {
    await store.put('flipped', bytes);
    const file = await open(fileOf('flipped'), 'r+');
    const { buffer: one } = await file.read(Buffer.alloc(1), 0, 1, at);
    one[0]! ^= 1;
    await file.write(one, 0, 1, at);
    await file.close();
    await assert.rejects(read('flipped'), BlobCorruptError, `byte ${at}`);
  }
});

test('finds a file that was cut, lengthened, reordered or put under another name', async () => {
  const bytes = randomBytes(5 * 65_536);
  const harm: Record<string, (file: string) => Promise<void>> = {
    'empty file': (file) => truncate(file, 0),
    'cut in the header': (file) => truncate(file, 20),
    'without its last byte': (file) => truncate(file, sealedBytes(bytes.length) - 1),
    'without its last chunk': async (file) => {
      const whole = await readFile(file);
      await writeFile(file, Buffer.concat([whole.subarray(0, -56 - SEALED_CHUNK_BYTES), whole.subarray(-56)]));
    },
    lengthened: async (file) => writeFile(file, Buffer.concat([await readFile(file), Buffer.from('x')])),
    'two chunks swapped': async (file) => {
      const whole = await readFile(file);
      const chunk = (n: number) => whole.subarray(HEADER_BYTES + n * SEALED_CHUNK_BYTES, HEADER_BYTES + (n + 1) * SEALED_CHUNK_BYTES);
      const [header, rest] = [whole.subarray(0, HEADER_BYTES), whole.subarray(HEADER_BYTES + 2 * SEALED_CHUNK_BYTES)];
      await writeFile(file, Buffer.concat([header, chunk(1), chunk(0), rest]));
    },
    'another blob': async (file) => {
      await store.put('other', randomBytes(bytes.length));
      await copyFile(fileOf('other'), file);
    },
  };
  for (const [name, damage] of Object.entries(harm)) {
    await store.put('harmed', bytes);
    await damage(fileOf('harmed'));
    await assert.rejects(read('harmed'), BlobCorruptError, name);
    assert.deepEqual(
      (await Array.fromAsync(store.list('harmed'))).map(({ key }) => key),
      ['harmed'],
    );
  }
});

test('a range reads only its own chunks', async () => {
  const bytes = randomBytes(10 * 65_536);
  await store.put('ranged', bytes);
  const file = await open(fileOf('ranged'), 'r+');
  await file.write(Buffer.alloc(100), 0, 100, HEADER_BYTES + 3 * SEALED_CHUNK_BYTES);
  await file.close();
  const good = { start: 4 * 65_536, end: 6 * 65_536 };
  assert.ok(bytes.subarray(good.start, good.end + 1).equals(await read('ranged', good)));
  await assert.rejects(read('ranged', { start: 3 * 65_536 + 5, end: 3 * 65_536 + 6 }), BlobCorruptError);
});

test('a sweep clears what dead processes left, and nothing younger', async () => {
  const left = path.join(directory, 'blobs/tmp/left-by-the-dead');
  const young = path.join(directory, 'blobs/tmp/young');
  await writeFile(left, 'half');
  await writeFile(young, 'half');
  const long = new Date(Date.now() - 7_200_000);
  await utimes(left, long, long);
  await store.sweep(new Date(Date.now() - 3_600_000));
  assert.deepEqual(await readdir(path.join(directory, 'blobs/tmp')), ['young']);
  await rm(young);
});

test('a failed put leaves no file behind', async () => {
  const body = Readable.from(
    (function* () {
      yield randomBytes(5_000_000);
      throw new Error('gone');
    })(),
  );
  await assert.rejects(store.put('failed', body), /gone/);
  assert.deepEqual(await readdir(path.join(directory, 'blobs/tmp')), []);
});

test('a blob that is not read to its end closes its file', async () => {
  await store.put('left-open', randomBytes(3_000_000));
  const openFiles = async () => (await readdir('/proc/self/fd').catch(() => [])).length;
  const before = await openFiles();
  const readers = await Promise.all(Array.from({ length: 20 }, () => store.get('left-open')));
  await Promise.all(readers.map((reader) => new Promise((closed) => reader.once('close', closed).destroy())));
  assert.ok((await openFiles()) <= before);
});

test('does not follow a symbolic link', async () => {
  await store.put('linked', Buffer.from('x'));
  await rename(fileOf('linked'), path.join(directory, 'moved'));
  await symlink(path.join(directory, 'moved'), fileOf('linked'));
  await assert.rejects(read('linked'), { code: 'ELOOP' });
});

test('a full disk fails the put with ENOSPC, harms nothing and is over when there is room', async (t) => {
  const mount = path.join(directory, 'small');
  await mkdir(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'tmpfs', mount], { stdio: 'pipe' });
  } catch {
    t.skip('a small file system to fill needs the right to mount');
    return;
  }
  try {
    const small = await openDiskBlobs(mount, key);
    const first = randomBytes(500_000);
    await small.put('first', first);
    await assert.rejects(small.put('second', Readable.from([randomBytes(1_000_000), randomBytes(1_000_000)])), { code: 'ENOSPC' });
    await assert.rejects(small.put('first', randomBytes(3_000_000)), { code: 'ENOSPC' });
    assert.equal(await small.head('second'), undefined);
    assert.ok(first.equals(await buffer(await small.get('first'))));
    assert.deepEqual(await readdir(path.join(mount, 'tmp')), []);
    await small.put('second', randomBytes(1_000_000));
  } finally {
    execFileSync('umount', ['-l', mount]);
  }
});

test('a folder that may not be written fails the put plainly', async (t) => {
  if (process.getuid?.() === 0) {
    t.skip('root may write everywhere');
    return;
  }
  const locked = path.join(directory, 'locked');
  const closed = await openDiskBlobs(locked, key);
  await chmod(path.join(locked, 'tmp'), 0o500);
  await assert.rejects(closed.put('a', Buffer.from('x')), { code: 'EACCES' });
});
