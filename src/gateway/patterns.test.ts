import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel, modelNames } from '../platform/model.ts';
import { wholeStringMatcher } from './patterns.ts';

const CASES: [pattern: string, matching: string[], other: string[]][] = [
  ['[\\w\\.-]+', ['My.repo-1_x'], ['', 'a b', 'ü', 'a\n']],
  ['[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*', ['', 'Größe 1/2', 'ключ@x-y'], ['a#b']],
  ['[a-zA-Z0-9-_]+', ['a-_9'], ['a.b']],
  ["^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$", ['x-header', 'a,b'], ['a b']],
  ['(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)', ['/', '/a/b/'], ['a', '/a', '']],
  ['^(?!\\s*$).+', ['a', ' a '], ['', '   ']],
  [
    '[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+',
    ['arn:aws:iam::aws:policy/x', '😀'],
    ['\u0000'],
  ],
  ['arn:aws(-[\\w]+)*:codepipeline:.+:[0-9]{12}:.+', ['arn:aws:codepipeline:us-east-1:123456789012:p'], ['arn:aws:codepipeline:x', '']],
  ['AWS|ThirdParty', ['AWS', 'ThirdParty'], ['AWSx', 'xThirdParty']],
  ['[^:*]*', ['a/b', ''], ['a:b', '*']],
  ['.*', ['', 'abc'], ['a\nb']],
  ['^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$', ['our-team', 'abc'], ['a--b', '-ab', 'ab-']],
];

for (const [pattern, matching, other] of CASES) {
  test(`${pattern} is matched on the whole string`, () => {
    const matches = wholeStringMatcher(pattern);
    for (const text of matching) assert.equal(matches(text), true, JSON.stringify(text));
    for (const text of other) assert.equal(matches(text), false, JSON.stringify(text));
  });
}

test('every pattern of every model compiles and answers hostile text', () => {
  const hostile = ['-', ' ', '/', 'a', 'a ', 'arn:aws:', '.a', '-a', '\t!'].map((part) => `${part.repeat(60_000 / part.length)}\u0001`);
  for (const service of modelNames()) {
    for (const { pattern } of Object.values(loadModel(service).shapes)) {
      if (pattern === undefined) continue;
      const matches = wholeStringMatcher(pattern);
      for (const text of hostile) assert.equal(typeof matches(text), 'boolean');
    }
  }
});

test('a pattern that explodes in a backtracking engine does not explode here', () => {
  assert.equal(wholeStringMatcher('(a+)+b')(`${'a'.repeat(50_000)}c`), false);
  assert.equal(wholeStringMatcher('(\\w|\\d)*-(x*)*')(`${'1'.repeat(50_000)}!`), false);
});
