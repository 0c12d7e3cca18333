import assert from 'node:assert/strict';
import { test } from 'node:test';
import picomatch from 'picomatch';
import { globMatcher } from './glob.ts';

const PATHS = [
  'a',
  'b',
  'ab',
  'a.js',
  'b.ts',
  '.dot',
  'a/b',
  'a/b.js',
  'a/.b/c.js',
  'a/b/c/d.txt',
  'dir one/x y.js',
  '-dash',
  'a+b(c).js',
  'a[1].js',
  '{x}',
  'x.{js}',
  'größe/日本.txt',
  'src/main/java/App.java',
  'target/classes/App.class',
  'out/a.min.js',
  'out/a.js.map',
  'a,b',
  '$x',
  'a|b',
  'node_modules/x/index.js',
];
const PATTERNS = [
  '*',
  '**',
  '**/*',
  '*.js',
  '**/*.js',
  'a/**',
  'a/**/*',
  'a/*',
  '**/b/**',
  '**/a',
  '?',
  '??',
  'a/?.js',
  '[ab]',
  '[^a]',
  '[a-b].?s',
  '*.{js,ts}',
  '{a,b}/*',
  '**/{c,x}*/**',
  'src/**/*.java',
  '{src,target}/**',
  '**/*.min.*',
  '*+*',
  '*(c)*',
  'dir*/*',
  '**/.b/*',
  '.*',
  'größe/*',
  '**/*本*',
  '{a}',
  'a\\*',
  'target/*/App.*',
];

test('means what picomatch means by the same pattern', () => {
  for (const pattern of PATTERNS) {
    const expected = picomatch(pattern, { dot: true, noextglob: true, strictSlashes: true });
    const matches = globMatcher(pattern);
    for (const path of PATHS) assert.equal(matches(path), path === pattern || expected(path), `${pattern} and ${JSON.stringify(path)}`);
  }
});

test('names that look like patterns, and patterns that are none', () => {
  assert.ok(globMatcher('./a//b.js')('a/b.js'));
  assert.ok(globMatcher('a[1].js')('a[1].js'), 'a file of just that name');
  assert.ok(globMatcher('x{js')('x{js'));
  assert.ok(globMatcher('[')('['));
  assert.deepEqual(['[z-a]', 'm'].map(globMatcher('[z-a]')), [true, false]);
  assert.ok(globMatcher('**/{a,{b,c}/d}.txt')('x/c/d.txt'));
  assert.ok(!globMatcher('a.js')('abjs'));
  assert.deepEqual(['a', 'b', '/'].map(globMatcher('[!a]')), [false, true, false]);
  assert.ok(globMatcher('\\{a,b\\}')('{a,b}'));
});

test('no pattern takes long, whatever the names', () => {
  const name = 'a'.repeat(250);
  for (const pattern of [
    '*a*a*a*a*a*a*a*a*a*a*b',
    '?*?*?*?*?*?*?*?*b',
    '{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}*b',
    '{*a,*a}*{*a,*a}*{*a,*a}*b',
  ])
    assert.equal(globMatcher(pattern)(name), false);
  assert.equal(globMatcher('**/a/**/a/**/a/**/a/**/a/**/b')('a/'.repeat(1000)), false);
});
