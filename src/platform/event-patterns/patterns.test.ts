import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePattern, PatternError } from './patterns.ts';

const push = {
  source: 'aws.codecommit',
  'detail-type': 'CodeCommit Repository State Change',
  resources: ['arn:aws:codecommit:us-east-1:123456789012:web', 'second'],
  detail: {
    event: 'referenceUpdated',
    referenceName: 'main',
    count: 7,
    ok: true,
    nothing: null,
    ip: '10.1.2.3',
    empty: [],
    list: [
      { kind: 'a', size: 1 },
      { kind: 'b', size: 9 },
    ],
  },
};

const matching: [name: string, pattern: unknown][] = [
  ['a text', { source: ['aws.codecommit'] }],
  ['one element of a list', { resources: ['second'] }],
  ['nested fields', { detail: { event: ['referenceCreated', 'referenceUpdated'], referenceName: ['main'] } }],
  ['a number, a boolean and null', { detail: { count: [7], ok: [true], nothing: [null] } }],
  ['prefix', { detail: { referenceName: [{ prefix: 'ma' }] } }],
  ['prefix in any case', { detail: { referenceName: [{ prefix: { 'equals-ignore-case': 'MA' } }] } }],
  ['suffix', { resources: [{ suffix: ':web' }] }],
  ['any case', { detail: { referenceName: [{ 'equals-ignore-case': 'MAIN' }] } }],
  ['wildcard', { resources: [{ wildcard: 'arn:*:web' }] }],
  ['anything but a text', { detail: { referenceName: [{ 'anything-but': 'dev' }] } }],
  ['anything but texts', { detail: { referenceName: [{ 'anything-but': ['dev', 'test'] }] } }],
  ['anything but a prefix', { detail: { referenceName: [{ 'anything-but': { prefix: 'feature/' } }] } }],
  ['anything but wildcards', { detail: { referenceName: [{ 'anything-but': { wildcard: ['feature/*', 'x*'] } }] } }],
  ['a range', { detail: { count: [{ numeric: ['>', 0, '<=', 7] }] } }],
  ['an address range', { detail: { ip: [{ cidr: '10.0.0.0/8' }] } }],
  ['a field that is there', { detail: { event: [{ exists: true }] } }],
  ['a field that is not there', { detail: { missing: [{ exists: false }] } }],
  ['an empty list is not there', { detail: { empty: [{ exists: false }] } }],
  ['either of two', { $or: [{ source: ['x'] }, { detail: { count: [{ numeric: ['=', 7] }] } }] }],
  ['one object of a list', { detail: { list: { kind: ['b'], size: [9] } } }],
];

const failing: [name: string, pattern: unknown][] = [
  ['another text', { source: ['aws.codebuild'] }],
  ['case matters', { source: ['AWS.codecommit'] }],
  ['a number is not its text', { detail: { count: ['7'] } }],
  ['anything but this', { detail: { referenceName: [{ 'anything-but': ['main', 'dev'] }] } }],
  ['out of range', { detail: { count: [{ numeric: ['>', 7] }] } }],
  ['another network', { detail: { ip: [{ cidr: '10.2.0.0/16' }] } }],
  ['not an address', { detail: { event: [{ cidr: '10.0.0.0/8' }] } }],
  ['a missing field', { detail: { missing: [{ 'anything-but': 'x' }] } }],
  ['all fields must match', { source: ['aws.codecommit'], detail: { event: ['x'] } }],
  ['fields of different objects of a list', { detail: { list: { kind: ['a'], size: [9] } } }],
  ['wildcard at the wrong end', { resources: [{ wildcard: 'arn:*:webs' }] }],
];

const broken: [name: string, text: string][] = [
  ['no JSON', '{'],
  ['no object', '[]'],
  ['an empty object', '{}'],
  ['a value that is no list', '{"source":"aws.codecommit"}'],
  ['an empty list', '{"source":[]}'],
  ['a list in a list', '{"source":[["x"]]}'],
  ['an unknown operator', '{"source":[{"like":"x"}]}'],
  ['two operators in one', '{"source":[{"prefix":"x","suffix":"y"}]}'],
  ['exists without a boolean', '{"source":[{"exists":"yes"}]}'],
  ['a numeric text', '{"a":[{"numeric":[">","1"]}]}'],
  ['a bad network', '{"a":[{"cidr":"10.0.0.0"}]}'],
  ['neighbouring stars', '{"a":[{"wildcard":"x**y"}]}'],
  ['mixed anything-but', '{"a":[{"anything-but":["x",1]}]}'],
];

describe('event patterns', () => {
  for (const [name, pattern] of matching) test(`match ${name}`, () => assert.equal(compilePattern(JSON.stringify(pattern))(push), true));
  for (const [name, pattern] of failing)
    test(`do not match: ${name}`, () => assert.equal(compilePattern(JSON.stringify(pattern))(push), false));
  for (const [name, text] of broken) test(`refuse ${name}`, () => assert.throws(() => compilePattern(text), PatternError));

  test('a wildcard with many stars is matched in linear time', () => {
    const pattern = JSON.stringify({ a: [{ wildcard: `${'a*'.repeat(2000)}b` }] });
    assert.equal(compilePattern(pattern)({ a: 'a'.repeat(200_000) }), false);
  });
  test('nesting and $or are bounded', () => {
    const deep = `${'{"a":'.repeat(60)}["x"]${'}'.repeat(60)}`;
    assert.throws(() => compilePattern(deep), PatternError);
    const branches = { $or: Array.from({ length: 40 }, (_, at) => ({ [`f${at}`]: ['x'] })) };
    assert.throws(() => compilePattern(JSON.stringify({ a: branches, b: branches })), PatternError);
  });
});
