/** Secrets of IAM: made at random, kept sealed (access keys) or as a keyed hash (passwords). */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Keyring } from '../../platform/keyring.ts';

const SECRET_BYTES = 30;
const PASSWORD_BYTES = 32;

/** 40 characters, as AWS's. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64');
}

export function sealSecret(keyring: Keyring, accessKeyId: string, secret: string): string {
  return keyring.seal(`iam:access-key:${accessKeyId}`, Buffer.from(secret));
}

export function openSecret(keyring: Keyring, accessKeyId: string, sealed: string): string {
  const plain = keyring.open(`iam:access-key:${accessKeyId}`, sealed);
  if (!plain) throw new Error(`The secret of ${accessKeyId} was sealed under another master key.`);
  return plain.toString();
}

export function newPassword(): string {
  return randomBytes(PASSWORD_BYTES).toString('base64');
}

/** A slow hash would add nothing: the password is 256 random bits, and the hash is keyed. */
export function hashPassword(keyring: Keyring, password: string): string {
  return createHmac('sha256', keyring.derive('iam:service-password')).update(password).digest('base64');
}

/** Takes the same time whether the user exists or not. */
export function samePassword(keyring: Keyring, password: string, hash: string | undefined): boolean {
  const given = Buffer.from(hashPassword(keyring, password));
  const expected = hash === undefined ? Buffer.alloc(given.length) : Buffer.from(hash);
  return given.length === expected.length && timingSafeEqual(given, expected) && hash !== undefined;
}
