/** SSH public keys as users give them (one line of OpenSSH's, RFC 4716 or PEM), and as the SSH protocol carries them (RFC 4253, 6.6). */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';

/** What IAM asks for of RSA; the upper end bounds what one signature costs us. */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 16_384;

export interface SshPublicKey {
  /** `ssh-rsa`, `ssh-ed25519`, `ecdsa-sha2-nistp256` and so on. */
  type: string;
  /** As in the protocol. */
  blob: Buffer;
  comment: string;
}

const CURVES: Record<string, { jwk: string; bytes: number }> = {
  nistp256: { jwk: 'P-256', bytes: 32 },
  nistp384: { jwk: 'P-384', bytes: 48 },
  nistp521: { jwk: 'P-521', bytes: 66 },
};

/** UnrecognizedPublicKeyEncoding when the text has none of the forms, InvalidPublicKey when it is no key or too weak a one. */
export function parseSshPublicKey(text: string): SshPublicKey {
  const body = text.trim();
  const line = /^((?:ssh|ecdsa)-[a-z0-9-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+([^\r\n]*))?$/.exec(body);
  if (line) return checked(line[1]!, Buffer.from(line[2]!, 'base64'), line[3]?.trim() ?? '');
  const framed = /^---- BEGIN SSH2 PUBLIC KEY ----\r?\n([\s\S]+?)\r?\n---- END SSH2 PUBLIC KEY ----$/.exec(body);
  if (framed) {
    // Header lines hold a colon and go on behind a backslash; what remains is base64.
    const blob = Buffer.from(framed[1]!.replace(/^[\w-]+:.*(?:\\\r?\n.*)*\r?\n/gm, ''), 'base64');
    return checked(readStrings(blob)?.[0]?.toString() ?? '', blob, '');
  }
  if (/^-----BEGIN (?:RSA )?PUBLIC KEY-----\s/.test(body)) return fromPem(body);
  throw new AwsError('UnrecognizedPublicKeyEncoding', 'Encoding of the public key is not recognized. Use the ssh-rsa or the PEM format.');
}

/** MD5 of the key in pairs of hex digits, as `ssh-keygen -l -E md5` tells it. */
export function fingerprintOf(blob: Buffer): string {
  return createHash('md5')
    .update(blob)
    .digest('hex')
    .replace(/..(?=.)/g, '$&:');
}

/** One line of an `authorized_keys` file. */
export function toOpenSsh({ type, blob, comment }: SshPublicKey): string {
  return `${type} ${blob.toString('base64')}${comment && ` ${comment}`}`;
}

export function toPem(blob: Buffer): string {
  return keyObject(blob).export({ type: 'spki', format: 'pem' }).toString();
}

function fromPem(pem: string): SshPublicKey {
  let jwk: JsonWebKey;
  try {
    jwk = createPublicKey(pem).export({ format: 'jwk' });
  } catch {
    throw invalid('The public key is malformed.');
  }
  const field = (name: 'n' | 'e' | 'x' | 'y') => Buffer.from(jwk[name]!, 'base64url');
  if (jwk.kty === 'RSA') return checked('ssh-rsa', writeStrings('ssh-rsa', positive(field('e')), positive(field('n'))), '');
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') return checked('ssh-ed25519', writeStrings('ssh-ed25519', field('x')), '');
  const curve = Object.entries(CURVES).find(([, { jwk: name }]) => jwk.kty === 'EC' && name === jwk.crv)?.[0];
  if (!curve) throw invalid('The public key is of a type that is not supported.');
  const type = `ecdsa-sha2-${curve}`;
  return checked(type, writeStrings(type, curve, Buffer.concat([Buffer.from([4]), field('x'), field('y')])), '');
}

function checked(type: string, blob: Buffer, comment: string): SshPublicKey {
  const bits = keyObject(blob, type).asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)) {
    throw invalid(`The length of an RSA key must be between ${MIN_RSA_BITS} and ${MAX_RSA_BITS} bits; this one has ${bits}.`);
  }
  return { type, blob, comment };
}

function keyObject(blob: Buffer, expected?: string): KeyObject {
  const [typeBytes, first, second, ...rest] = readStrings(blob) ?? [];
  const type = typeBytes?.toString('latin1') ?? '';
  if (!first || rest.length > 0 || (expected !== undefined && type !== expected)) throw invalid('The public key is malformed.');
  const url = (bytes: Buffer) => bytes.toString('base64url');
  const curve = CURVES[type.replace('ecdsa-sha2-', '')];
  let jwk: JsonWebKey | undefined;
  if (type === 'ssh-rsa' && second) jwk = { kty: 'RSA', e: url(first), n: url(second) };
  else if (type === 'ssh-ed25519' && !second) jwk = { kty: 'OKP', crv: 'Ed25519', x: url(first) };
  else if (curve && second?.length === 2 * curve.bytes + 1 && second[0] === 4 && type === `ecdsa-sha2-${first}`) {
    jwk = { kty: 'EC', crv: curve.jwk, x: url(second.subarray(1, 1 + curve.bytes)), y: url(second.subarray(1 + curve.bytes)) };
  }
  if (!jwk) throw invalid('The public key is malformed or of a type that is not supported.');
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    throw invalid('The public key is malformed.');
  }
}

/** Fields of the protocol: four bytes of length, then the bytes. Undefined when they do not fill the buffer exactly. */
function readStrings(bytes: Buffer): Buffer[] | undefined {
  const fields: Buffer[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) return undefined;
    fields.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return at === bytes.length ? fields : undefined;
}

function writeStrings(...fields: (string | Buffer)[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const bytes = Buffer.from(field);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The protocol's numbers are signed. */
function positive(bytes: Buffer): Buffer {
  return bytes[0]! & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
}

function invalid(message: string): AwsError {
  return new AwsError('InvalidPublicKey', message);
}
