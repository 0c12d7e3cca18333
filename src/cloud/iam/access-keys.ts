/** Access keys of users: two at most, their secrets told once. */
import { newAccessKeyId } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { changeEntity, onUser, requireEntity, userNameOf } from './entities.ts';
import { quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';
import { newSecret, sealSecret } from './secrets.ts';

const MAX_KEYS = 2;

const createAccessKey = operation('iam', 'CreateAccessKey', {
  authorize: onUser,
  async handle(ctx, { UserName }) {
    const id = newAccessKeyId('AKIA', ctx.account);
    const secret = newSecret();
    const created_at = ctx.now();
    const userName = await changeEntity(ctx, 'user', userNameOf(ctx, UserName), async (tx, user) => {
      const existing = await tx.sql.selectFrom('iam.access_keys').select('id').where('user_id', '=', user.id).execute();
      if (existing.length >= MAX_KEYS) throw quotaExceeded('AccessKeysPerUser', MAX_KEYS);
      const row = { id, user_id: user.id, secret: sealSecret(ctx.keyring, id, secret), active: true, created_at };
      await tx.sql.insertInto('iam.access_keys').values(row).execute();
      return user.name;
    });
    return { AccessKey: { UserName: userName, AccessKeyId: id, Status: statusOf(true), SecretAccessKey: secret, CreateDate: created_at } };
  },
});

const listAccessKeys = operation('iam', 'ListAccessKeys', {
  authorize: onUser,
  async handle(ctx, input) {
    const user = await requireEntity(ctx, 'user', userNameOf(ctx, input.UserName));
    const rows = await ctx.read
      .selectFrom('iam.access_keys')
      .select(['id', 'active', 'created_at'])
      .where('user_id', '=', user.id)
      .execute();
    const { items, ...page } = pageOfAll(ctx, `keys:${user.id}`, input, rows, (row) => row.id);
    const keys = items.map((row) => ({
      UserName: user.name,
      AccessKeyId: row.id,
      Status: statusOf(row.active),
      CreateDate: row.created_at,
    }));
    return { AccessKeyMetadata: keys, ...page };
  },
});

const updateAccessKey = operation('iam', 'UpdateAccessKey', {
  authorize: onUser,
  async handle(ctx, { UserName, AccessKeyId, Status }) {
    if (Status === 'Expired') throw new AwsError('InvalidInput', 'The status of an access key can be set to Active or Inactive.');
    await changeEntity(ctx, 'user', userNameOf(ctx, UserName), async (tx, user) => {
      await requireKey(tx, user.id, AccessKeyId);
      await tx.sql
        .updateTable('iam.access_keys')
        .set({ active: Status === 'Active' })
        .where('id', '=', AccessKeyId)
        .execute();
    });
    return {};
  },
});

const deleteAccessKey = operation('iam', 'DeleteAccessKey', {
  authorize: onUser,
  async handle(ctx, { UserName, AccessKeyId }) {
    await changeEntity(ctx, 'user', userNameOf(ctx, UserName), async (tx, user) => {
      await requireKey(tx, user.id, AccessKeyId);
      await tx.sql.deleteFrom('iam.access_keys').where('id', '=', AccessKeyId).execute();
    });
    return {};
  },
});

const getAccessKeyLastUsed = operation('iam', 'GetAccessKeyLastUsed', {
  authorize: () => '*',
  async handle(ctx, { AccessKeyId }) {
    const row = await ctx.read
      .selectFrom('iam.access_keys as key')
      .innerJoin('iam.entities as user', 'user.id', 'key.user_id')
      .select(['user.name', 'user.account', 'key.last_used_at', 'key.last_used_service', 'key.last_used_region'])
      .where('key.id', '=', AccessKeyId)
      .executeTakeFirst();
    if (row?.account !== ctx.account) throw noSuchKey(AccessKeyId);
    return {
      UserName: row.name,
      AccessKeyLastUsed: {
        LastUsedDate: row.last_used_at ?? undefined,
        ServiceName: row.last_used_service ?? 'N/A',
        Region: row.last_used_region ?? 'N/A',
      },
    };
  },
});

async function requireKey(tx: Transaction, userId: string, id: string): Promise<void> {
  const row = await tx.sql.selectFrom('iam.access_keys').select('id').where('id', '=', id).where('user_id', '=', userId).executeTakeFirst();
  if (!row) throw noSuchKey(id);
}

function noSuchKey(id: string): AwsError {
  return new AwsError('NoSuchEntity', `The Access Key with id ${id} cannot be found.`);
}

function statusOf(active: boolean): 'Active' | 'Inactive' {
  return active ? 'Active' : 'Inactive';
}

export const accessKeys = { createAccessKey, listAccessKeys, updateAccessKey, deleteAccessKey, getAccessKeyLastUsed };
