import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type Crc, combine, crc32, crc32c, crc64nvme } from './crc.ts';

const all: [string, Crc, bigint][] = [
  // The check values of the catalogue of parametrised CRC algorithms.
  ['CRC-32', crc32, 0xcbf43926n],
  ['CRC-32C', crc32c, 0xe3069283n],
  ['CRC-64/NVME', crc64nvme, 0xae8b14860a799888n],
];

for (const [name, crc, expected] of all) {
  test(`${name} of 123456789, whatever pieces it comes in`, () => {
    const bytes = Buffer.from('123456789');
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.equal(crc.update(crc.update(0n, bytes.subarray(0, cut)), bytes.subarray(cut)), expected);
    }
  });

  test(`${name} of parts makes that of the whole`, () => {
    const bytes = randomBytes(100_000);
    const whole = crc.update(0n, bytes);
    for (const cut of [0, 1, 7, 8, 50_000, 99_999, 100_000]) {
      const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut)];
      assert.equal(combine(crc, crc.update(0n, first), crc.update(0n, second), second.length), whole, `cut at ${cut}`);
    }
  });
}
