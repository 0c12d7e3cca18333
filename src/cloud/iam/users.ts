/** Users. */
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { requireAttachable } from './attachments.ts';
import { describeUser } from './describe.ts';
import {
  changeEntity,
  createEntity,
  deleteEntity,
  type Entity,
  listEntities,
  newTags,
  onList,
  onNew,
  onUser,
  renameEntity,
  requireEntity,
  userNameOf,
} from './entities.ts';
import { deleteConflict } from './errors.ts';
import { requireNoPolicies } from './inline-policies.ts';
import { requireNoSshKeys } from './ssh-keys.ts';

const createUser = operation('iam', 'CreateUser', {
  authorize: (input, ctx) => onNew('user', input.UserName, ctx, input),
  async handle(ctx, { UserName, Path, PermissionsBoundary, Tags }) {
    if (PermissionsBoundary) await requireAttachable(ctx, PermissionsBoundary);
    const tags = JSON.stringify(newTags(Tags));
    const user = await ctx.transaction((tx) =>
      createEntity(tx, ctx, 'user', { name: UserName, path: Path, boundary: PermissionsBoundary, tags }),
    );
    return { User: describeUser(user, true) };
  },
});

const getUser = operation('iam', 'GetUser', {
  authorize: (input, ctx) => (ctx.principal.type === 'Root' && !input.UserName ? ctx.principal.arn : onUser(input, ctx)),
  async handle(ctx, { UserName }) {
    const { principal } = ctx;
    if (principal.type === 'Root' && !UserName) {
      const since = await ctx.read
        .selectFrom('iam.accounts')
        .select('created_at')
        .where('account', '=', ctx.account)
        .executeTakeFirstOrThrow();
      return { User: { Path: '/', UserName: 'root', UserId: ctx.account, Arn: principal.arn, CreateDate: since.created_at } };
    }
    return { User: describeUser(await requireEntity(ctx, 'user', userNameOf(ctx, UserName)), true) };
  },
});

const listUsers = operation('iam', 'ListUsers', {
  authorize: onList('user'),
  async handle(ctx, input) {
    const { items, ...page } = await listEntities(ctx, 'user', input);
    return { Users: items.map((user) => describeUser(user)), ...page };
  },
});

const updateUser = operation('iam', 'UpdateUser', {
  authorize: onUser,
  async handle(ctx, { UserName, NewUserName, NewPath }) {
    await changeEntity(ctx, 'user', UserName, (tx, user) => renameEntity(tx, user, NewUserName, NewPath));
    return {};
  },
});

const deleteUser = operation('iam', 'DeleteUser', {
  authorize: onUser,
  async handle(ctx, { UserName }) {
    await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      await requireNoPolicies(tx, user);
      await requireNothingOwned(tx, user);
      await requireNoSshKeys(tx, user);
      await deleteEntity(tx, user);
    });
    return {};
  },
});

/** A user who is a member, or has credentials, cannot be deleted. */
async function requireNothingOwned(tx: Transaction, user: Entity): Promise<void> {
  const { sql } = tx;
  const [membership, key, credential, password] = [
    await sql.selectFrom('iam.group_members').select('group_id').where('user_id', '=', user.id).executeTakeFirst(),
    await sql.selectFrom('iam.access_keys').select('id').where('user_id', '=', user.id).executeTakeFirst(),
    await sql.selectFrom('iam.service_credentials').select('id').where('user_id', '=', user.id).executeTakeFirst(),
    await sql.selectFrom('iam.login_profiles').select('user_id').where('user_id', '=', user.id).executeTakeFirst(),
  ];
  if (membership) throw deleteConflict('remove users from group');
  if (key) throw deleteConflict('delete access keys');
  if (password) throw deleteConflict('delete login profile');
  if (credential) throw deleteConflict('delete service specific credentials');
}

export const users = { createUser, getUser, listUsers, updateUser, deleteUser };
