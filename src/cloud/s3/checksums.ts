/** Checksums that clients send along and ask for: `x-amz-checksum-*`, Content-MD5, and the ETag. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type Crc, combine, crc32, crc32c, crc64nvme } from './crc.ts';
import { s3Error } from './errors.ts';
import type { Checksum } from './tables.ts';

export type Algorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'SHA512' | 'MD5';
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';
type NotImplementedAlgorithm = 'XXHASH64' | 'XXHASH3' | 'XXHASH128';

/** What S3 takes when the client asks for none. */
export const DEFAULT_ALGORITHM: Algorithm = 'CRC64NVME';

const CRCS: Partial<Record<Algorithm, Crc>> = { CRC32: crc32, CRC32C: crc32c, CRC64NVME: crc64nvme };
const BYTES: Record<Algorithm, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32, SHA512: 64, MD5: 16 };
const ALGORITHMS = Object.keys(BYTES) as Algorithm[];
const NOT_IMPLEMENTED = ['XXHASH64', 'XXHASH3', 'XXHASH128'] as const;

export type ChecksumMembers = { [A in Algorithm as `Checksum${A}`]?: string | undefined };

/** What a request says of its body's checksum. */
export interface Expectation {
  algorithm: Algorithm;
  /** Base64; undefined when it comes in a trailer, or is only to be computed. */
  value: string | undefined;
  /** Whether the client named the algorithm. */
  chosen: boolean;
}

export interface BodyFacts {
  size: number;
  /** Lower-case hex. */
  md5: string;
  /** Base64, of the expected algorithm. */
  checksum: string;
  /** Base64, of the algorithm asked for by `also`, when that is another. */
  alsoChecksum?: string;
}

/** How a body is to be received. */
export interface Reception extends Expectation {
  /** Base64, as in the header. */
  contentMd5?: string | undefined;
  trailers?: ReadonlyMap<string, string> | undefined;
  maxBytes: number;
  /** A second algorithm to compute: that of an upload whose part came with another. */
  also?: Algorithm;
}

interface ChecksumRequest extends ChecksumMembers {
  ChecksumAlgorithm?: Algorithm | NotImplementedAlgorithm | undefined;
}

/** `headers`: those of the request when it came by HTTP. `fallback`: the algorithm when the request names none. */
export function expectedChecksum(
  input: ChecksumRequest,
  headers: Record<string, string | undefined> | undefined,
  fallback: Algorithm = DEFAULT_ALGORITHM,
): Expectation {
  for (const name of NOT_IMPLEMENTED) {
    if (name in input) throw s3Error('NotImplemented', undefined, { Header: `x-amz-checksum-${name.toLowerCase()}` });
  }
  const given = ALGORITHMS.filter((algorithm) => input[`Checksum${algorithm}`] !== undefined);
  if (given.length > 1) {
    throw s3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  }
  const trailer = headers?.['x-amz-trailer'];
  const trailing = ALGORITHMS.find((algorithm) => trailer?.toLowerCase() === `x-amz-checksum-${algorithm.toLowerCase()}`);
  const asked = input.ChecksumAlgorithm === undefined ? undefined : implemented(input.ChecksumAlgorithm);
  const algorithm = given[0] ?? trailing ?? asked;
  if (algorithm === undefined) return { algorithm: fallback, value: undefined, chosen: false };
  if (headers && asked !== undefined && given.length === 0 && !trailing) {
    throw s3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  const value = input[`Checksum${algorithm}`];
  if (value !== undefined) checkForm(algorithm, value);
  return { algorithm, value, chosen: true };
}

export function implemented(algorithm: Algorithm | NotImplementedAlgorithm): Algorithm {
  if ((NOT_IMPLEMENTED as readonly string[]).includes(algorithm)) {
    throw s3Error('NotImplemented', undefined, { Header: 'x-amz-checksum-algorithm' });
  }
  return algorithm as Algorithm;
}

function checkForm(algorithm: Algorithm, value: string): void {
  if (!isBase64(value, BYTES[algorithm])) {
    throw s3Error('InvalidRequest', `Value for x-amz-checksum-${algorithm.toLowerCase()} header is invalid.`);
  }
}

function isBase64(text: string, bytes: number): boolean {
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === text;
}

/**
 * Passes the body on while it counts and digests, and fails the stream at its end when it is not what the client said: so nothing that is
 * wrong is ever stored. `facts` may be asked for once the stream has ended.
 */
export function inspected(
  body: Readable | Uint8Array | undefined,
  expected: Reception,
): { bytes: AsyncGenerator<Uint8Array>; facts(): BodyFacts } {
  const { algorithm, contentMd5, maxBytes } = expected;
  if (contentMd5 !== undefined && !isBase64(contentMd5, 16)) throw s3Error('InvalidDigest', undefined, { 'Content-MD5': contentMd5 });
  const md5 = createHash('md5');
  const checksum = digest(algorithm);
  const also = expected.also === undefined || expected.also === algorithm ? undefined : digest(expected.also);
  let facts: BodyFacts | undefined;

  async function* read(): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const piece of piecesOf(body)) {
      size += piece.length;
      if (size > maxBytes) throw s3Error('EntityTooLarge', undefined, { ProposedSize: size, MaxSizeAllowed: maxBytes });
      if (piece.length === 0) continue;
      md5.update(piece);
      checksum.update(piece);
      also?.update(piece);
      yield piece;
    }
    const found = md5.digest();
    if (contentMd5 !== undefined && found.toString('base64') !== contentMd5) {
      throw s3Error('BadDigest', undefined, { ExpectedDigest: contentMd5, CalculatedDigest: found.toString('base64') });
    }
    facts = { size, md5: found.toString('hex'), checksum: checksum.base64(), alsoChecksum: also?.base64() };
    // A trailer is known once the body has ended.
    const value = expected.value ?? expected.trailers?.get(`x-amz-checksum-${algorithm.toLowerCase()}`);
    if (value !== undefined && facts.checksum !== value) {
      throw s3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
    }
  }
  return {
    bytes: read(),
    facts() {
      if (!facts) throw new Error('The body was not read to its end.');
      return facts;
    },
  };
}

