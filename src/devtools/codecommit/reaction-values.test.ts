import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reactionNamed, readReaction } from './reaction-values.ts';

test('a reaction is read in each of its forms', () => {
  const cases: [string, string[]][] = [
    ['THUMBSUP', ['👍', ':thumbsup:', 'thumbsup', 'THUMBSUP', 'U+1F44D', 'u+1f44d', ':+1:']],
    ['HEART', ['❤️', '❤', ':heart:', 'U+2764']],
    ['SMILE', ['😄', ':smile:', ':laugh:', 'U+1F604']],
    ['CONFETTI_BALL', ['🎊', ':confetti_ball:', 'U+1F38A']],
  ];
  for (const [name, forms] of cases) for (const form of forms) assert.equal(readReaction(form)?.name, name, form);
  assert.deepEqual(reactionNamed('THUMBSUP'), { name: 'THUMBSUP', shortCode: 'thumbsup', emoji: '👍', unicode: 'U+1F44D' });
});

test('what is none', () => {
  for (const value of ['🦄', ':unicorn:', 'U+1F984', 'U+', '👍👍', ':constructor:', 'toString', ':thumbsup', 'x'.repeat(10_000)]) {
    assert.equal(readReaction(value), undefined, value.slice(0, 20));
  }
});
