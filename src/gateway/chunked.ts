/**
 * `aws-chunked` bodies: `SIZE[;chunk-signature=…]CRLF DATA CRLF … 0[;…]CRLF [trailers] CRLF`, chunks signed in a chain that begins with the
 * request's own signature, or not signed, with checksums in trailers. Data flows on as it comes: what reads it must drop everything when the
 * stream fails, as the blob store does.
 */
import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { checksumMismatch } from '../platform/checksum-stream.ts';
import { type Checksum, type ChecksumAlgorithm, checksumAlgorithmOf, createChecksum } from '../platform/checksums.ts';
import { AwsError } from '../platform/errors.ts';
import { sha256 } from './canonical-request.ts';
import { signatureMismatch } from './signature-errors.ts';
import { sameSignature, sign } from './signing-key.ts';
import type { ChunkSeed } from './sigv4.ts';

export interface ChunkedOptions {
  /** Present when the chunks are signed. */
  seed: ChunkSeed | undefined;
  trailer: boolean;
  /** `x-amz-decoded-content-length`. */
  decodedLength: number | undefined;
  /** `x-amz-trailer`: names of the trailers that must come. */
  trailerNames: readonly string[];
}

const EMPTY_SHA256 = sha256('');
const MAX_LINE = 8192;
const MAX_TRAILERS = 32;
const SIGNATURE_TRAILER = 'x-amz-trailer-signature';

type State = 'size' | 'data' | 'data-end' | 'trailers' | 'done';

