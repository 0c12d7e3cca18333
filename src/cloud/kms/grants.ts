/** Grants: a principal may do some things with a key, by no policy. */
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { type Check, type Input, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { keyCheck, namesOf } from './access.ts';
import { lockKey } from './change-key.ts';
import { endDryRun, keyMissing, kmsError, refusePendingDeletion, requireEnabled } from './errors.ts';
import { openGrantToken, sealGrantToken } from './grant-rules.ts';
import { findKey, grantsTo, type Key, keyArn, keyChanged, lookUpKey } from './keys.ts';
import { pageOf } from './pages.ts';
import { algorithmsOf, isSymmetric } from './specs.ts';
import type { GrantOperation, GrantRow, KeyRow } from './tables.ts';

/** Of one key (developer guide, "Resource quotas"). */
const MAX_GRANTS = 50_000;
const PRINCIPAL = /^arn:aws[\w-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)\/.+)$/;
const SERVICE = /^[a-z0-9.-]+\.amazonaws\.com$/;

const ALWAYS: GrantOperation[] = ['CreateGrant', 'RetireGrant', 'DescribeKey'];
const ENCRYPTING: GrantOperation[] = ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'ReEncryptTo'];
const DATA_KEYS: GrantOperation[] = [
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
];

/** What a key can do at all. */
function possible(key: KeyRow): GrantOperation[] {
  const { encryption, signing, mac } = algorithmsOf(key);
  return [
    ...ALWAYS,
    ...(encryption.length > 0 ? ENCRYPTING : []),
    ...(isSymmetric(key) ? DATA_KEYS : []),
    ...(signing.length > 0 ? (['Sign', 'Verify'] as const) : []),
    ...(mac.length > 0 ? (['GenerateMac', 'VerifyMac'] as const) : ([] as const)),
    ...(mac.length > 0 || isSymmetric(key) ? [] : (['GetPublicKey'] as const)),
  ];
}

type Wanted = Input<'kms', 'CreateGrant'>;

export const createGrant = operation('kms', 'CreateGrant', {
  async authorize(input, ctx) {
    const key = await findKey(ctx, input.KeyId);
    const constraints = Object.keys(input.Constraints ?? {});
    const check = await keyCheck(ctx, key, {
      grantTokens: input.GrantTokens,
      conditions: {
        'kms:GrantIsForAWSResource': String(ctx.via !== undefined),
        'kms:GrantOperations': input.Operations,
        ...(granteeOf(input) !== undefined && { 'kms:GranteePrincipal': granteeOf(input)! }),
        ...(retiringOf(input) !== undefined && { 'kms:RetiringPrincipal': retiringOf(input)! }),
        ...(constraints.length > 0 && { 'kms:GrantConstraintType': constraints }),
      },
    });
    const own = await grantsTo(ctx, key.id, namesOf(ctx.principal));
    return { ...check, granted: own.some((grant) => mayPassOn(grant, input)) };
  },
  async handle(ctx, input) {
    const { id } = await findKey(ctx, input.KeyId);
    return ctx.transaction(async (tx) => {
      const key = await lockKey(tx, id);
      if (!key) throw keyMissing(keyArn(ctx, id));
      requireEnabled(key);
      checkGrant(key, input);
      endDryRun(input.DryRun);
      const same = input.Name === undefined ? undefined : await findSame(tx, key, input);
      if (same) return { GrantId: same.id, GrantToken: sealGrantToken(ctx, { key: id, grant: same.id }) };
      const { count } = await tx.sql
        .selectFrom('kms.grants')
        .select(sql<number>`count(*)::int`.as('count'))
        .where('key_id', '=', id)
        .executeTakeFirstOrThrow();
      if (count >= MAX_GRANTS) throw kmsError('LimitExceededException', `A key may have at most ${MAX_GRANTS} grants.`);
      const grant = randomBytes(32).toString('hex');
      await tx.sql
        .insertInto('kms.grants')
        .values({
          key_id: id,
          id: grant,
          account: key.account,
          region: key.region,
          name: input.Name ?? null,
          grantee: granteeOf(input)!,
          retiring: retiringOf(input) ?? null,
          issuing_account: ctx.account,
          operations: JSON.stringify(input.Operations),
          constraints: input.Constraints ? JSON.stringify(input.Constraints) : null,
          created_at: ctx.now(),
        })
        .execute();
      await keyChanged(ctx, tx, id);
      return { GrantId: grant, GrantToken: sealGrantToken(ctx, { key: id, grant }) };
    });
  },
  partial: 'no SourceArn constraint',
});

function granteeOf(input: Wanted): string | undefined {
  return input.GranteePrincipal ?? input.GranteeServicePrincipal;
}

function retiringOf(input: Wanted): string | undefined {
  return input.RetiringPrincipal ?? input.RetiringServicePrincipal;
}

