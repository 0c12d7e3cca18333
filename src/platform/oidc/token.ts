/** Tokens of OpenID Connect providers: read, and verified by the keys that the provider publishes. */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { getProviderJson, UntrustedProvider } from './provider-https.ts';

/** What is wrong with a token. `expired` and `unreachable` (the provider) are told apart, since they mean another error to the caller. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly reason: 'malformed' | 'expired' | 'unreachable' | 'untrusted' | 'rejected';
  constructor(reason: TokenError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The claims as they stand in the token, believed by nobody yet. Throws TokenError. */
export function readClaims(token: string): JWTPayload & { iss: string } {
  let claims: JWTPayload;
  try {
    claims = decodeJwt(token);
  } catch {
    throw malformed();
  }
  if (typeof claims.iss !== 'string' || typeof claims.sub !== 'string' || typeof claims.exp !== 'number') throw malformed();
  return { ...claims, iss: claims.iss };
}

function malformed(): TokenError {
  const message = 'The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)';
  return new TokenError('malformed', message);
}

/** Asymmetric only: a secret that both sides know proves nothing here, and `none` even less. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

/** The claims, once signature, issuer, audience and times were found to be right. Throws TokenError. */
export async function verifyToken(
  token: string,
  expected: { issuer: string; audiences: string[]; thumbprints: string[]; now: Date },
): Promise<JWTPayload> {
  const verify = async (keys: JSONWebKeySet): Promise<JWTPayload> => {
    const options = { algorithms: ALGORITHMS, issuer: expected.issuer, audience: expected.audiences, currentDate: expected.now };
    return (await jwtVerify(token, createLocalJWKSet(keys), options)).payload;
  };
  try {
    try {
      return await verify(await keysOf(expected.issuer, expected.thumbprints));
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // The provider may have changed its keys since they were fetched.
      return await verify(await keysOf(expected.issuer, expected.thumbprints, RENEW_AFTER_MS));
    }
  } catch (error) {
    throw tokenError(error as Error);
  }
}

function tokenError(error: Error): TokenError {
  if (error instanceof TokenError) return error;
  if (error instanceof errors.JWTExpired) return new TokenError('expired', 'Token is expired');
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud') {
    return new TokenError('rejected', 'Incorrect token audience');
  }
  return new TokenError('rejected', 'The token could not be verified with the keys of its provider');
}

const KEEP_MS = 600_000;
/** A token with an unknown key makes us ask the provider again, but not more often than this. */
const RENEW_AFTER_MS = 30_000;
const MAX_KEPT = 1000;
const kept = new Map<string, { keys: JSONWebKeySet; fetchedAt: number }>();

async function keysOf(issuer: string, thumbprints: string[], maxAge = KEEP_MS): Promise<JSONWebKeySet> {
  const name = [issuer, ...thumbprints].join(' ');
  const known = kept.get(name);
  if (known && performance.now() - known.fetchedAt < maxAge) return known.keys;
  const keys = await fetchKeys(issuer, thumbprints);
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(name, { keys, fetchedAt: performance.now() });
  return keys;
}

async function fetchKeys(issuer: string, thumbprints: string[]): Promise<JSONWebKeySet> {
  try {
    const settings = (await getProviderJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, thumbprints)) as {
      jwks_uri?: unknown;
    } | null;
    const uri = settings?.jwks_uri;
    if (typeof uri !== 'string' || !uri.startsWith('https://')) throw new Error('The provider does not say where its keys are.');
    return (await getProviderJson(uri, thumbprints)) as JSONWebKeySet;
  } catch (error) {
    if (error instanceof UntrustedProvider) {
      throw new TokenError('untrusted', "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint");
    }
    throw new TokenError(
      'unreachable',
      `Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements (${(error as Error).message})`,
    );
  }
}
