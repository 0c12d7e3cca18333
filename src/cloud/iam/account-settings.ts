/** What an account says of itself: its alias, its rules for passwords, and how much it has of everything. */
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { QUOTA } from './entities.ts';
import { pageOfAll } from './paging.ts';
import type { EntityKind, PasswordPolicy } from './tables.ts';

const DEFAULT_MINIMUM_LENGTH = 6;

/** An account has one alias; a new one takes the place of the old. */
const createAccountAlias = operation('iam', 'CreateAccountAlias', {
  authorize: () => '*',
  async handle(ctx, { AccountAlias }) {
    await ctx.transaction(async (tx) => {
      const owner = await tx.sql.selectFrom('iam.accounts').select('account').where('alias', '=', AccountAlias).executeTakeFirst();
      if (owner) throw new AwsError('EntityAlreadyExists', `The account alias ${AccountAlias} already exists.`);
      await tx.sql.updateTable('iam.accounts').set({ alias: AccountAlias }).where('account', '=', ctx.account).execute();
    });
    return {};
  },
});

const deleteAccountAlias = operation('iam', 'DeleteAccountAlias', {
  authorize: () => '*',
  async handle(ctx, { AccountAlias }) {
    await ctx.transaction(async (tx) => {
      const changed = await tx.sql
        .updateTable('iam.accounts')
        .set({ alias: null })
        .where('account', '=', ctx.account)
        .where('alias', '=', AccountAlias)
        .returning('account')
        .executeTakeFirst();
      if (!changed) throw new AwsError('NoSuchEntity', `The account alias ${AccountAlias} cannot be found.`);
    });
    return {};
  },
});

const listAccountAliases = operation('iam', 'ListAccountAliases', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { alias } = await ctx.read
      .selectFrom('iam.accounts')
      .select('alias')
      .where('account', '=', ctx.account)
      .executeTakeFirstOrThrow();
    const { items, ...page } = pageOfAll(ctx, 'aliases', input, alias ? [alias] : [], (one) => one);
    return { AccountAliases: items, ...page };
  },
});

const updateAccountPasswordPolicy = operation('iam', 'UpdateAccountPasswordPolicy', {
  authorize: () => '*',
  async handle(ctx, input) {
    // Each call states the whole policy: what it leaves out goes back to its default.
    const policy: PasswordPolicy = { ...input, MinimumPasswordLength: input.MinimumPasswordLength ?? DEFAULT_MINIMUM_LENGTH };
    await ctx.transaction(async (tx) => {
      await tx.sql
        .updateTable('iam.accounts')
        .set({ password_policy: JSON.stringify(policy) })
        .where('account', '=', ctx.account)
        .execute();
    });
    return {};
  },
});

const getAccountPasswordPolicy = operation('iam', 'GetAccountPasswordPolicy', {
  authorize: () => '*',
  async handle(ctx) {
    const policy = await passwordPolicyOf(ctx.read, ctx.account);
    if (!policy) throw noPasswordPolicy(ctx.account);
    return {
      PasswordPolicy: {
        MinimumPasswordLength: policy.MinimumPasswordLength,
        RequireSymbols: policy.RequireSymbols ?? false,
        RequireNumbers: policy.RequireNumbers ?? false,
        RequireUppercaseCharacters: policy.RequireUppercaseCharacters ?? false,
        RequireLowercaseCharacters: policy.RequireLowercaseCharacters ?? false,
        AllowUsersToChangePassword: policy.AllowUsersToChangePassword ?? false,
        ExpirePasswords: policy.MaxPasswordAge !== undefined,
        MaxPasswordAge: policy.MaxPasswordAge,
        PasswordReusePrevention: policy.PasswordReusePrevention,
        HardExpiry: policy.HardExpiry,
      },
    };
  },
});

const deleteAccountPasswordPolicy = operation('iam', 'DeleteAccountPasswordPolicy', {
  authorize: () => '*',
  async handle(ctx) {
    await ctx.transaction(async (tx) => {
      const changed = await tx.sql
        .updateTable('iam.accounts')
        .set({ password_policy: null })
        .where('account', '=', ctx.account)
        .where('password_policy', 'is not', null)
        .returning('account')
        .executeTakeFirst();
      if (!changed) throw noPasswordPolicy(ctx.account);
    });
    return {};
  },
});

const SUMMARY: Record<EntityKind, [count: string, quota: string]> = {
  user: ['Users', 'UsersQuota'],
  group: ['Groups', 'GroupsQuota'],
  role: ['Roles', 'RolesQuota'],
  policy: ['Policies', 'PoliciesQuota'],
  'instance-profile': ['InstanceProfiles', 'InstanceProfilesQuota'],
};

const getAccountSummary = operation('iam', 'GetAccountSummary', {
  authorize: () => '*',
  async handle(ctx) {
    const rows = await ctx.read
      .selectFrom('iam.entities')
      .select((query) => ['kind', query.fn.countAll<string>().as('count')])
      .where('account', '=', ctx.account)
      .groupBy('kind')
      .execute();
    const counts = new Map(rows.map((row) => [row.kind, Number(row.count)]));
    const providers = await ctx.read.selectFrom('iam.oidc_providers').select('arn').where('account', '=', ctx.account).execute();
    const kinds = Object.entries(SUMMARY) as [EntityKind, [string, string]][];
    return {
      SummaryMap: Object.fromEntries([
        ...kinds.flatMap(([kind, [count, quota]]) => [
          [count, counts.get(kind) ?? 0],
          [quota, QUOTA[kind][1]],
        ]),
        ['Providers', providers.length],
        ['MFADevices', 0],
        ['MFADevicesInUse', 0],
        ['AccountMFAEnabled', 0],
        ['AccountAccessKeysPresent', 0],
        ['AccountSigningCertificatesPresent', 0],
        ['ServerCertificates', 0],
        ['AccessKeysPerUserQuota', 2],
        ['SigningCertificatesPerUserQuota', 2],
        ['VersionsPerPolicyQuota', 5],
        ['AttachedPoliciesPerUserQuota', 10],
        ['AttachedPoliciesPerGroupQuota', 10],
        ['AttachedPoliciesPerRoleQuota', 10],
        ['GroupsPerUserQuota', 10],
        ['UserPolicySizeQuota', 2048],
        ['GroupPolicySizeQuota', 5120],
        ['RolePolicySizeQuota', 10_240],
        ['PolicySizeQuota', 6144],
        ['AssumeRolePolicySizeQuota', 2048],
        ['GlobalEndpointTokenVersion', 1],
      ]) as never,
    };
  },
});

/** Null when the account has set no rules of its own. */
export async function passwordPolicyOf(read: Pick<Reader, 'selectFrom'>, account: string): Promise<PasswordPolicy | null> {
  const row = await read.selectFrom('iam.accounts').select('password_policy').where('account', '=', account).executeTakeFirst();
  return row?.password_policy ?? null;
}

function noPasswordPolicy(account: string): AwsError {
  return new AwsError('NoSuchEntity', `The Password Policy with domain name ${account} cannot be found.`);
}

export const accountSettings = {
  createAccountAlias,
  deleteAccountAlias,
  listAccountAliases,
  updateAccountPasswordPolicy,
  getAccountPasswordPolicy,
  deleteAccountPasswordPolicy,
  getAccountSummary,
};
