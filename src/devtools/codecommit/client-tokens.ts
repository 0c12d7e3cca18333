/** Idempotency tokens of clients: a request that comes again with its token gets the answer that it got. */
import { createHash } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';

const MAX_TOKEN = 256;

/** No token is fine. `ClientRequestTokenRequiredException` when it is empty, `InvalidClientRequestTokenException` when it can be none. */
export function checkToken(token: string | undefined): void {
  if (token === undefined) return;
  if (token === '') throw new AwsError('ClientRequestTokenRequiredException', 'A client request token is required. It cannot be empty.');
  if (token.length <= MAX_TOKEN && /^[^\x00-\x1f\x7f]+$/.test(token)) return;
  throw new AwsError(
    'InvalidClientRequestTokenException',
    `The client request token is not valid: it has more than ${MAX_TOKEN} characters, or characters that are not allowed.`,
  );
}

/** Tells requests of one token apart. */
export function hashRequest(said: unknown[]): string {
  const text = JSON.stringify(said.map((each) => each ?? null));
  return createHash('sha256').update(text).digest('hex');
}

/** `IdempotencyParameterMismatchException` when the token was used for another request. */
export function requireSameRequest(before: { request_hash: string }, requestHash: string): void {
  if (before.request_hash === requestHash) return;
  throw new AwsError(
    'IdempotencyParameterMismatchException',
    'The client request token is not valid. Either the token is not in a valid format, or the token has been used in a previous request and cannot be reused.',
  );
}
