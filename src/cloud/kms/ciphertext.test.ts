import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { openText, readHead, sealText } from './ciphertext.ts';

const material = createSecretKey(randomBytes(32));
const head = { keyId: '01234567-89ab-cdef-0123-456789abcdef', generation: 3, via: 's3' };
const refused = { code: 'InvalidCiphertextException' };

test('a ciphertext tells its key, and opens with it and its context only', () => {
  for (const plain of [Buffer.from('x'), randomBytes(4096)]) {
    const text = sealText(material, head, { b: '2', a: '1' }, plain);
    assert.deepEqual(readHead(text), head);
    assert.deepEqual(openText(material, text, { a: '1', b: '2' }), plain);
    assert.throws(() => openText(material, text, { a: '1' }), refused);
    assert.throws(() => openText(material, text, { a: '1', b: '3' }), refused);
    assert.throws(() => openText(createSecretKey(randomBytes(32)), text, { a: '1', b: '2' }), refused);
  }
});

test('the same text is never sealed alike', () => {
  const texts = Array.from({ length: 10 }, () => sealText(material, head, {}, Buffer.from('same')).toString('hex'));
  assert.equal(new Set(texts).size, 10);
});

test('contexts that look alike when joined are told apart', () => {
  const text = sealText(material, head, { a: 'b","c":"d' }, Buffer.from('x'));
  assert.throws(() => openText(material, text, { a: 'b', c: 'd' }), refused);
});

test('every changed byte is noticed, and whatever is no ciphertext is refused', () => {
  const text = sealText(material, { ...head, via: undefined }, {}, Buffer.from('secret'));
  assert.equal(readHead(text).via, undefined);
  for (let at = 0; at < text.length; at++) {
    const damaged = Buffer.from(text);
    damaged[at]! ^= 0x80;
    assert.throws(() => {
      readHead(damaged);
      openText(material, damaged, {});
    }, refused);
  }
  for (let length = 0; length < text.length; length++) {
    assert.throws(() => {
      readHead(text.subarray(0, length));
      openText(material, text.subarray(0, length), {});
    }, refused);
  }
  assert.throws(() => readHead(randomBytes(500).fill(9, 0, 1)), refused);
});
