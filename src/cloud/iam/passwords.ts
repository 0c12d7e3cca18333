/** Passwords that people choose: kept as scrypt hashes, held to the account's rules. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AwsError } from '../../platform/errors.ts';
import type { PasswordPolicy } from './tables.ts';

/** 32 MiB and about 80 ms for each guess. */
const COST = { N: 2 ** 15, r: 8, p: 1 };
const MAX_MEMORY = 64 * 1024 * 1024;
const HASH_BYTES = 32;
const SALT_BYTES = 16;

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/** `scrypt:N:r:p:SALT:HASH`, so that the cost can grow without forgetting anybody's password. */
export async function hashChosenPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, salt, HASH_BYTES, { ...COST, maxmem: MAX_MEMORY });
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), hash.toString('base64')].join(':');
}

export async function isPassword(password: string, kept: string): Promise<boolean> {
  const [, N, r, p, salt, hash] = kept.split(':');
  const expected = Buffer.from(hash!, 'base64');
  const options = { N: Number(N), r: Number(r), p: Number(p), maxmem: MAX_MEMORY };
  const given = await derive(password, Buffer.from(salt!, 'base64'), expected.length, options);
  return timingSafeEqual(given, expected);
}

/** What AWS calls symbols. */
const SYMBOL = /[!@#$%^&*()_+\-=[\]{}|']/;
const DEFAULT_LENGTH = 8;
const DEFAULT_KINDS = 3;

/** Throws PasswordPolicyViolation. Without a policy of the account: eight characters, of three kinds, and not the user's name. */
export function requireStrong(password: string, userName: string, policy: PasswordPolicy | null): void {
  const upper = /[A-Z]/.test(password);
  const lower = /[a-z]/.test(password);
  const number = /[0-9]/.test(password);
  const symbol = SYMBOL.test(password);
  if (!policy) {
    const kinds = [upper, lower, number, symbol].filter(Boolean).length;
    if (password.length < DEFAULT_LENGTH) throw violation(`Password should have a minimum length of ${DEFAULT_LENGTH}`);
    if (kinds < DEFAULT_KINDS) {
      throw violation('Password should have at least three of: uppercase letters, lowercase letters, numbers, symbols');
    }
    if (password === userName) throw violation('Password should not be the name of the user');
    return;
  }
  if (password.length < policy.MinimumPasswordLength) {
    throw violation(`Password should have a minimum length of ${policy.MinimumPasswordLength}`);
  }
  if (policy.RequireUppercaseCharacters && !upper) throw violation('Password should have at least one uppercase letter');
  if (policy.RequireLowercaseCharacters && !lower) throw violation('Password should have at least one lowercase letter');
  if (policy.RequireNumbers && !number) throw violation('Password should have at least one number');
  if (policy.RequireSymbols && !symbol) throw violation('Password should have at least one symbol');
}

export function violation(message: string): AwsError {
  return new AwsError('PasswordPolicyViolation', message);
}
