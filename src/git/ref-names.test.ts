import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { describeRef, isPushable, isWellFormed, parentNames } from './ref-names.ts';

const names = [
  'refs/heads/main',
  'refs/heads/feature/a.b-c_d',
  'refs/heads/ä',
  'refs/heads/a@b',
  'refs/heads/@',
  'refs/heads/-x',
  'refs/heads/a{b',
  'refs/heads/x.lock/y',
  'refs/heads/x.lock',
  'refs/heads/.x',
  'refs/heads/x.',
  'refs/heads/x/.y',
  'refs/heads//x',
  'refs/heads/x/',
  'refs/heads/a..b',
  'refs/heads/a b',
  'refs/heads/a~b',
  'refs/heads/a^b',
  'refs/heads/a:b',
  'refs/heads/a?b',
  'refs/heads/a*b',
  'refs/heads/a[b',
  'refs/heads/a\\b',
  'refs/heads/a@{b',
  'refs/heads/a\u007f',
  'refs/heads/a\tb',
  'refs/heads/a\nb',
  '/refs/heads/x',
  'HEAD',
  'refs',
  '',
];

test('names are judged as git check-ref-format judges them', () => {
  for (const name of names) {
    let expected = true;
    try {
      execFileSync('git', ['check-ref-format', name], { stdio: 'ignore' });
    } catch {
      expected = false;
    }
    assert.equal(isWellFormed(name), expected, JSON.stringify(name));
  }
});

test('only real references below refs/ can be pushed', () => {
  for (const name of ['refs/heads/main', 'refs/tags/v1', 'refs/notes/commits', 'refs/for/main', `refs/heads/${'ä'.repeat(256)}`])
    assert.ok(isPushable(name), name);
  for (const name of [
    'HEAD',
    'refs/x',
    'heads/main',
    'config',
    'refs/heads/../../config',
    '../refs/heads/x',
    `refs/heads/${'x'.repeat(257)}`,
    `refs/tags/${'x'.repeat(1000)}`,
  ]) {
    assert.equal(isPushable(name), false, name);
  }
  assert.equal(isPushable(`refs/heads/${Buffer.from([0xff, 0xfe]).toString()}`), false, 'not UTF-8');
});

test('a reference has a type, a short name and folders', () => {
  assert.deepEqual(describeRef('refs/heads/a/b'), { type: 'branch', shortName: 'a/b' });
  assert.deepEqual(describeRef('refs/tags/v1'), { type: 'tag', shortName: 'v1' });
  assert.deepEqual(parentNames('refs/heads/a/b/c'), ['refs/heads/a', 'refs/heads/a/b']);
  assert.deepEqual(parentNames('refs/heads/a'), []);
});
