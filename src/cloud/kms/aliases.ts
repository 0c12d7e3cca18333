/** Aliases: names for keys, of one account in one region. Those that begin with `aws/` belong to AWS's own keys. */

import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { keyCheck } from './access.ts';
import { lockKey } from './change-key.ts';
import { keyMissing, kmsError, refusePendingDeletion } from './errors.ts';
import { aliasArn, aliasChanged, findOwnKey, type Key, keyArn } from './keys.ts';
import { MANAGED_ALIASES } from './managed-keys.ts';
import { pageOf } from './pages.ts';
import { specOf } from './specs.ts';

const PREFIX = 'alias/';
const MAX_ALIASES_OF_KEY = 50;

/** The name behind `alias/`; throws when nobody may have or change such an alias. */
function ownName(full: string): string {
  if (!full.startsWith(PREFIX)) {
    throw kmsError(
      'ValidationException',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  }
  const name = full.slice(PREFIX.length);
  if (name === '' || name.includes(':')) throw new AwsError('InvalidAliasNameException', `${full} is not a valid alias name.`);
  if (name === 'aws' || name.startsWith('aws/')) {
    throw new AwsError('NotAuthorizedException', `Aliases that begin with ${PREFIX}aws/ belong to AWS managed keys.`, { status: 400 });
  }
  return name;
}

/** Whoever sets an alias needs the right on the alias and on the key. */
async function onAliasAndKey({ AliasName, TargetKeyId }: { AliasName: string; TargetKeyId: string }, ctx: RequestContext) {
  const name = ownName(AliasName);
  return [{ resource: aliasArn(ctx, name) }, await keyCheck(ctx, await findOwnKey(ctx, TargetKeyId), { alias: AliasName })];
}

async function targetOf(ctx: RequestContext, name: string) {
  return ctx.read
    .selectFrom('kms.aliases')
    .select('key_id')
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', '=', name)
    .executeTakeFirst();
}

function aliasMissing(ctx: RequestContext, name: string): AwsError {
  return kmsError('NotFoundException', `Alias ${aliasArn(ctx, name)} is not found.`);
}

export const createAlias = operation('kms', 'CreateAlias', {
  authorize: onAliasAndKey,
  async handle(ctx, input) {
    const name = ownName(input.AliasName);
    const { id } = await findOwnKey(ctx, input.TargetKeyId);
    await ctx.transaction(async (tx) => {
      const key = await lockKey(tx, id);
      if (!key) throw keyMissing(keyArn(ctx, id));
      refusePendingDeletion(key);
      const { length } = await tx.sql.selectFrom('kms.aliases').select('name').where('key_id', '=', id).execute();
      const now = ctx.now();
      const made = await tx.sql
        .insertInto('kms.aliases')
        .values({ account: ctx.account, region: ctx.region, name, key_id: id, created_at: now, updated_at: now })
        .onConflict((conflict) => conflict.doNothing())
        .returning('name')
        .executeTakeFirst();
      if (!made) throw ctx.error('AlreadyExistsException', `An alias with the name ${aliasArn(ctx, name)} already exists`);
      if (length >= MAX_ALIASES_OF_KEY) throw kmsError('LimitExceededException', `A key may have at most ${MAX_ALIASES_OF_KEY} aliases.`);
      await aliasChanged(ctx, tx, ctx);
    });
    return {};
  },
});

export const updateAlias = operation('kms', 'UpdateAlias', {
  async authorize(input, ctx) {
    const checks = await onAliasAndKey(input, ctx);
    const before = await targetOf(ctx, ownName(input.AliasName));
    // As on AWS, also on the key that loses it.
    return before ? [...checks, await keyCheck(ctx, await findOwnKey(ctx, before.key_id), { alias: input.AliasName })] : checks;
  },
  async handle(ctx, input) {
    const name = ownName(input.AliasName);
    const target = await findOwnKey(ctx, input.TargetKeyId);
    const before = await targetOf(ctx, name);
    if (!before) throw aliasMissing(ctx, name);
    requireAlike(await findOwnKey(ctx, before.key_id), target);
    await ctx.transaction(async (tx) => {
      const key = await lockKey(tx, target.id);
      if (!key) throw keyMissing(target.arn);
      refusePendingDeletion(key);
      const { numUpdatedRows } = await tx.sql
        .updateTable('kms.aliases')
        .set({ key_id: target.id, updated_at: ctx.now() })
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) throw aliasMissing(ctx, name);
      await aliasChanged(ctx, tx, ctx);
    });
    return {};
  },
});

/** Whoever uses an alias must not find another kind of key behind it. */
function requireAlike(before: Key, after: Key): void {
  const kindOf = (key: Key): string => {
    const { kind } = specOf(key.spec)!.making;
    return `${kind === 'secret' ? 'symmetric' : 'asymmetric'} ${key.usage}`;
  };
  if (kindOf(before) === kindOf(after)) return;
  throw kmsError('ValidationException', `An alias cannot be moved from a key that is ${kindOf(before)} to one that is ${kindOf(after)}.`);
}

export const deleteAlias = operation('kms', 'DeleteAlias', {
  async authorize(input, ctx) {
    const name = ownName(input.AliasName);
    const before = await targetOf(ctx, name);
    if (!before) return { resource: aliasArn(ctx, name) };
    return [{ resource: aliasArn(ctx, name) }, await keyCheck(ctx, await findOwnKey(ctx, before.key_id), { alias: input.AliasName })];
  },
  async handle(ctx, input) {
    const name = ownName(input.AliasName);
    await ctx.transaction(async (tx) => {
      const { numDeletedRows } = await tx.sql
        .deleteFrom('kms.aliases')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw aliasMissing(ctx, name);
      await aliasChanged(ctx, tx, ctx);
    });
    return {};
  },
});

export const listAliases = operation('kms', 'ListAliases', {
  authorize: () => '*',
  async handle(ctx, input) {
    const key = input.KeyId === undefined ? undefined : await findOwnKey(ctx, input.KeyId);
    const page = pageOf<string>(ctx, `kms:ListAliases:${ctx.account}:${ctx.region}:${key?.id ?? ''}`, input, { usual: 50 });
    const ofAccount = ctx.read.selectFrom('kms.aliases').selectAll().where('account', '=', ctx.account).where('region', '=', ctx.region);
    let query = ofAccount.orderBy('name').limit(page.limit + 1);
    if (key) query = query.where('key_id', '=', key.id);
    if (page.after !== undefined) query = query.where('name', '>', page.after);
    const [rows, managed] = await Promise.all([query.execute(), key ? [] : ofAccount.where('name', 'in', MANAGED_ALIASES).execute()]);
    const made = new Set(managed.map(({ name }) => name));
    const unmade = key ? [] : MANAGED_ALIASES.filter((name) => !made.has(name) && name > (page.after ?? ''));
    const all = [
      ...rows.map((row) => ({ name: row.name, entry: describeAlias(ctx, row.name, row) })),
      // Services' aliases are there before their keys are.
      ...unmade.map((name) => ({ name, entry: describeAlias(ctx, name) })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
    const { items, ...rest } = page.cut(all, ({ name }) => name);
    return { Aliases: items.map(({ entry }) => entry), ...rest };
  },
});

function describeAlias(
  ctx: RequestContext,
  name: string,
  row?: { key_id: string; created_at: Date; updated_at: Date },
): ShapeOf<'kms', 'AliasListEntry'> {
  return {
    AliasName: PREFIX + name,
    AliasArn: aliasArn(ctx, name),
    ...(row && { TargetKeyId: row.key_id, CreationDate: row.created_at, LastUpdatedDate: row.updated_at }),
  };
}
