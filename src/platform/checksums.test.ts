import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { ChecksumCheck, statedChecksums } from './checksum-stream.ts';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm, createChecksum } from './checksums.ts';

function digest(algorithm: ChecksumAlgorithm, ...pieces: Uint8Array[]): string {
  const checksum = createChecksum(algorithm);
  for (const piece of pieces) checksum.update(piece);
  return checksum.digest();
}

/** Bit by bit, as the definition has it. */
function crcByDefinition(polynomial: bigint, bits: number, data: Uint8Array): string {
  const ones = (1n << BigInt(bits)) - 1n;
  let crc = ones;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
  }
  return Buffer.from((crc ^ ones).toString(16).padStart(bits / 4, '0'), 'hex').toString('base64');
}

describe('checksums', () => {
  it('give the published values for "123456789"', () => {
    const data = Buffer.from('123456789');
    const hex = (algorithm: ChecksumAlgorithm) => Buffer.from(digest(algorithm, data), 'base64').toString('hex');
    assert.equal(hex('crc32'), 'cbf43926');
    assert.equal(hex('crc32c'), 'e3069283');
    assert.equal(hex('crc64nvme'), 'ae8b14860a799888');
    for (const name of ['sha1', 'sha256', 'sha512', 'md5'] as const) assert.equal(hex(name), createHash(name).update(data).digest('hex'));
  });

  it('are the same however the data is cut, at every length', () => {
    const data = Buffer.from(Array.from({ length: 70 }, (_, index) => (index * 89 + 7) & 0xff));
    for (let length = 0; length <= data.length; length++) {
      const whole = data.subarray(0, length);
      const cut = [whole.subarray(0, length >> 1), whole.subarray(length >> 1)];
      for (const algorithm of CHECKSUM_ALGORITHMS) assert.equal(digest(algorithm, ...cut), digest(algorithm, whole));
      assert.equal(digest('crc32c', whole), crcByDefinition(0x82f63b78n, 32, whole));
      assert.equal(digest('crc64nvme', whole), crcByDefinition(0x9a6c9329ac4bc9b5n, 64, whole));
    }
  });

  it('are computed over a stream, which fails at its end when one differs', async () => {
    const stated = statedChecksums({ 'x-amz-checksum-crc32': 'y/Q5Jg==', 'x-amz-checksum-foo': 'x', host: 'h' });
    assert.deepEqual(stated, { crc32: 'y/Q5Jg==' });
    const check = new ChecksumCheck({ ...stated, crc64nvme: undefined });
    assert.equal((await buffer(Readable.from([Buffer.from('1234'), Buffer.from('56789')]).pipe(check))).toString(), '123456789');
    assert.deepEqual(check.results, { crc32: 'y/Q5Jg==', crc64nvme: 'rosUhgp5mIg=' });
    await assert.rejects(buffer(Readable.from([Buffer.from('12345678')]).pipe(new ChecksumCheck(stated))), {
      code: 'BadDigest',
      message: 'The CRC32 you specified did not match the calculated checksum.',
    });
  });
});
