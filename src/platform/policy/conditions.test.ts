import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileCondition } from './conditions.ts';

/** `operator value(s)` against the request's value(s) of key `k`. */
function holds(operator: string, wanted: string | string[], given: string | string[] | undefined): boolean {
  const condition = compileCondition(operator, 'K', [wanted].flat(), true);
  assert.ok(condition, `${operator} ${wanted}`);
  return condition((key) => (key === 'k' ? given : key === 'aws:username' ? 'alice' : undefined));
}

describe('condition operators', () => {
  const table: [
    operator: string,
    wanted: string | string[],
    yes: (string | string[] | undefined)[],
    no: (string | string[] | undefined)[],
  ][] = [
    ['StringEquals', ['a', 'b'], ['a', 'b', ['x', 'a']], ['A', 'c', '', undefined, []]],
    ['StringEquals', '${aws:username}', ['alice'], ['bob']],
    ['StringEquals', 'a*', ['a*'], ['ab']],
    ['StringNotEquals', ['a', 'b'], ['c', 'A', undefined], ['a', 'b', ['c', 'a']]],
    ['StringEqualsIgnoreCase', 'aB', ['Ab'], ['a']],
    ['StringNotEqualsIgnoreCase', 'aB', ['a', undefined], ['AB']],
    ['StringLike', ['refs/heads/*', 'x?'], ['refs/heads/main', 'xy'], ['refs/tags/v', 'x', undefined]],
    ['StringNotLike', 'refs/heads/*', ['refs/tags/v', undefined], ['refs/heads/main']],
    ['StringLikeIfExists', 'a*', ['ab', undefined], ['b']],
    ['NumericEquals', '5', ['5', '5.0'], ['6', 'x', undefined]],
    ['NumericNotEquals', '5', ['6', undefined], ['5']],
    ['NumericLessThan', '5', ['4.9', '-1'], ['5']],
    ['NumericLessThanEquals', '5', ['5'], ['5.1']],
    ['NumericGreaterThan', '5', ['6'], ['5']],
    ['NumericGreaterThanEquals', '5', ['5'], ['4']],
    ['DateEquals', '2026-01-01T00:00:00Z', ['2026-01-01', '1767225600'], ['2026-01-02']],
    ['DateNotEquals', '2026-01-01T00:00:00Z', ['2026-01-02', undefined], ['2026-01-01T00:00:00Z']],
    ['DateLessThan', '2026-01-01T00:00:00Z', ['2025-12-31T23:59:59Z'], ['2026-01-01T00:00:00Z', undefined]],
    ['DateLessThanEquals', '1767225600', ['2026-01-01T00:00:00Z'], ['2026-01-01T00:00:01Z']],
    ['DateGreaterThan', '2026-01-01', ['2026-01-01T00:00:01Z'], ['2026-01-01', 'junk']],
    ['DateGreaterThanEquals', '2026-01-01', ['2026-01-01T00:00:00Z'], ['2025-12-31']],
    ['Bool', 'true', ['true', 'TRUE'], ['false', undefined]],
    ['BoolIfExists', 'true', ['true', undefined], ['false']],
    ['BinaryEquals', 'QmlpbmFyeQ==', ['QmlpbmFyeQ=='], ['QmlpbmFyeB==', undefined]],
    [
      'IpAddress',
      ['203.0.113.0/24', '10.1.2.3'],
      ['203.0.113.7', '10.1.2.3', '::ffff:10.1.2.3'],
      ['203.0.114.1', '10.1.2.4', 'junk', '::1'],
    ],
    ['IpAddress', '2001:DB8:1234:5678::/64', ['2001:db8:1234:5678::1'], ['2001:db8:1234:5679::1', '10.0.0.1']],
    ['IpAddress', '10.128.0.0/9', ['10.200.0.1'], ['10.127.0.1']],
    ['IpAddress', '0.0.0.0/0', ['1.2.3.4'], ['::1']],
    ['NotIpAddress', '10.0.0.0/8', ['11.0.0.1', undefined], ['10.0.0.1']],
    ['ArnEquals', 'arn:aws:sns:*:123456789012:t*', ['arn:aws:sns:eu-west-1:123456789012:topic:x'], ['arn:aws:sns:eu-west-1:1:t', 'x']],
    ['ArnLike', 'arn:aws:s3:::*', ['arn:aws:s3:::b/k'], ['arn:aws:s3:x::b']],
    ['ArnLike', 'arn:aws:*:x', ['arn:aws:a:b:c:x'], ['arn:aws:a:b:c:y']],
    ['ArnNotEquals', 'arn:aws:sns:*:1:t', ['arn:aws:sns:r:2:t', undefined], ['arn:aws:sns:r:1:t']],
    ['ArnNotLike', 'arn:aws:sns:*:1:t*', ['arn:aws:sns:r:1:x'], ['arn:aws:sns:r:1:tt']],
    ['Null', 'true', [undefined, []], ['x', '', ['a']]],
    ['Null', 'false', ['x', ['a']], [undefined]],
    ['ForAnyValue:StringEquals', ['a', 'b'], [['x', 'a'], 'a'], [['x'], undefined, []]],
    ['ForAllValues:StringEquals', ['a', 'b'], [['a', 'b'], ['a'], undefined, []], [['a', 'x']]],
    ['ForAnyValue:StringNotEquals', ['a'], [['a', 'x']], [['a'], undefined]],
    ['ForAllValues:StringNotLike', ['a*'], [['b', 'c'], undefined], [['b', 'ab']]],
    ['ForAnyValue:StringLikeIfExists', ['a*'], [['ab'], undefined], [['b']]],
    ['forallvalues:stringlike', ['a*'], [['ab']], [['b']]],
  ];
  for (const [operator, wanted, yes, no] of table) {
    it(`${operator} ${wanted}`, () => {
      for (const given of yes) assert.equal(holds(operator, wanted, given), true, `should hold for ${given}`);
      for (const given of no) assert.equal(holds(operator, wanted, given), false, `should not hold for ${given}`);
    });
  }

  it('are refused when unknown, or with values of another type', () => {
    const bad: [string, string][] = [
      ['StringIs', 'a'],
      ['Sometimes:StringEquals', 'a'],
      ['ForAnyValue:Null', 'true'],
      ['NumericEquals', 'x'],
      ['DateEquals', 'soon'],
      ['Bool', 'yes'],
      ['Null', 'maybe'],
      ['IpAddress', '10.0.0.0/33'],
      ['IpAddress', '10.0.0.0/8/9'],
      ['IpAddress', 'localhost'],
      ['ArnEquals', 'topic'],
      ['BinaryEquals', '!'],
    ];
    for (const [operator, value] of bad) assert.equal(compileCondition(operator, 'k', [value], true), undefined, `${operator} ${value}`);
  });
});
