/** Identifiers of the form that AWS gives to access keys: four letters that say what it is, then sixteen in base 32 that hold the account. */
import { randomBytes } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const ID_BYTES = 10;

/** `AKIA` for a user's key, `ASIA` for a session's, `APKA` for an SSH public key. As on AWS, the account can be read out of the id. */
export function newAccessKeyId(prefix: 'AKIA' | 'ASIA' | 'APKA', account: string): string {
  const bytes = randomBytes(ID_BYTES);
  // The first bit says that the next forty are the account.
  const head = (1n << 47n) | (BigInt(account) << 7n) | BigInt(bytes[5]! & 0x7f);
  bytes.writeUIntBE(Number(head), 0, 6);
  return prefix + base32(bytes);
}

/** Undefined when the id does not have the form. */
export function accountOfAccessKey(accessKeyId: string): string | undefined {
  return accountIn(/^(?:AKIA|ASIA)([A-Z2-7]{16})$/.exec(accessKeyId)?.[1]);
}

/** The same of the id of an SSH public key. */
export function accountOfSshKey(id: string): string | undefined {
  return accountIn(/^APKA([A-Z2-7]{16})$/.exec(id)?.[1]);
}

function accountIn(digits: string | undefined): string | undefined {
  if (digits === undefined) return undefined;
  const head = fromBase32(digits).readUIntBE(0, 6);
  return ((BigInt(head) >> 7n) & 0xff_ffff_ffffn).toString().padStart(12, '0');
}

/** A unique id such as `AIDA…` for users, `AROA…` for roles. */
export function newUniqueId(prefix: string): string {
  return prefix + base32(randomBytes(ID_BYTES + 1)).slice(0, 17);
}

function base32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31];
  }
  return text;
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const char of text) {
    held = ((held << 5) | ALPHABET.indexOf(char)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 0xff);
    }
  }
  return Buffer.from(bytes);
}
