import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compilePattern } from './pattern.ts';

const values: Record<string, string | string[]> = {
  'aws:username': 'alice',
  'aws:star': '*',
  'aws:list': ['a'],
  'aws:principaltag/team': 'blue',
};
const resolve = (key: string) => values[key];
const like = (pattern: string, text: string, options = {}) =>
  compilePattern(pattern, { wildcards: true, variables: true, ...options }).matches(text, resolve);

describe('patterns of policies', () => {
  it('know * and ?', () => {
    for (const [pattern, text] of [
      ['*', ''],
      ['*', 'anything:at/all'],
      ['a*', 'a'],
      ['a*c', 'abbc'],
      ['a?c', 'abc'],
      ['*a*b*', 'xxaxxbxx'],
      ['**a', 'xa'],
      ['a.c', 'a.c'],
      ['*aab', 'aaaab'],
    ]) {
      assert.ok(like(pattern!, text!), `${pattern} ~ ${text}`);
    }
    for (const [pattern, text] of [
      ['', 'a'],
      ['a', 'A'],
      ['a?c', 'ac'],
      ['a*c', 'abcd'],
      ['a.c', 'abc'],
      ['?', ''],
      ['*a', 'ab'],
    ]) {
      assert.ok(!like(pattern!, text!), `${pattern} !~ ${text}`);
    }
    assert.ok(!like('a*', 'abc', { wildcards: false }));
    assert.ok(like('a*', 'a*', { wildcards: false }));
    assert.ok(like('ABC*', 'abcd', { ignoreCase: true }));
  });

  it('replace variables by text, with defaults', () => {
    assert.ok(like('home/${aws:username}/*', 'home/alice/x'));
    assert.ok(like('home/${AWS:UserName}', 'home/alice'));
    assert.ok(like('${aws:PrincipalTag/team}-*', 'blue-1'));
    assert.ok(like("${aws:PrincipalTag/none, 'company wide'}", 'company wide'));
    assert.ok(like("${aws:username, 'x'}", 'alice'));
    assert.ok(like('a${*}b${?}${$}', 'a*b?$'));
    assert.ok(!like('a${*}b', 'axb'));
    assert.ok(!like('home/${aws:star}', 'home/bob'), 'a value is no pattern');
    assert.ok(!like('home/${aws:none}', 'home/'));
    assert.ok(!like('home/${aws:list}', 'home/a'), 'a list is no text');
    assert.ok(like('${aws:username}', '${aws:username}', { variables: false }));
    assert.ok(like('a${b', 'a${b'));
  });

  it('stay quick on hostile patterns', () => {
    assert.ok(!like('*a'.repeat(500), 'a'.repeat(499)));
    assert.ok(!like(`${'*a'.repeat(300)}b`, 'a'.repeat(2000)));
  });
});
