/** Passwords of users, for the console. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { passwordPolicyOf } from './account-settings.ts';
import { changeEntity, type Entity, entityArn, onUser, requireEntity, userNameOf } from './entities.ts';
import { hashChosenPassword, isPassword, requireStrong, violation } from './passwords.ts';
import type { PasswordPolicy } from './tables.ts';

const createLoginProfile = operation('iam', 'CreateLoginProfile', {
  authorize: onUser,
  async handle(ctx, { UserName, Password, PasswordResetRequired = false }) {
    const name = userNameOf(ctx, UserName);
    const policy = await passwordPolicyOf(ctx.read, ctx.account);
    if (Password === undefined) throw violation('Password is required');
    requireStrong(Password, name, policy);
    const password_hash = await hashChosenPassword(Password);
    const created_at = ctx.now();
    const owner = await changeEntity(ctx, 'user', name, async (tx, user) => {
      const made = await tx.sql
        .insertInto('iam.login_profiles')
        .values({ user_id: user.id, password_hash, created_at, changed_at: created_at, reset_required: PasswordResetRequired })
        .onConflict((conflict) => conflict.column('user_id').doNothing())
        .returning('user_id')
        .executeTakeFirst();
      if (!made) throw new AwsError('EntityAlreadyExists', `Login Profile for user ${user.name} already exists.`);
      return user.name;
    });
    return { LoginProfile: { UserName: owner, CreateDate: created_at, PasswordResetRequired } };
  },
});

const getLoginProfile = operation('iam', 'GetLoginProfile', {
  authorize: onUser,
  async handle(ctx, { UserName }) {
    const user = await requireEntity(ctx, 'user', userNameOf(ctx, UserName));
    const row = await ctx.read.selectFrom('iam.login_profiles').selectAll().where('user_id', '=', user.id).executeTakeFirst();
    if (!row) throw noProfile(user.name);
    return { LoginProfile: { UserName: user.name, CreateDate: row.created_at, PasswordResetRequired: row.reset_required } };
  },
});

const updateLoginProfile = operation('iam', 'UpdateLoginProfile', {
  authorize: onUser,
  async handle(ctx, { UserName, Password, PasswordResetRequired }) {
    if (Password !== undefined) {
      await setPassword(ctx, UserName, Password, PasswordResetRequired);
      return {};
    }
    await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      await requireProfile(tx, user);
      if (PasswordResetRequired === undefined) return;
      await tx.sql
        .updateTable('iam.login_profiles')
        .set({ reset_required: PasswordResetRequired })
        .where('user_id', '=', user.id)
        .execute();
    });
    return {};
  },
});

const deleteLoginProfile = operation('iam', 'DeleteLoginProfile', {
  authorize: onUser,
  async handle(ctx, { UserName }) {
    await changeEntity(ctx, 'user', userNameOf(ctx, UserName), async (tx, user) => {
      await requireProfile(tx, user);
      await tx.sql.deleteFrom('iam.login_profiles').where('user_id', '=', user.id).execute();
    });
    return {};
  },
});

const changePassword = operation('iam', 'ChangePassword', {
  async authorize(_, ctx) {
    const policy = await passwordPolicyOf(ctx.read, ctx.account);
    // The account's rules may let everybody change his own password, whatever the policies say.
    if (policy?.AllowUsersToChangePassword && ctx.principal.type === 'User') return [];
    return entityArn(ctx.account, 'user', ctx.principal.type === 'User' ? ctx.principal.name : '*');
  },
  async handle(ctx, { OldPassword, NewPassword }) {
    if (ctx.principal.type !== 'User') throw ctx.error('InvalidUserType', 'Only IAM Users can change their own password.');
    const { name } = ctx.principal;
    const user = await requireEntity(ctx, 'user', name);
    const row = await ctx.read.selectFrom('iam.login_profiles').select('password_hash').where('user_id', '=', user.id).executeTakeFirst();
    if (!row) throw noProfile(name);
    if (!(await isPassword(OldPassword, row.password_hash))) {
      throw new AwsError('AccessDenied', 'The old password was incorrect.', { status: 403 });
    }
    await setPassword(ctx, name, NewPassword, false);
    return {};
  },
});

/** A new password by the account's rules. Hashing is slow and comes before the transaction. */
async function setPassword(ctx: RequestContext, name: string, password: string, resetRequired: boolean | undefined): Promise<void> {
  const policy = await passwordPolicyOf(ctx.read, ctx.account);
  requireStrong(password, name, policy);
  const user = await requireEntity(ctx, 'user', name);
  await requireUnused(ctx, user, password, policy);
  const password_hash = await hashChosenPassword(password);
  await changeEntity(ctx, 'user', name, async (tx, locked) => {
    const former = await requireProfile(tx, locked);
    const replaced_at = ctx.now();
    await tx.sql
      .insertInto('iam.former_passwords')
      .values({ user_id: locked.id, password_hash: former.password_hash, replaced_at })
      .execute();
    await tx.sql
      .updateTable('iam.login_profiles')
      .set({ password_hash, changed_at: replaced_at, ...(resetRequired !== undefined && { reset_required: resetRequired }) })
      .where('user_id', '=', locked.id)
      .execute();
  });
}

/** PasswordReusePrevention counts the present password among the last ones. */
async function requireUnused(ctx: RequestContext, user: Entity, password: string, policy: PasswordPolicy | null): Promise<void> {
  const remembered = policy?.PasswordReusePrevention ?? 0;
  if (remembered === 0) return;
  const present = await ctx.read.selectFrom('iam.login_profiles').select('password_hash').where('user_id', '=', user.id).execute();
  const former = await ctx.read
    .selectFrom('iam.former_passwords')
    .select('password_hash')
    .where('user_id', '=', user.id)
    .orderBy('replaced_at', 'desc')
    .limit(remembered - 1)
    .execute();
  for (const { password_hash } of [...present, ...former]) {
    if (await isPassword(password, password_hash)) throw violation('Password has been used previously');
  }
}

async function requireProfile(tx: Transaction, user: Entity) {
  const row = await tx.sql.selectFrom('iam.login_profiles').selectAll().where('user_id', '=', user.id).executeTakeFirst();
  if (!row) throw noProfile(user.name);
  return row;
}

function noProfile(userName: string): AwsError {
  return new AwsError('NoSuchEntity', `Login Profile for User ${userName} cannot be found.`);
}

export const loginProfiles = { createLoginProfile, getLoginProfile, updateLoginProfile, deleteLoginProfile, changePassword };
