/**
 * The three cyclic redundancy checks of S3, and how those of parts make that of the whole. CRC-32 is Node's own; CRC-32C (RFC 3720) and
 * CRC-64/NVME (NVM Express command set) are tables over eight bytes at a time. All are reflected, begin with all ones and end inverted.
 */
import { crc32 as nodeCrc32 } from 'node:zlib';

export interface Crc {
  /** bits */
  width: 32 | 64;
  /** Reflected. */
  polynomial: bigint;
  /** Goes on from `before`, which is 0 at the start. */
  update(before: bigint, bytes: Uint8Array): bigint;
}

const CRC32C_POLYNOMIAL = 0x82f63b78;
const CRC64NVME_POLYNOMIAL = 0x9a6c9329ac4bc9b5n;

export const crc32: Crc = {
  width: 32,
  polynomial: 0xedb88320n,
  update: (before, bytes) => BigInt(nodeCrc32(bytes, Number(before))),
};

let crc32cTable: Uint32Array | undefined;

export const crc32c: Crc = {
  width: 32,
  polynomial: BigInt(CRC32C_POLYNOMIAL),
  update(before, bytes) {
    crc32cTable ??= table32(CRC32C_POLYNOMIAL);
    const t = crc32cTable;
    let crc = ~Number(before);
    let at = 0;
    for (; at + 8 <= bytes.length; at += 8) {
      crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      crc =
        t[0x700 + (crc & 0xff)]! ^
        t[0x600 + ((crc >>> 8) & 0xff)]! ^
        t[0x500 + ((crc >>> 16) & 0xff)]! ^
        t[0x400 + (crc >>> 24)]! ^
        t[0x300 + bytes[at + 4]!]! ^
        t[0x200 + bytes[at + 5]!]! ^
        t[0x100 + bytes[at + 6]!]! ^
        t[bytes[at + 7]!]!;
    }
    for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!;
    return BigInt(~crc >>> 0);
  },
};

let crc64Tables: { low: Uint32Array; high: Uint32Array } | undefined;

export const crc64nvme: Crc = {
  width: 64,
  polynomial: CRC64NVME_POLYNOMIAL,
  update(before, bytes) {
    crc64Tables ??= tables64(CRC64NVME_POLYNOMIAL);
    const { low: tl, high: th } = crc64Tables;
    let low = ~Number(before & 0xffffffffn);
    let high = ~Number(before >> 32n);
    let at = 0;
    for (; at + 8 <= bytes.length; at += 8) {
      low ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      high ^= bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
      const a = 0x700 + (low & 0xff);
      const b = 0x600 + ((low >>> 8) & 0xff);
      const c = 0x500 + ((low >>> 16) & 0xff);
      const d = 0x400 + (low >>> 24);
      const e = 0x300 + (high & 0xff);
      const f = 0x200 + ((high >>> 8) & 0xff);
      const g = 0x100 + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      low = tl[a]! ^ tl[b]! ^ tl[c]! ^ tl[d]! ^ tl[e]! ^ tl[f]! ^ tl[g]! ^ tl[h]!;
      high = th[a]! ^ th[b]! ^ th[c]! ^ th[d]! ^ th[e]! ^ th[f]! ^ th[g]! ^ th[h]!;
    }
    for (; at < bytes.length; at++) {
      const index = (low ^ bytes[at]!) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ tl[index]!;
      high = (high >>> 8) ^ th[index]!;
    }
    return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
  },
};

/** The check of A followed by B from the checks of both: that of A is moved on by B's length. */
export function combine(crc: Crc, first: bigint, second: bigint, secondBytes: number): bigint {
  return multiply(crc, powerOfX(crc, secondBytes), first) ^ second;
}

const powers = new Map<string, bigint>();

/** x to the 8 × `bytes`, modulo the polynomial. Parts of an upload have one length, so a few are kept. */
function powerOfX(crc: Crc, bytes: number): bigint {
  const name = `${crc.polynomial} ${bytes}`;
  let power = powers.get(name);
  if (power === undefined) {
    power = 1n << BigInt(crc.width - 1);
    let square = power >> 1n;
    for (let exponent = BigInt(bytes) * 8n; exponent > 0n; exponent >>= 1n) {
      if (exponent & 1n) power = multiply(crc, power, square);
      square = multiply(crc, square, square);
    }
    if (powers.size > 100) powers.clear();
    powers.set(name, power);
  }
  return power;
}

/** Product of two polynomials over GF(2), reflected (the highest bit is x⁰), modulo the check's polynomial. */
function multiply(crc: Crc, a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let bit = 1n << BigInt(crc.width - 1); bit > 0n; bit >>= 1n) {
    if (a & bit) product ^= b;
    b = b & 1n ? (b >> 1n) ^ crc.polynomial : b >> 1n;
  }
  return product;
}

/** Eight tables in a row; entry `n * 256 + byte` is the effect of `byte` when n bytes follow it. */
function table32(polynomial: number): Uint32Array {
  const table = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    table[byte] = crc;
  }
  for (let entry = 256; entry < table.length; entry++) {
    const before = table[entry - 256]!;
    table[entry] = (before >>> 8) ^ table[before & 0xff]!;
  }
  return table;
}

function tables64(polynomial: bigint): { low: Uint32Array; high: Uint32Array } {
  const whole = new BigUint64Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
    whole[byte] = crc;
  }
  for (let entry = 256; entry < whole.length; entry++) {
    const before = whole[entry - 256]!;
    whole[entry] = (before >> 8n) ^ whole[Number(before & 0xffn)]!;
  }
  return {
    low: Uint32Array.from(whole, (entry) => Number(entry & 0xffffffffn)),
    high: Uint32Array.from(whole, (entry) => Number(entry >> 32n)),
  };
}
