/** What a grant allows, and the tokens that tell of grants. */
import type { Platform } from '../../platform/platform.ts';
import { kmsError } from './errors.ts';
import type { GrantConstraints, GrantOperation, GrantRow } from './tables.ts';

/** Operations without an encryption context, to which constraints cannot apply. */
const CONTEXTLESS = new Set<GrantOperation>(['CreateGrant', 'DescribeKey', 'RetireGrant', 'GetPublicKey']);
const TOKEN_PURPOSE = 'kms:grant-token';

/** Whether one of the grants allows the operation with this encryption context. */
export function grantsFit(grants: GrantRow[], operation: GrantOperation, context: Record<string, string>): boolean {
  return grants.some(
    (grant) => grant.operations.includes(operation) && (CONTEXTLESS.has(operation) || satisfies(grant.constraints, context)),
  );
}

function satisfies(constraints: GrantConstraints | null, context: Record<string, string>): boolean {
  const { EncryptionContextEquals: equals, EncryptionContextSubset: subset } = constraints ?? {};
  if (equals && !(contains(context, equals) && Object.keys(context).length === Object.keys(equals).length)) return false;
  return !subset || contains(context, subset);
}

function contains(context: Record<string, string>, wanted: Record<string, string>): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(context, key) && context[key] === value);
}

export interface GrantName {
  key: string;
  grant: string;
}

export function sealGrantToken({ keyring }: Pick<Platform, 'keyring'>, name: GrantName): string {
  return keyring.seal(TOKEN_PURPOSE, Buffer.from(JSON.stringify(name)));
}

export function openGrantToken({ keyring }: Pick<Platform, 'keyring'>, token: string): GrantName {
  const plain = keyring.open(TOKEN_PURPOSE, token);
  if (!plain) throw kmsError('InvalidGrantTokenException', 'The grant token is not valid.');
  return JSON.parse(plain.toString()) as GrantName;
}

/** Grants hold as soon as they are made, so tokens change nothing; but they must be ones. */
export function checkGrantTokens(platform: Pick<Platform, 'keyring'>, tokens: string[] | undefined): void {
  for (const token of tokens ?? []) openGrantToken(platform, token);
}
