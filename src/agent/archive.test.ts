/** Bundles: good ones in every form, and hostile ones. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { unpack } from './archive.ts';
import { modeOf, type TarContent, tarOf, treeOf, zipOf } from './testing.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-archive-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const APPSPEC = { 'appspec.yml': 'version: 0.0\nos: linux\n' };
const OPTIONS = { absoluteLinks: true, appSpecFilename: 'appspec.yml' };
let count = 0;

/** Unpacks a bundle and answers with where it is. */
async function unpacked(bundle: Buffer, type: 'tar' | 'tgz' | 'zip' = 'tar', options = OPTIONS): Promise<string> {
  const file = join(directory, `bundle-${++count}`);
  const destination = join(directory, `archive-${count}`, 'deployment-archive');
  await writeFile(file, bundle);
  await unpack(file, type, destination, options);
  return destination;
}

/** A zip whose entry has another name or attributes than its library would write; both names must be equally long. */
async function forgedZip(name: string, { as, mode }: { as?: Buffer; mode?: number } = {}): Promise<Buffer> {
  const zip = await zipOf({ ...APPSPEC, [name]: 'evil' });
  for (let at = zip.indexOf(name); at >= 0; at = zip.indexOf(name, at + 1)) {
    as?.copy(zip, at);
    const header = at - 46;
    const isCentral = header >= 0 && zip.readUInt32LE(header) === 0x02014b50;
    if (isCentral && mode !== undefined) zip.writeUInt32LE((mode << 16) >>> 0, header + 38);
  }
  return zip;
}

test('zip, tar and tgz give the same tree, with modes', async () => {
  const files = { ...APPSPEC, 'bin/run.sh': '#!/bin/sh\n', 'docs/grüße.txt': 'hi' };
  const entries: [string, TarContent][] = [
    ...Object.entries(files).filter(([name]) => !name.endsWith('.sh')),
    ['bin/run.sh', { mode: 0o755, text: files['bin/run.sh'] }],
  ];
  const tar = await tarOf(entries);
  for (const archive of [
    await unpacked(await zipOf(files), 'zip'),
    await unpacked(tar),
    await unpacked(gzipSync(tar), 'tgz'),
    await unpacked(gzipSync(tar), 'tar'),
  ]) {
    assert.deepEqual(await treeOf(archive), files);
    assert.equal(await modeOf(join(archive, 'bin/run.sh')), '755');
    assert.equal(await modeOf(join(archive, 'appspec.yml')), '644');
  }
});

test('a single top directory is stripped, ambiguity is refused', async () => {
  const stripped = await unpacked(await zipOf({ 'repo-abc/appspec.yml': 'x', 'repo-abc/a.txt': 'a', 'pax.txt': 'outside' }), 'zip');
  assert.deepEqual(await treeOf(stripped), { 'appspec.yml': 'x', 'a.txt': 'a' });
  assert.deepEqual(await readdir(join(stripped, '..')), ['deployment-archive']);
  await assert.rejects(unpacked(await zipOf({ 'a/appspec.yml': 'x', 'b/appspec.yml': 'x' }), 'zip'), /more than one directory/);
  await assert.rejects(unpacked(await zipOf({ 'a/b/appspec.yml': 'x' }), 'zip'), /^Error: appspec file is not found\.$/);
  const custom = await unpacked(await zipOf({ 'deploy/prod.yml': 'x' }), 'zip', { ...OPTIONS, appSpecFilename: 'deploy/prod.yml' });
  assert.deepEqual(await treeOf(custom), { 'deploy/prod.yml': 'x' });
});

test('links inside of the tree are kept, and a later entry replaces an earlier one', async () => {
  const archive = await unpacked(
    await tarOf([
      ...Object.entries(APPSPEC),
      ['lib/one.js', 'one'],
      ['lib/current.js', { link: 'one.js' }],
      ['up', { link: 'lib/../lib' }],
      ['python', { link: '/usr/bin/python3' }],
      ['same.js', { hardlink: 'lib/one.js' }],
      ['twice', 'first'],
      ['twice', 'second'],
      ['was-link', { link: 'lib/one.js' }],
      ['was-link', 'a file'],
    ]),
  );
  const tree = await treeOf(archive);
  assert.equal(tree['lib/current.js'], '-> one.js');
  assert.equal(tree.python, '-> /usr/bin/python3');
  assert.equal(tree['same.js'], 'one');
  assert.equal(tree.twice, 'second');
  assert.equal(tree['was-link'], 'a file');
  assert.equal(tree['lib/one.js'], 'one', 'nothing was written through a link');
});