async function* piecesOf(body: Readable | Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  try {
    yield* body instanceof Uint8Array ? [body] : (body ?? []);
  } catch (error) {
    // The client went away: nobody's fault here.
    if ((error as { code?: string }).code === 'ECONNRESET') throw s3Error('IncompleteBody');
    throw error;
  }
}

function digest(algorithm: Algorithm): { update(bytes: Uint8Array): void; base64(): string } {
  const crc = CRCS[algorithm];
  if (!crc) {
    const hash = createHash(algorithm.toLowerCase());
    return { update: (bytes) => hash.update(bytes), base64: () => hash.digest('base64') };
  }
  let value = 0n;
  return {
    update(bytes) {
      value = crc.update(value, bytes);
    },
    base64: () => encodeCrc(crc, value),
  };
}

/**
 * Checks what came with a small XML body, whole in memory: `required` where S3 insists on a checksum, as a mangled list of keys to delete
 * would be a disaster. Called by the wire, since operations see what was read from the body, not its bytes.
 */
export function checkDocument(required: boolean, headers: Record<string, string | undefined>, body: Uint8Array): void {
  const contentMd5 = headers['content-md5'];
  const given = ALGORITHMS.filter((algorithm) => headers[`x-amz-checksum-${algorithm.toLowerCase()}`] !== undefined);
  if (required && contentMd5 === undefined && given.length === 0) {
    throw s3Error('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*');
  }
  if (contentMd5 !== undefined) {
    if (!isBase64(contentMd5, 16)) throw s3Error('InvalidDigest', undefined, { 'Content-MD5': contentMd5 });
    if (digestOf('MD5', body) !== contentMd5) throw s3Error('BadDigest', undefined, { ExpectedDigest: contentMd5 });
  }
  // Requests without a document may carry checksums that mean something else: those of the whole object, when an upload is completed.
  if (!required) return;
  for (const algorithm of given) {
    const value = headers[`x-amz-checksum-${algorithm.toLowerCase()}`]!;
    checkForm(algorithm, value);
    if (digestOf(algorithm, body) !== value) {
      throw s3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
    }
  }
}

function digestOf(algorithm: Algorithm, bytes: Uint8Array): string {
  const all = digest(algorithm);
  all.update(bytes);
  return all.base64();
}

/** The type that a multipart upload of this algorithm has, or InvalidRequest when it cannot have the one asked for. */
export function uploadChecksumType(algorithm: Algorithm, asked: ChecksumType | undefined): ChecksumType {
  const usual = algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
  const possible = algorithm === 'CRC64NVME' ? ['FULL_OBJECT'] : CRCS[algorithm] ? ['COMPOSITE', 'FULL_OBJECT'] : ['COMPOSITE'];
  if (asked !== undefined && !possible.includes(asked)) {
    throw s3Error('InvalidRequest', `The ${asked} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`);
  }
  return asked ?? usual;
}

/** Of an object from those of its parts. */
export function checksumOfParts(algorithm: Algorithm, type: ChecksumType, parts: { checksum: string; size: number }[]): Checksum {
  if (type === 'COMPOSITE') {
    const all = Buffer.concat(parts.map((part) => Buffer.from(part.checksum, 'base64')));
    return { algorithm, type, value: `${digestOf(algorithm, all)}-${parts.length}` };
  }
  const crc = CRCS[algorithm]!;
  const whole = parts.reduce((sum, part) => combine(crc, sum, decodeCrc(part.checksum), part.size), 0n);
  return { algorithm, type, value: encodeCrc(crc, whole) };
}

/** The members that carry a checksum in answers: `ChecksumCRC32` and so on. */
export function checksumMember(algorithm: Algorithm, value: string): ChecksumMembers {
  return { [`Checksum${algorithm}`]: value };
}

export function checksumMembers(checksum: Checksum): ChecksumMembers & { ChecksumType: ChecksumType } {
  return { ...checksumMember(checksum.algorithm, checksum.value), ChecksumType: checksum.type };
}

function encodeCrc(crc: Crc, value: bigint): string {
  return Buffer.from(value.toString(16).padStart(crc.width / 4, '0'), 'hex').toString('base64');
}

function decodeCrc(base64: string): bigint {
  return BigInt(`0x${Buffer.from(base64, 'base64').toString('hex')}`);
}
