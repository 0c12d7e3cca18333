import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostTools } from './host-tools.ts';

const place = mkdtempSync(path.join(tmpdir(), 'penstock-tools-'));
const before_ = process.env.PATH;
const folder = (...parts: string[]): string => {
  const made = path.join(place, ...parts);
  mkdirSync(made, { recursive: true });
  return made;
};

before(() => {
  const manager = folder('manager', 'shims');
  const secretive = folder('secretive', 'bin');
  writeFileSync(path.join(place, 'secretive', 'credentials.toml'), 'token');
  chmodSync(path.join(place, 'secretive', 'credentials.toml'), 0o600);
  const plain = folder('scripts');
  const besideData = folder('local', 'bin');
  folder('local', 'data');
  process.env.PATH = [manager, secretive, plain, besideData, path.join(place, 'missing'), 'relative', '/usr/bin'].join(':');
});
after(() => {
  process.env.PATH = before_;
  rmSync(place, { recursive: true });
});

describe('the tools that builds see', () => {
  test('a version manager is shown whole, a folder beside credentials or the data directory alone', () => {
    const { mounts } = hostTools(path.join(place, 'local', 'data'));
    const shown = mounts.map(({ source }) => source).filter((source) => source.startsWith(place));
    assert.deepEqual(
      shown.sort(),
      ['local/bin', 'manager', 'scripts', 'secretive/bin'].map((name) => path.join(place, name)),
    );
    assert.ok(mounts.every(({ readOnly, source, target }) => readOnly && source === target));
  });

  test('the order of PATH stays, without what is not there, and Node comes last', () => {
    const { path: found } = hostTools(path.join(place, 'other-data'));
    const folders = found.split(':');
    assert.equal(folders[0], path.join(place, 'manager', 'shims'));
    assert.ok(folders.includes('/usr/bin'));
    assert.ok(!found.includes('missing') && !folders.includes('relative'));
    assert.equal(folders.at(-1), path.dirname(process.execPath));
  });

  test('a home is never shown', () => {
    const { mounts } = hostTools(path.join(place, 'third-data'));
    assert.ok(mounts.every(({ source }) => !`${homedir()}/`.startsWith(`${source}/`)));
  });
});
