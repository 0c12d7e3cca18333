import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePattern } from './pattern.ts';
import { PatternError } from './pattern-error.ts';

function matching(pattern: string, messages: string[]): string[] {
  const matches = compilePattern(pattern);
  return messages.filter((message) => !matches || matches(message));
}

describe('terms', () => {
  const lines = ['[ERROR 400] BAD REQUEST', '[ERROR 401] UNAUTHORIZED REQUEST', '[WARN] slow', 'all is well: 100% "done"'];
  const cases: [pattern: string, indexes: number[]][] = [
    ['', [0, 1, 2, 3]],
    ['  ', [0, 1, 2, 3]],
    ['ERROR', [0, 1]],
    ['error', []],
    ['ERROR REQUEST', [0, 1]],
    ['REQUEST -UNAUTHORIZED', [0]],
    ['-ERROR', [2, 3]],
    ['?BAD ?WARN', [0, 2]],
    ['?BAD ?WARN ERROR', [0, 1]],
    ['"BAD REQUEST"', [0]],
    ['-"BAD REQUEST" REQUEST', [1]],
    ['"\\"done\\""', [3]],
    ['%40[01]\\]%', [0, 1]],
    ['%^.WARN%', [2]],
    ['-%[A-Z]{4}%', [3]],
    ['?%slow$% ?well', [2, 3]],
  ];
  for (const [pattern, indexes] of cases) {
    test(JSON.stringify(pattern), () =>
      assert.deepEqual(
        matching(pattern, lines),
        indexes.map((index) => lines[index]),
      ),
    );
  }
});

describe('JSON', () => {
  const event = {
    eventType: 'UpdateTrail',
    sourceIPAddress: '111.111.111.111',
    arrayKey: ['value', 'another value'],
    objectList: [
      { name: 'a', id: 1 },
      { name: 'b', id: 2 },
    ],
    someObject: null,
    ok: true,
    size: 12.5,
    text: '12',
    nested: { 'a-b': { c: 'x' } },
  };
  const cases: [pattern: string, matches: boolean][] = [
    ['{ $.eventType = "UpdateTrail" }', true],
    ['{ $.eventType = UpdateTrail }', true],
    ['{ $.eventType = "Update*" }', true],
    ['{ $.eventType = "*date*ail" }', true],
    ['{ $.eventType = "*ail*date" }', false],
    ['{ $.eventType != "UpdateTrail" }', false],
    ['{ $.sourceIPAddress != 123.123.* }', true],
    ['{ $.sourceIPAddress = %^111\\.% }', true],
    ['{ $.arrayKey[0] = "value" }', true],
    ['{ $.arrayKey[1] = "value" }', false],
    ['{ $.arrayKey[*] = "another value" }', true],
    ['{ $.objectList[1].id = 2 }', true],
    ['{ $.objectList[*].name = "b" }', true],
    ['{ $.size > 12 && $.size <= 12.5 }', true],
    ['{ $.size > 13 || $.ok IS TRUE }', true],
    ['{ $.size < 1.25e1 }', false],
    ['{ $.text = 12 }', true],
    ['{ $.someObject IS NULL }', true],
    ['{ $.missing IS NULL }', false],
    ['{ $.missing NOT EXISTS }', true],
    ['{ $.ok NOT EXISTS }', false],
    ['{ $.ok IS FALSE }', false],
    ['{ ($.eventType = "x" || $.ok IS TRUE) && $.size = 12.5 }', true],
    ['{ $.eventType = "x" || $.ok IS TRUE && $.size = 1 }', false],
    ['{ $.nested.a-b.c = "x" }', true],
    ["{ $['nested']['a-b'].c = x }", true],
    ['{ $.nested.*.c = x }', true],
    ['{ $.constructor EXISTS }', false],
  ];
  for (const [pattern, matches] of cases) {
    test(pattern, () => assert.equal(matching(pattern, [JSON.stringify(event)]).length === 1, matches));
  }

  test('what is no JSON object never matches', () => {
    assert.deepEqual(matching('{ $.a NOT EXISTS }', ['plain', '{"broken', '12', 'null', '']), []);
    assert.deepEqual(matching('{ $.[0] = 1 }'.replace('.[', '['), ['[1]', '[2]']), ['[1]']);
  });
});

describe('fields', () => {
  const line = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534';
  const cases: [pattern: string, matches: boolean][] = [
    ['[ip, user, username, timestamp, request, status_code, bytes]', true],
    ['[ip, user, username, timestamp, request, status_code]', false],
    ['[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes]', true],
    ['[ip, user, username, timestamp, request, status_code = 4*, bytes > 1000]', true],
    ['[ip, user, username, timestamp, request, status_code, bytes > 2000]', false],
    ['[..., status_code = 404, bytes]', true],
    ['[ip = %^127%, ...]', true],
    ['[ip, ..., bytes < 1000]', false],
    ['[ip, user, username != frank, ...]', false],
    ['[ip, user = Dev || user = Prod, ...]', true],
    ['[ip, user, ..., status_code = 404 && status_code != 405, bytes]', true],
    ['[, , , , , , ]', true],
    ['[]', false],
  ];
  for (const [pattern, matches] of cases) test(pattern, () => assert.equal(matching(pattern, [line]).length === 1, matches));
});

describe('what AWS refuses', () => {
  const refused = [
    'a:b',
    '"open',
    '%open',
    '%(%',
    '-',
    '?',
    '{ }',
    '{ $.a }',
    '{ a = 1 }',
    '{ $.a = }',
    '{ $.a = 1',
    '{ $.a = 1 } x',
    '{ $.a IS odd }',
    '{ $.a > text }',
    '{ $ = 1 }',
    '{ $.a..b = 1 }',
    '[a, ..., ...]',
    '[a=]',
    '[a=1 && b=2]',
    '[a',
    '[a = (]',
    `{ ${'('.repeat(1000)}$.a = 1${')'.repeat(1000)} }`,
  ];
  for (const pattern of refused) test(pattern.slice(0, 40), () => assert.throws(() => compilePattern(pattern), PatternError));
});

test('hostile patterns and messages cost no more than their length', () => {
  const message = 'a'.repeat(200_000);
  assert.deepEqual(matching('%(a+)+b%', [message]), []);
  assert.deepEqual(matching(`{ $.a = "${'*a'.repeat(300)}b" }`, [JSON.stringify({ a: message })]), []);
  assert.deepEqual(matching('[a, ..., z = x]', [`${'"'.repeat(1000)}${' ['.repeat(300_000)}`]), []);
});
