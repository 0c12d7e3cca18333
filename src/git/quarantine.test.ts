import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { createDummyBlobs } from '../ports/blobs/dummy.ts';
import { git } from './client.ts';
import { objectId } from './objects.ts';
import { largePackedObjects, objectCount, packOffset } from './pack-index.ts';
import { BadPackError, Quarantine } from './quarantine.ts';
import { createGitStore, type GitStore } from './store.ts';

let home: string;
let work: string;
let store: GitStore;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-quarantine-'));
  store = createGitStore(home, createDummyBlobs());
  work = path.join(home, 'work');
  await git(home, ['init', '-q', work]);
  await writeFile(path.join(work, 'big'), randomBytes(300_000));
  await writeFile(path.join(work, 'small'), 'small');
  await git(work, ['add', '.']);
  await git(work, ['commit', '-qm', 'one']);
  await git(work, ['tag', '-a', '-m', 'inner', 'inner']);
  await git(work, ['tag', '-a', '-m', 'outer', 'outer', 'inner']);
});
after(async () => {
  store.readers.closeAll();
  await rm(home, { recursive: true, force: true });
});

const packOf = (...names: string[]) =>
  execFileSync('git', ['pack-objects', '--revs', '--stdout', '-q'], { cwd: work, input: names.map((name) => `${name}\n`).join('') });

async function refusal(pack: Buffer): Promise<string> {
  await using quarantine = await Quarantine.open(store, 'test');
  const error = await quarantine.index(pack).then(
    () => assert.fail('the pack was taken'),
    (reason) => reason,
  );
  assert.ok(error instanceof BadPackError, String(error));
  return error.message;
}

test('knows what references would point at, through tags of tags', async () => {
  await using quarantine = await Quarantine.open(store, 'test');
  const pack = await quarantine.index(Readable.from([packOf('outer')]));
  const [commit, inner, outer, tree] = await Promise.all(
    ['HEAD', 'inner', 'outer', 'HEAD^{tree}'].map((name) => git(work, ['rev-parse', name])),
  );
  const tips = await quarantine.tips([commit!, inner!, outer!, tree!, '1'.repeat(40)]);
  assert.deepEqual(tips.get(commit!), { type: 'commit', peeled: undefined });
  assert.deepEqual(tips.get(outer!), { type: 'tag', peeled: { id: commit, type: 'commit' } });
  assert.deepEqual(tips.get(inner!)?.peeled?.id, commit);
  assert.equal(tips.get(tree!)?.type, 'tree');
  assert.equal(tips.has('1'.repeat(40)), false);
  // Once installed, the same objects are found in the repository.
  await quarantine.install();
  await using next = await Quarantine.open(store, 'test');
  assert.deepEqual((await next.tips([outer!])).get(outer!), { type: 'tag', peeled: { id: commit, type: 'commit' } });
  assert.equal(pack.objects, 6);
});

test("reads a pack's index", async () => {
  await git(work, ['-c', 'pack.writeReverseIndex=true', 'repack', '-qad']);
  const folder = path.join(work, '.git/objects/pack');
  const name = execFileSync('sh', ['-c', 'ls *.idx'], { cwd: folder }).toString().trim();
  const index = await readFile(path.join(folder, name));
  const [pack, reverse] = await Promise.all(['.pack', '.rev'].map((ending) => readFile(path.join(folder, name.replace('.idx', ending)))));
  const big = await git(work, ['rev-parse', 'HEAD:big']);
  assert.equal(objectCount(index), 6);
  assert.deepEqual(
    (await largePackedObjects(index, reverse!, pack!.length, 200_000)).map(({ id }) => id),
    [big],
  );
  assert.equal((pack![packOffset(index, big)!]! >> 4) & 7, 3, 'a blob begins there');
  assert.equal(packOffset(index, 'f'.repeat(40)), undefined);
});

test('keeps as it arrives what needs no completion', async () => {
  const bytes = packOf('HEAD');
  await using quarantine = await Quarantine.open(store, 'kept');
  const keeping = { blobs: store.blobs, key: Promise.resolve('git/kept'), asItArrives: true };
  const pack = await quarantine.index(Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]), { keeping });
  await quarantine.keep(keeping);
  assert.equal((await store.blobs.head('git/kept'))?.size, pack.size);
  const bad = { ...keeping, key: Promise.resolve('git/bad') };
  await using other = await Quarantine.open(store, 'kept');
  await assert.rejects(other.index(Readable.from([bytes.subarray(0, 1000)]), { keeping: bad }), BadPackError);
  for (let tries = 0; (await store.blobs.head('git/bad')) && tries < 100; tries++) await new Promise(setImmediate);
  assert.equal(await store.blobs.head('git/bad'), undefined);
});

test('refuses objects that attack clients or lack what they name', async () => {
  const tree = (name: string) => {
    const blob = Buffer.from('x');
    return [
      { type: 3, data: blob },
      { type: 2, data: Buffer.concat([Buffer.from(`100644 ${name}\0`), Buffer.from(objectId('blob', blob), 'hex')]) },
    ];
  };
  for (const name of ['.git', '..', '.GIT', 'a/b', ''])
    assert.match(await refusal(makePack(tree(name))), /fsck error|malformed|corrupt|invalid/i, name);
  const dangling = Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(20, 7)]);
  assert.match(await refusal(makePack([{ type: 2, data: dangling }])), /did not receive expected object/);
});

test('a delta that claims gigabytes ends git, not the host', async () => {
  const base = Buffer.alloc(65536);
  const size = 8 * 1024 ** 3;
  // Each 0x80 copies 64 KiB from the beginning of the base.
  const delta = Buffer.concat([sizeOf(base.length), sizeOf(size), Buffer.alloc(size / 65536, 0x80)]);
  const reference = Buffer.from(objectId('blob', base), 'hex');
  assert.match(
    await refusal(
      makePack([
        { type: 3, data: base },
        { type: 7, data: delta, reference },
      ]),
    ),
    /out of memory|malloc failed/i,
  );
});

interface Entry {
  type: number;
  data: Buffer;
  /** What a delta (type 7) is based on. */
  reference?: Buffer;
}

function makePack(entries: Entry[]): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  header.writeUInt32BE(entries.length, 8);
  const parts = entries.flatMap(({ type, data, reference = Buffer.alloc(0) }) => {
    const rest = Math.floor(data.length / 16);
    const first = (type << 4) | (data.length & 15) | (rest > 0 ? 0x80 : 0);
    return [Buffer.from([first]), rest > 0 ? sizeOf(rest) : Buffer.alloc(0), reference, deflateSync(data)];
  });
  const body = Buffer.concat([header, ...parts]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

/** Seven bits a byte, lowest first. */
function sizeOf(size: number): Buffer {
  const bytes: number[] = [];
  for (let rest = size; ; ) {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
    if (rest === 0) return Buffer.from(bytes);
  }
}
