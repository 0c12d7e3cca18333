/** ECDSA over digests (FIPS 186-5): the equations are here, the multiplication of points is OpenSSL's. */
import { createECDH, ECDH, type KeyObject, randomBytes } from 'node:crypto';

interface Curve {
  /** The field's prime and the order of the base point (SEC 2). */
  p: bigint;
  n: bigint;
  a: bigint;
  bytes: number;
}

function curve(p: bigint, n: bigint, a: bigint, bytes: number): Curve {
  return { p, n, a: (a + p) % p, bytes };
}

const CURVES: Record<string, Curve> = {
  prime256v1: curve(
    0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    -3n,
    32,
  ),
  secp256k1: curve(
    0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
    0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
    0n,
    32,
  ),
  secp384r1: curve(
    0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    -3n,
    48,
  ),
  secp521r1: curve(
    (1n << 521n) - 1n,
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    -3n,
    66,
  ),
};

/** DER of a signature over a digest. */
export function signEc(key: KeyObject, digest: Uint8Array): Buffer {
  const name = key.asymmetricKeyDetails!.namedCurve!;
  const { n, bytes } = CURVES[name]!;
  const secret = fromBase64url((key.export({ format: 'jwk' }) as { d: string }).d);
  const z = leftmost(digest, n);
  for (;;) {
    const nonce = createECDH(name);
    const point = nonce.generateKeys();
    const r = toInteger(point.subarray(1, 1 + bytes)) % n;
    const k = toInteger(nonce.getPrivateKey());
    // Big integers take longer for some values than for others; the blind keeps that from telling of the secret.
    const blind = 1n + (toInteger(randomBytes(bytes + 8)) % (n - 1n));
    const s = (inverse((k * blind) % n, n) * ((blind * z + ((blind * r) % n) * secret) % n)) % n;
    if (r !== 0n && s !== 0n) return encodeSignature(r, s);
  }
}

/** The point u1·G + u2·Q has r as its x, with u1 = z/s and u2 = r/s. */
export function verifyEc(publicKey: KeyObject, digest: Uint8Array, signature: Uint8Array): boolean {
  const name = publicKey.asymmetricKeyDetails!.namedCurve!;
  const which = CURVES[name]!;
  const { n, bytes } = which;
  const parsed = decodeSignature(signature);
  if (!parsed) return false;
  const [r, s] = parsed;
  if (r <= 0n || r >= n || s <= 0n || s >= n) return false;
  const { x, y } = publicKey.export({ format: 'jwk' }) as { x: string; y: string };
  const q: Point = { x: fromBase64url(x), y: fromBase64url(y) };
  const w = inverse(s, n);
  const ofKey = multiply(name, which, q, (r * w) % n);
  const u1 = (leftmost(digest, n) * w) % n;
  if (u1 === 0n) return ofKey.x % n === r;
  const ecdh = createECDH(name);
  ecdh.setPrivateKey(toBytes(u1, bytes));
  const sum = add(which, pointOf(ecdh.getPublicKey(), bytes), ofKey);
  return sum !== undefined && sum.x % n === r;
}

interface Point {
  x: bigint;
  y: bigint;
}

/** OpenSSL tells the x of a multiple of a point; which of the two y it is shows in the x of the next multiple. All of this is public. */
function multiply(name: string, which: Curve, q: Point, factor: bigint): Point {
  const { p, n, bytes } = which;
  const encoded = Buffer.concat([Buffer.from([4]), toBytes(q.x, bytes), toBytes(q.y, bytes)]);
  const timesX = (by: bigint): bigint => {
    const ecdh = createECDH(name);
    ecdh.setPrivateKey(toBytes(by, bytes));
    return toInteger(ecdh.computeSecret(encoded));
  };
  if (factor === n - 1n) return { x: q.x, y: (p - q.y) % p };
  const x = timesX(factor);
  const compressed = Buffer.concat([Buffer.from([2]), toBytes(x, bytes)]);
  const { y } = pointOf(ECDH.convertKey(compressed, name, undefined, undefined, 'uncompressed') as Buffer, bytes);
  const next = timesX(factor + 1n);
  const guess = { x, y };
  return add(which, guess, q)?.x === next ? guess : { x, y: (p - y) % p };
}

/** Undefined for the point at infinity. */
function add({ p, a }: Curve, one: Point, other: Point): Point | undefined {
  if (one.x === other.x && (one.y + other.y) % p === 0n) return undefined;
  const slope =
    one.x === other.x ? (3n * one.x * one.x + a) * inverse(2n * one.y, p) : (other.y - one.y + p) * inverse((other.x - one.x + p) % p, p);
  const x = positive(slope * slope - one.x - other.x, p);
  return { x, y: positive(slope * (one.x - x) - one.y, p) };
}

function pointOf(uncompressed: Buffer, bytes: number): Point {
  return { x: toInteger(uncompressed.subarray(1, 1 + bytes)), y: toInteger(uncompressed.subarray(1 + bytes)) };
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [positive(value, modulus), modulus];
  let [x, y] = [1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b] = [b, a - quotient * b];
    [x, y] = [y, x - quotient * y];
  }
  return positive(x, modulus);
}

function positive(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/** As many of the digest's first bits as the order has. */
function leftmost(digest: Uint8Array, n: bigint): bigint {
  const spare = digest.length * 8 - n.toString(2).length;
  return spare > 0 ? toInteger(digest) >> BigInt(spare) : toInteger(digest);
}

function toInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function toBytes(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex');
}

function fromBase64url(text: string): bigint {
  return toInteger(Buffer.from(text, 'base64url'));
}

/** SEQUENCE of two INTEGERs, in DER. */
function encodeSignature(r: bigint, s: bigint): Buffer {
  const body = Buffer.concat([encodeInteger(r), encodeInteger(s)]);
  const length = body.length < 0x80 ? [body.length] : [0x81, body.length];
  return Buffer.concat([Buffer.from([0x30, ...length]), body]);
}

function encodeInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
  const sign = bytes[0]! > 0x7f ? [0] : [];
  return Buffer.concat([Buffer.from([2, bytes.length + sign.length, ...sign]), bytes]);
}

/** Undefined unless it is just what `encodeSignature` would have written. */
function decodeSignature(der: Uint8Array): [bigint, bigint] | undefined {
  const bytes = Buffer.from(der);
  const bodyAt = bytes[1] === 0x81 ? 3 : 2;
  const first = bytes[bodyAt + 1];
  if (first === undefined) return undefined;
  const secondAt = bodyAt + 2 + first;
  const r = toInteger(bytes.subarray(bodyAt + 2, secondAt));
  const s = toInteger(bytes.subarray(secondAt + 2));
  return encodeSignature(r, s).equals(bytes) ? [r, s] : undefined;
}
