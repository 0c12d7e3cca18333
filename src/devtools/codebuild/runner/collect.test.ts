import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { newMachine } from '../../../../test/support/machine.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { packSelected, selectFiles } from './collect.ts';
import { tarsToZip } from './zip.ts';

let machine: Machine;
let source: string;

before(async () => {
  machine = await newMachine();
  source = path.join(machine.workdir, 'src');
  for (const file of [
    'a.txt',
    'dist/app.js',
    'dist/app.js.map',
    'dist/lib/.hidden',
    'dist/lib/deep.js',
    'odd \n name',
    '-dash',
    'quote\'"$x',
  ]) {
    mkdirSync(path.dirname(path.join(source, file)), { recursive: true });
    writeFileSync(path.join(source, file), `content of ${file}`);
  }
  symlinkSync('a.txt', path.join(source, 'inside'));
  symlinkSync('/etc/passwd', path.join(source, 'outside'));
  symlinkSync('../../../../etc', path.join(source, 'dir-outside'));
  symlinkSync('nowhere', path.join(source, 'broken'));
});
after(() => machine.remove());

const select = (files: string[], more: { exclude?: string[]; keepLinks?: boolean; base?: string } = {}) =>
  selectFiles(machine, more.base ?? source, {
    files,
    exclude: more.exclude ?? [],
    keepLinks: more.keepLinks ?? false,
    sourceDirectory: source,
  });

test('**/* takes every file below, dot files and odd names too, and no link that leads out', async () => {
  const selection = await select(['**/*']);
  assert.deepEqual(selection?.files, [
    '-dash',
    'a.txt',
    'dist/app.js',
    'dist/app.js.map',
    'dist/lib/.hidden',
    'dist/lib/deep.js',
    'inside',
    'odd \n name',
    'quote\'"$x',
  ]);
  assert.deepEqual(selection?.skippedLinks.sort(), ['broken', 'dir-outside', 'outside']);
});

test('single files, one level, excludes, and patterns that match nothing', async () => {
  assert.deepEqual((await select(['a.txt', './dist/*', 'missing.jar']))?.files, ['a.txt', 'dist/app.js', 'dist/app.js.map']);
  assert.deepEqual((await select(['a.txt', 'missing.jar', 'dist']))?.unmatched, ['missing.jar', 'dist']);
  assert.deepEqual((await select(['dist/**/*'], { exclude: ['**/*.map', 'dist/lib/**/*'] }))?.files, ['dist/app.js']);
  assert.equal(await select(['**/*'], { base: `${source}/no-such` }), undefined);
});

test('names that a zip cannot hold are left out and told', async () => {
  const directory = Buffer.from(`${source}/odd-names/`);
  mkdirSync(`${source}/odd-names`);
  writeFileSync(Buffer.concat([directory, Buffer.from([0x62, 0xff, 0x64])]), 'x');
  writeFileSync(`${source}/odd-names/größe`, 'x');
  writeFileSync(`${source}/odd-names/..\\..\\up`, 'x');
  const selection = await select(['**/*'], { base: `${source}/odd-names` });
  assert.deepEqual(selection?.files, ['größe']);
  assert.deepEqual(selection?.skippedNames.sort(), ['..\\..\\up', 'b\ufffdd']);
  assert.deepEqual((await select(['gr*e'], { base: `${source}/odd-names` }))?.files, ['größe']);
  rmSync(`${source}/odd-names`, { recursive: true });
});

test('paths that climb out match nothing', async () => {
  assert.deepEqual((await select(['../**/*', '/etc/passwd', 'dir-outside/passwd']))?.files, []);
});

test('the zip has the files, renamed, with digests of the bytes on disk', async () => {
  const selection = await select(['**/*.js', 'inside', 'odd*']);
  const target = path.join(machine.workdir, 'out.zip');
  const digest = await tarsToZip([packSelected(machine, selection!, { keepLinks: false })], target, (name) => path.basename(name));
  assert.equal(digest.sha256, createHash('sha256').update(readFileSync(target)).digest('hex'));
  assert.equal(digest.size, readFileSync(target).length);
  const listing = execFileSync('python3', [
    '-c',
    'import zipfile,sys,json; z=zipfile.ZipFile(sys.argv[1]); print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))',
    target,
  ]);
  assert.deepEqual(JSON.parse(listing.toString()), {
    'app.js': 'content of dist/app.js',
    'deep.js': 'content of dist/lib/deep.js',
    inside: 'content of a.txt',
    'odd \n name': 'content of odd \n name',
  });
});

test('with links kept they are stored as links', async () => {
  const selection = await select(['inside', 'outside'], { keepLinks: true });
  const target = path.join(machine.workdir, 'links.zip');
  await tarsToZip([packSelected(machine, selection!, { keepLinks: true })], target, (name) => name);
  const listing = execFileSync('python3', [
    '-c',
    'import zipfile,sys; z=zipfile.ZipFile(sys.argv[1]); print([(i.filename, oct(i.external_attr >> 16), z.read(i).decode()) for i in z.infolist()])',
    target,
  ]);
  assert.equal(listing.toString().trim(), "[('inside', '0o120777', 'a.txt'), ('outside', '0o120777', '/etc/passwd')]");
});

test('a tar that fails fails the zip', async () => {
  const tar = packSelected(machine, { baseDirectory: source, files: ['no-such-file'] }, { keepLinks: false });
  await assert.rejects(
    tarsToZip([tar], path.join(machine.workdir, 'bad.zip'), (name) => name),
    /tar failed/,
  );
});