/** Whoever was granted the making of grants can pass on only what he was granted himself, and as narrowly. */
function mayPassOn(grant: GrantRow, input: Wanted): boolean {
  const covered = grant.operations.includes('CreateGrant') && input.Operations.every((one) => grant.operations.includes(one));
  return covered && (grant.constraints === null || isDeepStrictEqual(grant.constraints, input.Constraints));
}

function checkGrant(key: Key | KeyRow, input: Wanted): void {
  const grantee = granteeOf(input);
  if (grantee === undefined) throw kmsError('ValidationException', 'You must specify GranteePrincipal or GranteeServicePrincipal.');
  for (const [arn, service] of [
    [input.GranteePrincipal, input.GranteeServicePrincipal],
    [input.RetiringPrincipal, input.RetiringServicePrincipal],
  ]) {
    if (arn !== undefined && service !== undefined) throw kmsError('ValidationException', 'A principal is an ARN or a service, not both.');
    if (arn !== undefined && !PRINCIPAL.test(arn)) throw kmsError('InvalidArnException', `ARN does not refer to a valid principal: ${arn}`);
    if (service !== undefined && !SERVICE.test(service)) throw kmsError('ValidationException', `Not a service principal: ${service}`);
  }
  const able = possible(key);
  const foreign = input.Operations.filter((one) => !able.includes(one));
  if (foreign.length > 0) throw kmsError('ValidationException', `The key cannot be granted for ${foreign.join(', ')}: it cannot do that.`);
  const { EncryptionContextEquals: equals, EncryptionContextSubset: subset, SourceArn: source } = input.Constraints ?? {};
  if (source !== undefined) throw kmsError('ValidationException', 'The grant constraint SourceArn is not supported.');
  if (equals && subset) throw kmsError('ValidationException', 'A grant has EncryptionContextEquals or EncryptionContextSubset, not both.');
  if ((equals || subset) && !isSymmetric(key)) {
    throw kmsError('ValidationException', 'Encryption context constraints are for symmetric encryption keys only.');
  }
}

/** A named grant that was made before with all the same: whoever asks again means that one. */
async function findSame(tx: Transaction, key: KeyRow, input: Wanted): Promise<GrantRow | undefined> {
  const named = await tx.sql
    .selectFrom('kms.grants')
    .selectAll()
    .where('key_id', '=', key.id)
    .where('name', '=', input.Name!)
    .where('grantee', '=', granteeOf(input)!)
    .execute();
  return named.find(
    (grant) =>
      grant.retiring === (retiringOf(input) ?? null) &&
      isDeepStrictEqual([...grant.operations].sort(), [...input.Operations].sort()) &&
      isDeepStrictEqual(grant.constraints, input.Constraints ?? null),
  );
}

export const listGrants = operation('kms', 'ListGrants', {
  authorize: async (input, ctx) => keyCheck(ctx, await findKey(ctx, input.KeyId)),
  async handle(ctx, input) {
    const key = await findKey(ctx, input.KeyId);
    refusePendingDeletion(key);
    const page = pageOf<string>(ctx, `kms:ListGrants:${key.id}`, input, { usual: 50 });
    let query = ctx.read
      .selectFrom('kms.grants')
      .selectAll()
      .where('key_id', '=', key.id)
      .orderBy('id')
      .limit(page.limit + 1);
    if (page.after !== undefined) query = query.where('id', '>', page.after);
    if (input.GrantId !== undefined) query = query.where('id', '=', input.GrantId);
    if (input.GranteePrincipal !== undefined) query = query.where('grantee', '=', input.GranteePrincipal);
    if (input.GranteeServicePrincipal !== undefined) query = query.where('grantee', '=', input.GranteeServicePrincipal);
    const { items, ...rest } = page.cut(await query.execute(), ({ id }) => id);
    return { Grants: items.map(describeGrant), ...rest };
  },
});

export const listRetirableGrants = operation('kms', 'ListRetirableGrants', {
  authorize: () => '*',
  async handle(ctx, input) {
    const retiring = input.RetiringPrincipal ?? input.RetiringServicePrincipal;
    if (retiring === undefined) throw kmsError('ValidationException', 'You must specify RetiringPrincipal.');
    if (input.RetiringPrincipal !== undefined && !PRINCIPAL.test(retiring)) {
      throw kmsError('InvalidArnException', `ARN does not refer to a valid principal: ${retiring}`);
    }
    const page = pageOf<[string, string]>(ctx, `kms:ListRetirableGrants:${ctx.account}:${ctx.region}:${retiring}`, input, { usual: 50 });
    // A principal of another account would show what is not the caller's to know; of services, only the own account's keys.
    const foreign = input.RetiringPrincipal !== undefined && retiring.split(':')[4] !== ctx.account;
    if (foreign) return { Grants: [], Truncated: false };
    let query = ctx.read
      .selectFrom('kms.grants')
      .selectAll()
      .where('region', '=', ctx.region)
      .where('retiring', '=', retiring)
      .orderBy('key_id')
      .orderBy('id')
      .limit(page.limit + 1);
    if (input.RetiringPrincipal === undefined) query = query.where('account', '=', ctx.account);
    if (page.after) query = query.where(sql<boolean>`(key_id, id) > (${page.after[0]}::uuid, ${page.after[1]})`);
    const { items, ...rest } = page.cut(await query.execute(), (row) => [row.key_id, row.id]);
    return { Grants: items.map(describeGrant), ...rest };
  },
});