test('a bundle that would write or point elsewhere is refused and leaves nothing', async () => {
  const hostile: [string, Buffer, RegExp, ('zip' | 'tar')?][] = [
    ['tar ..', await tarOf({ ...APPSPEC, '../evil': 'x' }), /"\.\.\/evil" leads out of the bundle/],
    ['tar inner ..', await tarOf({ ...APPSPEC, 'a/../../evil': 'x' }), /leads out/],
    ['tar absolute', await tarOf({ ...APPSPEC, '/tmp/penstock-evil': 'x' }), /absolute name/],
    ['tar link out', await tarOf({ ...APPSPEC, 'a/b': { link: '../../..' } }), /symbolic link to "\.\.\/\.\.\/\.\.", outside/],
    ['tar hard link out', await tarOf({ ...APPSPEC, evil: { hardlink: '/etc/passwd' } }), /absolute name/],
    ['tar hard link to nothing', await tarOf({ ...APPSPEC, evil: { hardlink: 'none' } }), /not a file of the bundle/],
    [
      'tar hard link to a link',
      await tarOf({ ...APPSPEC, a: { link: '/etc/passwd' }, evil: { hardlink: 'a' } }),
      /not a file of the bundle/,
    ],
    ['tar through a link', await tarOf({ ...APPSPEC, a: { link: '/tmp' }, 'a/penstock-evil': 'x' }), /directory and a symbolic link/],
    ['tar fifo', await tarOf({ ...APPSPEC, pipe: { type: 'fifo' } }), /is a fifo/],
    ['tar device', await tarOf({ ...APPSPEC, sda: { type: 'block-device' } }), /is a block-device/],
    ['tar cut off', (await tarOf({ ...APPSPEC, big: 'x'.repeat(5000) })).subarray(0, 2600), /cannot be unpacked/],
    ['tgz cut off', gzipSync(await tarOf(APPSPEC)).subarray(0, 60), /cannot be unpacked/],
    ['zip ..', await forgedZip('aa/evil', { as: Buffer.from('../evil') }), /leads out/, 'zip'],
    ['zip backslash ..', await forgedZip('aa/evil', { as: Buffer.from('..\\evil') }), /leads out/, 'zip'],
    ['zip absolute', await forgedZip('aa/evil', { as: Buffer.from('/a/evil') }), /absolute name/, 'zip'],
    ['zip drive', await forgedZip('aa/evil', { as: Buffer.from('C:/evil') }), /absolute name/, 'zip'],
    ['zip NUL', await forgedZip('aa/evil', { as: Buffer.from('aa/e\0il') }), /NUL/, 'zip'],
    ['zip not UTF-8', await forgedZip('aa/évil', { as: Buffer.from('aa/\xff\xfeil', 'latin1') }), /not valid UTF-8/, 'zip'],
    ['zip device', await forgedZip('aa/evil', { mode: 0o060644 }), /special file/, 'zip'],
    ['zip empty', Buffer.alloc(0), /cannot be unpacked/, 'zip'],
  ];
  const before = await readdir(tmpdir());
  for (const [name, bundle, expected, type = 'tar'] of hostile) {
    await assert.rejects(unpacked(bundle, type as 'tar'), expected, name);
    assert.deepEqual(await readdir(join(directory, `archive-${count}`)), [], name);
  }
  assert.ok(!(await readdir(tmpdir())).some((name) => name === 'penstock-evil' && !before.includes(name)));
  await assert.rejects(stat(join(directory, 'evil')), { code: 'ENOENT' });
});

test('a tar name that is not UTF-8 is refused, and below a root an absolute link is', async () => {
  const tar = await tarOf({ ...APPSPEC, 'name-XY': 'x' });
  const at = tar.indexOf('name-XY');
  tar.writeUInt16BE(0xfffe, at + 5);
  // The header's checksum is the sum of its bytes, its own field counted as blanks.
  const header = tar.subarray(at, at + 512);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await assert.rejects(unpacked(tar), /not valid UTF-8/);

  const link = await tarOf({ ...APPSPEC, python: { link: '/usr/bin/python3' } });
  await assert.rejects(unpacked(link, 'tar', { ...OPTIONS, absoluteLinks: false }), /outside of the bundle/);
});

test('a zip symbolic link becomes one, and set-user-id bits are dropped', async () => {
  const zip = await forgedZip('aa/link', { mode: 0o120777 });
  const archive = await unpacked(zip, 'zip');
  assert.equal((await treeOf(archive))['aa/link'], '-> evil');
  const set = await unpacked(await tarOf({ ...APPSPEC, su: { mode: 0o4755, text: '' } }));
  assert.equal(await modeOf(join(set, 'su')), '755');
});

test('a single file of 100 MB goes through', async () => {
  const size = 100 * 1024 * 1024;
  const archive = await unpacked(await zipOf({ ...APPSPEC, 'big.bin': Buffer.alloc(size) }), 'zip');
  assert.equal((await stat(join(archive, 'big.bin'))).size, size);
});
