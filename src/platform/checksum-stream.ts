/** Checksums over streams: what a client stated is compared, what it asked for is computed. */
import { Transform, type TransformCallback } from 'node:stream';
import { type Checksum, type ChecksumAlgorithm, checksumAlgorithmOf, createChecksum } from './checksums.ts';
import { AwsError } from './errors.ts';

/** A body that is not what its checksum says. */
export function checksumMismatch(algorithm: string): AwsError {
  return new AwsError('BadDigest', `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`, { status: 400 });
}

/**
 * Computes checksums of what passes. Those with an expected value (base64) fail the stream at its end when they differ; `results` has all of
 * them once the stream has ended.
 */
export class ChecksumCheck extends Transform {
  readonly results: Partial<Record<ChecksumAlgorithm, string>> = {};
  readonly #running: [ChecksumAlgorithm, Checksum, string | undefined][];

  constructor(wanted: Partial<Record<ChecksumAlgorithm, string | undefined>>) {
    super();
    this.#running = (Object.entries(wanted) as [ChecksumAlgorithm, string | undefined][]).map(([algorithm, expected]) => [
      algorithm,
      createChecksum(algorithm),
      expected,
    ]);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (const [, checksum] of this.#running) checksum.update(chunk);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    let failure: AwsError | undefined;
    for (const [algorithm, checksum, expected] of this.#running) {
      const computed = checksum.digest();
      this.results[algorithm] = computed;
      if (expected !== undefined && expected !== computed) failure ??= checksumMismatch(algorithm);
    }
    done(failure);
  }
}

/** The checksums that a request's headers state for its whole body. */
export function statedChecksums(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Partial<Record<ChecksumAlgorithm, string>> {
  const stated: Partial<Record<ChecksumAlgorithm, string>> = {};
  for (const [name, value] of Object.entries(headers)) {
    const algorithm = checksumAlgorithmOf(name);
    if (algorithm && typeof value === 'string') stated[algorithm] = value;
  }
  return stated;
}
