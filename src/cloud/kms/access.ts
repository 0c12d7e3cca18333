/** The questions that KMS asks before it uses a key: key policy, the caller's policies, grants. */
import type { Principal } from '../../platform/principal.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { kmsError } from './errors.ts';
import { checkGrantTokens, grantsFit } from './grant-rules.ts';
import { findKey, findOwnKey, grantsTo, type Key } from './keys.ts';
import type { GrantOperation } from './tables.ts';

export type EncryptionContext = Record<string, string>;

export interface Use {
  /** `kms:Decrypt`; default: the operation. */
  action?: string;
  /** What a grant must name to allow it; absent where grants do not count. */
  grant?: GrantOperation;
  encryptionContext?: EncryptionContext | undefined;
  grantTokens?: string[] | undefined;
  conditions?: Record<string, string | string[]>;
  requestTags?: Record<string, string>;
  /** The alias by which the key was named, if it was. */
  alias?: string;
}

/** A question on a key, for `authorize` of an operation or of a context. */
export async function keyCheck(ctx: RequestContext, key: Key, use: Use = {}): Promise<Check> {
  const { action, grant, encryptionContext, grantTokens, conditions, requestTags, alias } = use;
  checkGrantTokens(ctx, grantTokens);
  return {
    ...(action !== undefined && { action }),
    resource: key.arn,
    resourceAccount: key.account,
    resourcePolicy: key.policy,
    resourcePolicyRequired: true,
    resourceTags: key.tags,
    requestTags,
    granted: grant !== undefined && (await isGranted(ctx, key, grant, encryptionContext)),
    conditions: {
      ...callConditions(ctx),
      'kms:KeySpec': key.spec,
      'kms:KeyUsage': key.usage,
      'kms:KeyOrigin': 'AWS_KMS',
      'kms:MultiRegion': 'false',
      ...(alias !== undefined && { 'kms:RequestAlias': alias }),
      ...contextConditions(encryptionContext),
      ...conditions,
    },
  };
}

/** The values that every call on a key has. */
export function callConditions(ctx: RequestContext): Record<string, string> {
  return {
    'kms:CallerAccount': ctx.principal.account,
    ...(ctx.via !== undefined && { 'kms:ViaService': `${ctx.via}.${ctx.region}.amazonaws.com` }),
  };
}

/** Condition keys do not distinguish case, so neither may the keys of a context be told apart by it. */
function contextConditions(context: EncryptionContext | undefined): Record<string, string | string[]> {
  const keys = Object.keys(context ?? {});
  if (keys.length === 0) return {};
  if (new Set(keys.map((key) => key.toLowerCase())).size < keys.length) {
    throw kmsError('ValidationException', 'The keys of an encryption context must differ by more than case.');
  }
  const each = Object.entries(context!).map(([key, value]) => [`kms:EncryptionContext:${key}`, value]);
  return { ...Object.fromEntries(each), 'kms:EncryptionContextKeys': keys };
}

async function isGranted(ctx: RequestContext, key: Key, operation: GrantOperation, context: EncryptionContext | undefined) {
  const grants = await grantsTo(ctx, key.id, namesOf(ctx.principal));
  return grantsFit(grants, operation, context ?? {});
}

/** Every name by which a grant may mean this principal. */
export function namesOf(principal: Principal): string[] {
  return principal.type === 'AssumedRole' ? [principal.arn, principal.roleArn] : [principal.arn];
}

/** For operations that manage a key of the caller's own account. */
export function onOwnKey<I extends { KeyId: string }>(conditions?: (input: I) => Record<string, string | string[]>) {
  return async (input: I, ctx: RequestContext): Promise<Check> =>
    keyCheck(ctx, await findOwnKey(ctx, input.KeyId), { conditions: conditions?.(input) ?? {} });
}

interface KeyInput {
  KeyId: string;
  EncryptionContext?: EncryptionContext | undefined;
  GrantTokens?: string[] | undefined;
}

/** For operations that use a key, which may be another account's. */
export function onKey<I extends { KeyId: string }>(grant: GrantOperation, conditions?: (input: I) => Record<string, string>) {
  return async (input: I & KeyInput, ctx: RequestContext): Promise<Check> =>
    keyCheck(ctx, await findKey(ctx, input.KeyId), {
      grant,
      encryptionContext: input.EncryptionContext,
      grantTokens: input.GrantTokens,
      conditions: conditions?.(input) ?? {},
      ...aliasOf(input.KeyId),
    });
}

/** `alias/…` of a key id that is an alias or its ARN. */
export function aliasOf(keyId: string): { alias?: string } {
  const at = keyId.startsWith('alias/') ? 0 : keyId.indexOf(':alias/') + 1;
  return at > 0 || keyId.startsWith('alias/') ? { alias: keyId.slice(at) } : {};
}
