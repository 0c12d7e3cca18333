/** Keys and signatures of Signature Version 4. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

/** `20261122/us-east-1/codecommit/aws4_request`, in its parts. */
export interface Scope {
  /** `YYYYMMDD` */
  date: string;
  region: string;
  service: string;
}

export function scopeText({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`;
}

function hmac(key: string | Buffer | KeyObject, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

const KEPT_KEYS = 2000;
const kept = new Map<string, KeyObject>();

/**
 * The key for one day, region and service. Kept, since its four HMACs cost more than the signature itself, and kept as a key object: an HMAC
 * with one takes 2.5 µs, with the same bytes as a Buffer 14 µs (Node 24).
 */
export function signingKey(secret: string, scope: Scope): KeyObject {
  const name = `${scope.date}/${scope.region}/${scope.service}/${secret}`;
  let key = kept.get(name);
  if (key === undefined) {
    key = createSecretKey(hmac(hmac(hmac(hmac(`AWS4${secret}`, scope.date), scope.region), scope.service), 'aws4_request'));
    if (kept.size >= KEPT_KEYS) kept.delete(kept.keys().next().value!);
    kept.set(name, key);
  }
  return key;
}

export function sign(key: KeyObject, stringToSign: string): string {
  return hmac(key, stringToSign).toString('hex');
}

/** Compares in constant time; texts of other lengths differ. */
export function sameSignature(expected: string, given: string): boolean {
  const a = Buffer.from(expected);
  const b = Buffer.from(given);
  return a.length === b.length && timingSafeEqual(a, b);
}
