/** Whose access key is it, and what is its secret? Asked by every version of the signature. */
import type { Principal } from '../platform/principal.ts';
import { type ErrorFamily, expiredSessionToken, invalidSessionToken, unknownAccessKey } from './signature-errors.ts';

/** What is known of an access key. `invalid-token`: the session token is not of this key. */
export type KnownCredentials = { secret: string; principal: Principal } | 'unknown' | 'invalid-token' | 'expired';
export type CredentialLookup = (accessKeyId: string, sessionToken: string | undefined) => Promise<KnownCredentials>;

/** The secret of an access key; every reason against it as the family's error. */
export async function findCredentials(
  accessKeyId: string,
  sessionToken: string | undefined,
  { lookup, family }: { lookup: CredentialLookup; family: ErrorFamily },
): Promise<{ secret: string; principal: Principal }> {
  const known = await lookup(accessKeyId, sessionToken);
  if (known === 'unknown') throw unknownAccessKey(family, accessKeyId);
  if (known === 'invalid-token') throw invalidSessionToken(family);
  if (known === 'expired') throw expiredSessionToken(family);
  return known;
}
