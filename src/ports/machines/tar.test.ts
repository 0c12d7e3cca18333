import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type Entry, readTar, tarOf } from './contract-bench.ts';
import { Place } from './place.ts';
import { packTree, unpack } from './tar.ts';
import { hostPathOf, openInside, type View } from './view.ts';

function scratch(): Disposable & { path: string } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'penstock-tar-')));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

async function unpackInto(path: string, ...entries: Entry[]): Promise<void> {
  const place = Place.open(path);
  try {
    await unpack(place, tarOf(...entries), undefined);
  } finally {
    place.close();
  }
}

test('replaces files and links, and never writes through what was there', async () => {
  using directory = scratch();
  using outside = scratch();
  writeFileSync(join(outside.path, 'precious'), 'precious');
  symlinkSync(join(outside.path, 'precious'), join(directory.path, 'a'));
  linkSync(join(outside.path, 'precious'), join(directory.path, 'b'));
  await unpackInto(directory.path, { name: 'a', content: 'A' }, { name: 'b', content: 'B' }, { name: 'b', content: 'BB' });
  assert.equal(readFileSync(join(outside.path, 'precious'), 'utf8'), 'precious');
  assert.ok(lstatSync(join(directory.path, 'a')).isFile());
  assert.equal(readFileSync(join(directory.path, 'b'), 'utf8'), 'BB');
});

test('does not go through a link that was there before', async () => {
  using directory = scratch();
  using outside = scratch();
  symlinkSync(outside.path, join(directory.path, 'out'));
  await assert.rejects(unpackInto(directory.path, { name: 'out/x', content: 'x' }), /not a directory/);
  await assert.rejects(unpackInto(directory.path, { name: 'out/', type: 'directory' }), /not a directory/);
  assert.deepEqual(readdirSync(outside.path), []);
});

test('keeps permissions, times and hard links, and drops what is dangerous', async () => {
  using directory = scratch();
  const mtime = new Date('2020-02-03T04:05:06Z');
  await unpackInto(
    directory.path,
    { name: 'closed/', type: 'directory', mode: 0o555, mtime },
    { name: 'closed/file', content: 'x', mode: 0o6755, mtime },
    { name: 'twin', type: 'link', linkname: 'closed/file' },
    { name: 'twin', type: 'link', linkname: './twin' },
  );
  const file = statSync(join(directory.path, 'closed/file'));
  assert.deepEqual([file.mode & 0o7777, file.mtime.toISOString(), file.nlink], [0o755, mtime.toISOString(), 2]);
  const closed = statSync(join(directory.path, 'closed'));
  assert.deepEqual([closed.mode & 0o777, closed.mtime.toISOString()], [0o555, mtime.toISOString()]);
  await assert.rejects(unpackInto(directory.path, { name: 'x', type: 'link', linkname: 'closed' }), /does not lead to a file/);
});

test('fails on an archive that is cut short or is none', async () => {
  using directory = scratch();
  const place = Place.open(directory.path);
  try {
    const cut = new PassThrough();
    cut.end((await tarOf({ name: 'x', content: 'x'.repeat(5000) }).toArray())[0]?.subarray(0, 700) ?? '');
    await assert.rejects(unpack(place, cut, undefined));
    const noise = new PassThrough();
    noise.end(Buffer.alloc(4096, 'noise'));
    await assert.rejects(unpack(place, noise, undefined));
    const broken = new PassThrough();
    broken.destroy(new Error('the line is dead'));
    await assert.rejects(unpack(place, broken, undefined), /the line is dead/);
  } finally {
    place.close();
  }
});

test('fails on trees nested beyond all reason, both ways', async () => {
  using directory = scratch();
  await assert.rejects(unpackInto(directory.path, { name: `${'d/'.repeat(300)}f`, content: 'x' }), /nested deeper/);
  mkdirSync(join(directory.path, 'e/'.repeat(300)), { recursive: true });
  await assert.rejects(readTar(packTree(Place.open(directory.path))), /nested deeper/);
});

test('packs files that grow or shrink meanwhile as long as they were', async () => {
  using directory = scratch();
  writeFileSync(join(directory.path, 'log'), 'x'.repeat(600_000));
  const archive = packTree(Place.open(directory.path));
  archive.once('data', () => writeFileSync(join(directory.path, 'log'), 'short'));
  archive.pause();
  const { log } = await readTar(archive);
  assert.equal(log?.content.length, 600_000);
});

test('a path leads inside, wherever links point', () => {
  using root = scratch();
  using cache = scratch();
  mkdirSync(join(root.path, 'work/real'), { recursive: true });
  symlinkSync('/work/real', join(root.path, 'work/absolute'));
  symlinkSync('../../../../work', join(root.path, 'work/up'));
  symlinkSync('/cache', join(root.path, 'work/mounted'));
  writeFileSync(join(cache.path, 'jar'), '');
  const view: View = {
    roots: [
      { inside: '/', host: root.path },
      { inside: '/cache', host: cache.path },
      { inside: '/usr/given', host: cache.path },
    ],
    covered: ['/usr'],
    workdir: '/work',
    owner: undefined,
  };
  const namesAt = (path: string) => {
    const place = openInside(view, path, false);
    try {
      return place.names();
    } finally {
      place.close();
    }
  };
  assert.deepEqual(namesAt('absolute/..'), ['absolute', 'mounted', 'real', 'up']);
  assert.deepEqual(namesAt('up/real'), []);
  assert.deepEqual(namesAt('mounted'), ['jar']);
  assert.deepEqual(namesAt('/usr/given'), ['jar']);
  assert.throws(() => namesAt('/usr/lib'), /not in the machine's own files/);
  assert.throws(() => namesAt('missing'), /ENOENT/);
  openInside(view, 'new/directories', true).close();
  assert.ok(existsSync(join(root.path, 'work/new/directories')));

  assert.equal(hostPathOf(view, 'a/../b'), join(root.path, 'work/b'));
  assert.equal(hostPathOf(view, '/cache/jar'), join(cache.path, 'jar'));
  assert.equal(hostPathOf(view, '/usr/given/jar'), join(cache.path, 'jar'));
  assert.equal(hostPathOf(view, '/usr/lib'), undefined);
  assert.equal(hostPathOf(view, '/../../etc'), join(root.path, 'etc'));
});
