/** A stream that lets a body through and fails at its end when it was not what the request promised. */
import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import { contentHashMismatch } from './signature-errors.ts';

/** Fails with XAmzContentSHA256Mismatch unless all that passed has this SHA-256 (hex). */
export function contentHashCheck(expected: string): Transform {
  const hash = createHash('sha256');
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const computed = hash.digest('hex');
      done(computed === expected ? null : contentHashMismatch(expected, computed));
    },
  });
}
