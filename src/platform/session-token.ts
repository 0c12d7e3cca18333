/**
 * Temporary credentials. Nothing of them is stored: the session token is the sealed statement of who, until when and within which limits, and
 * the secret key is derived from the access key id.
 */
import { createHmac } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { newAccessKeyId } from './access-key.ts';
import type { Keyring } from './keyring.ts';

export interface SessionStatement {
  account: string;
  /** Of the role or user. When another of the same name takes its place, the session ends. */
  id: string;
  arn: string;
  /** A session of a role; else of a user. */
  role?: { name: string; session: string };
  /** Session policy. */
  policy?: string;
  /** ARNs of managed policies that are session policies, as they are at the time of each request. */
  policyArns?: string[];
  tags?: Record<string, string>;
  /** Keys of `tags` that further sessions inherit. */
  transitiveTagKeys?: string[];
  sourceIdentity?: string;
  /** See `SessionLimits.context`. */
  context?: Record<string, string | string[]>;
  /** Milliseconds since 1970. */
  issuedAt: number;
  expiresAt: number;
}

const PURPOSE = 'session-token';
/** As on AWS: telling that this is a token, and no base64 of another thing. */
const PREFIX = 'IQoJ';

export interface SessionCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export function issueSession(keyring: Keyring, statement: SessionStatement): SessionCredentials {
  const accessKeyId = newAccessKeyId('ASIA', statement.account);
  const plain = deflateRawSync(JSON.stringify(statement));
  return {
    accessKeyId,
    secretAccessKey: secretOf(keyring, accessKeyId),
    sessionToken: PREFIX + keyring.seal(`${PURPOSE}:${accessKeyId}`, plain),
  };
}

/** Undefined when the token was not issued here for this access key. Whether it has expired is for the caller to see. */
export function openSession(
  keyring: Keyring,
  accessKeyId: string,
  token: string,
): { statement: SessionStatement; secret: string } | undefined {
  if (!token.startsWith(PREFIX)) return undefined;
  const plain = keyring.open(`${PURPOSE}:${accessKeyId}`, token.slice(PREFIX.length));
  if (!plain) return undefined;
  return { statement: JSON.parse(inflateRawSync(plain).toString()) as SessionStatement, secret: secretOf(keyring, accessKeyId) };
}

function secretOf(keyring: Keyring, accessKeyId: string): string {
  return createHmac('sha256', keyring.derive(PURPOSE)).update(accessKeyId).digest('base64').slice(0, 40);
}