/** Reads the options from a request's headers; throws when they contradict each other. */
export function chunkedOptions(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  payload: { trailer: boolean; seed: ChunkSeed | undefined },
): ChunkedOptions {
  const length = headers['x-amz-decoded-content-length'];
  if (length === undefined) {
    throw new AwsError('MissingContentLength', 'You must provide the Content-Length HTTP header.', { status: 411 });
  }
  if (typeof length !== 'string' || !/^\d{1,15}$/.test(length)) {
    throw new AwsError('InvalidArgument', 'x-amz-decoded-content-length must be a number.', { status: 400 });
  }
  const names = String(headers['x-amz-trailer'] ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if ((names.length > 0 && !payload.trailer) || names.some((name) => name.startsWith('x-amz-checksum-') && !checksumAlgorithmOf(name))) {
    throw new AwsError('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported', { status: 400 });
  }
  return { ...payload, decodedLength: Number(length), trailerNames: names };
}

/** Encoded body in, decoded body out. */
export class ChunkedDecoder extends Transform {
  /** By lower-case name; complete once the stream has ended. */
  readonly trailers = new Map<string, string>();
  /** Computed over the decoded body for every checksum trailer; complete once the stream has ended. */
  readonly checksums: Partial<Record<ChecksumAlgorithm, string>> = {};
  readonly #options: ChunkedOptions;
  readonly #running: [ChecksumAlgorithm, Checksum][];
  #state: State = 'size';
  #line: Buffer = Buffer.alloc(0);
  #left = 0;
  #decoded = 0;
  #chunkHash: Hash | undefined;
  #chunkSignature = '';
  #previousSignature: string;
  #canonicalTrailers = '';

  constructor(options: ChunkedOptions) {
    super();
    this.#options = options;
    this.#previousSignature = options.seed?.signature ?? '';
    this.#running = options.trailerNames.flatMap((name) => {
      const algorithm = checksumAlgorithmOf(name);
      return algorithm ? [[algorithm, createChecksum(algorithm)] as [ChecksumAlgorithm, Checksum]] : [];
    });
  }

  override _transform(input: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let rest = input;
      while (rest.length > 0) rest = this.#state === 'data' ? this.#takeData(rest) : this.#takeLine(rest);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#state !== 'done') throw incompleteBody();
      if (this.#options.decodedLength !== undefined && this.#decoded !== this.#options.decodedLength) throw incompleteBody();
      this.#checkTrailers();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #takeData(input: Buffer): Buffer {
    const data = input.subarray(0, this.#left);
    this.#left -= data.length;
    this.#decoded += data.length;
    if (this.#options.decodedLength !== undefined && this.#decoded > this.#options.decodedLength) throw incompleteBody();
    this.#chunkHash?.update(data);
    for (const [, checksum] of this.#running) checksum.update(data);
    this.push(data);
    if (this.#left === 0) {
      this.#verifyChunk();
      this.#state = 'data-end';
    }
    return input.subarray(data.length);
  }

  /** Collects one line up to CRLF and acts on it; returns what follows it. */
  #takeLine(input: Buffer): Buffer {
    const end = input.indexOf(0x0a);
    const piece = end < 0 ? input : input.subarray(0, end + 1);
    this.#line = this.#line.length === 0 ? piece : Buffer.concat([this.#line, piece]);
    if (this.#line.length > MAX_LINE) throw malformed();
    if (end < 0) {
      // A copy: the line may wait long for its end, and `input` belongs to a pool.
      this.#line = Buffer.from(this.#line);
      return Buffer.alloc(0);
    }
    const line = this.#line.toString('latin1').replace(/\r?\n$/, '');
    this.#line = Buffer.alloc(0);
    this.#onLine(line);
    return input.subarray(end + 1);
  }

  #onLine(line: string): void {
    switch (this.#state) {
      case 'size':
        this.#onSize(line);
        return;
      case 'data-end':
        if (line !== '') throw malformed();
        this.#state = 'size';
        return;
      case 'trailers':
        this.#onTrailer(line);
        return;
      default:
        if (line !== '') throw malformed();
    }
  }

  #onSize(line: string): void {
    const found = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (!found) throw malformed();
    this.#left = Number.parseInt(found[1]!, 16);
    if (this.#options.seed) {
      if (!found[2]) throw malformed();
      this.#chunkSignature = found[2];
      this.#chunkHash = createHash('sha256');
    }
    if (this.#left > 0) {
      this.#state = 'data';
      return;
    }
    this.#verifyChunk();
    this.#state = 'trailers';
  }

  #verifyChunk(): void {
    const { seed } = this.#options;
    if (!seed || !this.#chunkHash) return;
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${seed.timestamp}\n${seed.scope}\n${this.#previousSignature}\n${EMPTY_SHA256}\n${this.#chunkHash.digest('hex')}`;
    if (!sameSignature(sign(seed.key, text), this.#chunkSignature)) throw signatureMismatch('s3');
    this.#previousSignature = this.#chunkSignature;
    this.#chunkHash = undefined;
  }

  #onTrailer(line: string): void {
    if (line === '') {
      this.#state = 'done';
      return;
    }
    const at = line.indexOf(':');
    if (at < 1 || !this.#options.trailer || this.trailers.size >= MAX_TRAILERS) throw malformedTrailer();
    const name = line.slice(0, at).trim().toLowerCase();
    const value = line.slice(at + 1).trim();
    this.trailers.set(name, value);
    if (name !== SIGNATURE_TRAILER) this.#canonicalTrailers += `${name}:${value}\n`;
  }

  #checkTrailers(): void {
    const { seed, trailer, trailerNames } = this.#options;
    if (trailerNames.some((name) => !this.trailers.has(name))) throw malformedTrailer();
    if (seed && trailer) {
      const text = `AWS4-HMAC-SHA256-TRAILER\n${seed.timestamp}\n${seed.scope}\n${this.#previousSignature}\n${sha256(this.#canonicalTrailers)}`;
      if (!sameSignature(sign(seed.key, text), this.trailers.get(SIGNATURE_TRAILER) ?? '')) throw signatureMismatch('s3');
    }
    for (const [algorithm, checksum] of this.#running) {
      const computed = checksum.digest();
      this.checksums[algorithm] = computed;
      if (this.trailers.get(`x-amz-checksum-${algorithm}`) !== computed) throw checksumMismatch(algorithm);
    }
  }
}

function incompleteBody(): AwsError {
  return new AwsError('IncompleteBody', 'The request body terminated unexpectedly', { status: 400 });
}

function malformed(): AwsError {
  return new AwsError('InvalidRequest', 'The aws-chunked body is malformed.', { status: 400 });
}

function malformedTrailer(): AwsError {
  return new AwsError(
    'MalformedTrailerError',
    'The request contained trailing data that was not well-formed or did not conform to our published schema.',
    { status: 400 },
  );
}