function describeGrant(grant: GrantRow): ShapeOf<'kms', 'GrantListEntry'> {
  const { grantee, retiring } = grant;
  return {
    KeyId: keyArn(grant, grant.key_id),
    GrantId: grant.id,
    ...(grant.name !== null && { Name: grant.name }),
    CreationDate: grant.created_at,
    ...(grantee.startsWith('arn:') ? { GranteePrincipal: grantee } : { GranteePrincipal: grantee, GranteeServicePrincipal: grantee }),
    ...(retiring !== null && { RetiringPrincipal: retiring }),
    IssuingAccount: `arn:aws:iam::${grant.issuing_account}:root`,
    Operations: grant.operations,
    ...(grant.constraints && { Constraints: grant.constraints }),
  };
}

export const revokeGrant = operation('kms', 'RevokeGrant', {
  authorize: async (input, ctx) =>
    keyCheck(ctx, await findKey(ctx, input.KeyId), { conditions: { 'kms:GrantIsForAWSResource': String(ctx.via !== undefined) } }),
  async handle(ctx, input) {
    const key = await findKey(ctx, input.KeyId);
    refusePendingDeletion(key);
    await findGrant(ctx, key.id, input.GrantId);
    endDryRun(input.DryRun);
    await removeGrant(ctx, key.id, input.GrantId);
    return {};
  },
});

/** Retiring is for those whom the grant itself names, and for the account that made it: policies do not give it. */
export const retireGrant = operation('kms', 'RetireGrant', {
  async authorize(input, ctx): Promise<Check> {
    const { keyId, grantId } = retired(ctx, input);
    const [key, grant] = [await lookUpKey(ctx, keyId), await findGrant(ctx, keyId, grantId)];
    if (!key) throw keyMissing(keyId);
    const names = namesOf(ctx.principal);
    const named = grant.retiring !== null && names.includes(grant.retiring);
    const own = grant.operations.includes('RetireGrant') && names.includes(grant.grantee);
    const issuer = ctx.principal.type === 'Root' && ctx.account === grant.issuing_account;
    return { resource: key.arn, resourceAccount: key.account, resourcePolicyRequired: true, granted: named || own || issuer };
  },
  async handle(ctx, input) {
    const { keyId, grantId } = retired(ctx, input);
    const key = await lookUpKey(ctx, keyId);
    if (!key) throw keyMissing(keyId);
    refusePendingDeletion(key);
    endDryRun(input.DryRun);
    await removeGrant(ctx, keyId, grantId);
    return {};
  },
});

/** Which grant is meant: by its token, or by the ARN of its key and its id. */
function retired(ctx: RequestContext, input: Input<'kms', 'RetireGrant'>): { keyId: string; grantId: string } {
  if (input.GrantToken !== undefined) {
    if (input.KeyId !== undefined || input.GrantId !== undefined) {
      throw kmsError('ValidationException', 'You must specify a grant token, or a key ARN and a grant ID, not both.');
    }
    const { key, grant } = openGrantToken(ctx, input.GrantToken);
    return { keyId: key, grantId: grant };
  }
  if (input.KeyId === undefined || input.GrantId === undefined) {
    throw kmsError('ValidationException', 'You must specify a grant token, or a key ARN and a grant ID.');
  }
  const id = /^arn:aws[\w-]*:kms:[\w-]+:\d{12}:key\/([0-9a-f-]{36})$/.exec(input.KeyId)?.[1];
  if (id === undefined) throw kmsError('InvalidArnException', `Not the ARN of a key: ${input.KeyId}`);
  return { keyId: id, grantId: input.GrantId };
}

async function findGrant(ctx: RequestContext, keyId: string, id: string): Promise<GrantRow> {
  const grant = await ctx.read.selectFrom('kms.grants').selectAll().where('key_id', '=', keyId).where('id', '=', id).executeTakeFirst();
  if (!grant) throw grantMissing(id);
  return grant;
}

async function removeGrant(ctx: RequestContext, keyId: string, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const { numDeletedRows } = await tx.sql.deleteFrom('kms.grants').where('key_id', '=', keyId).where('id', '=', id).executeTakeFirst();
    if (numDeletedRows === 0n) throw grantMissing(id);
    await keyChanged(ctx, tx, keyId);
  });
}

function grantMissing(id: string) {
  return kmsError('NotFoundException', `Grant ID ${id} not found`);
}
