/** Managed policies attached to users, groups and roles, and set as permissions boundaries. */
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import { type Check, operation, type RequestContext } from '../../platform/service.ts';
import { awsPolicies } from './aws-policies.ts';
import { changeEntity, entityCheck, onGroup, onRole, onUser, requireEntity, requireModifiable } from './entities.ts';
import { invalidInput, quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';

type Holder = 'user' | 'group' | 'role';

const QUOTA: Record<Holder, [name: string, limit: number]> = {
  user: ['PoliciesPerUser', 10],
  group: ['PoliciesPerGroup', 10],
  role: ['PoliciesPerRole', 10],
};

export function requireArn(arn: string): void {
  if (!/^arn:aws[\w-]*:iam::(\d{12}|aws):policy\/[\x21-\x7e]+$/.test(arn)) throw invalidInput(`ARN ${arn} is not valid.`);
}

/** Throws NoSuchEntity unless the policy exists and is AWS's or the account's own. */
export async function requireAttachable(
  ctx: Pick<RequestContext, 'account'> & { read: Pick<Reader, 'selectFrom'> },
  arn: string,
): Promise<void> {
  requireArn(arn);
  if (awsPolicies().has(arn)) return;
  const own = await ctx.read
    .selectFrom('iam.entities')
    .select('id')
    .where('arn', '=', arn)
    .where('kind', '=', 'policy')
    .where('account', '=', ctx.account)
    .executeTakeFirst();
  if (!own) throw new AwsError('NoSuchEntity', `Policy ${arn} does not exist or is not attachable.`);
}

const onAttachment = (kind: Holder, name: string, arn: string, ctx: RequestContext): Promise<Check> =>
  entityCheck(ctx, kind, name, { conditions: { 'iam:PolicyARN': arn } });

async function attach(ctx: RequestContext, kind: Holder, name: string, arn: string): Promise<void> {
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    // Share-locked, so that the policy is not deleted between the look at it and the insert.
    await tx.sql.selectFrom('iam.entities').select('id').where('arn', '=', arn).forShare().execute();
    await requireAttachable({ account: ctx.account, read: tx.sql }, arn);
    const attached = await tx.sql.selectFrom('iam.attachments').select('policy_arn').where('entity_id', '=', entity.id).execute();
    if (attached.some((row) => row.policy_arn === arn)) return;
    const [quota, limit] = QUOTA[kind];
    if (attached.length >= limit) throw quotaExceeded(quota, limit);
    await tx.sql.insertInto('iam.attachments').values({ entity_id: entity.id, policy_arn: arn, account: ctx.account }).execute();
  });
}

async function detach(ctx: RequestContext, kind: Holder, name: string, arn: string): Promise<void> {
  requireArn(arn);
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    const deleted = await tx.sql
      .deleteFrom('iam.attachments')
      .where('entity_id', '=', entity.id)
      .where('policy_arn', '=', arn)
      .executeTakeFirst();
    if (deleted.numDeletedRows === 0n) throw new AwsError('NoSuchEntity', `Policy ${arn} was not found.`);
  });
}

async function listAttached(
  ctx: RequestContext,
  kind: Holder,
  name: string,
  input: { PathPrefix?: string; Marker?: string; MaxItems?: number },
) {
  const entity = await requireEntity(ctx, kind, name);
  const rows = await ctx.read.selectFrom('iam.attachments').select('policy_arn').where('entity_id', '=', entity.id).execute();
  const { PathPrefix = '/' } = input;
  const under = rows.filter((row) => policyPath(row.policy_arn).startsWith(PathPrefix));
  const { items, ...page } = pageOfAll(ctx, `attached:${entity.id}:${PathPrefix}`, input, under, (row) => row.policy_arn);
  return {
    AttachedPolicies: items.map(({ policy_arn }) => ({
      PolicyName: policy_arn.slice(policy_arn.lastIndexOf('/') + 1),
      PolicyArn: policy_arn,
    })),
    ...page,
  };
}

/** `/service-role/` of `arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole`. */
function policyPath(arn: string): string {
  return arn.slice(arn.indexOf('/'), arn.lastIndexOf('/') + 1);
}

async function setBoundary(ctx: RequestContext, kind: 'user' | 'role', name: string, arn: string | null): Promise<void> {
  if (arn !== null) await requireAttachable(ctx, arn);
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    await tx.sql.updateTable('iam.entities').set({ boundary: arn }).where('id', '=', entity.id).execute();
  });
}

export const attachments = {
  attachUserPolicy: operation('iam', 'AttachUserPolicy', {
    authorize: ({ UserName, PolicyArn }, ctx) => onAttachment('user', UserName, PolicyArn, ctx),
    async handle(ctx, { UserName, PolicyArn }) {
      await attach(ctx, 'user', UserName, PolicyArn);
      return {};
    },
  }),
  attachGroupPolicy: operation('iam', 'AttachGroupPolicy', {
    authorize: ({ GroupName, PolicyArn }, ctx) => onAttachment('group', GroupName, PolicyArn, ctx),
    async handle(ctx, { GroupName, PolicyArn }) {
      await attach(ctx, 'group', GroupName, PolicyArn);
      return {};
    },
  }),
  attachRolePolicy: operation('iam', 'AttachRolePolicy', {
    authorize: ({ RoleName, PolicyArn }, ctx) => onAttachment('role', RoleName, PolicyArn, ctx),
    async handle(ctx, { RoleName, PolicyArn }) {
      await attach(ctx, 'role', RoleName, PolicyArn);
      return {};
    },
  }),
  detachUserPolicy: operation('iam', 'DetachUserPolicy', {
    authorize: ({ UserName, PolicyArn }, ctx) => onAttachment('user', UserName, PolicyArn, ctx),
    async handle(ctx, { UserName, PolicyArn }) {
      await detach(ctx, 'user', UserName, PolicyArn);
      return {};
    },
  }),
  detachGroupPolicy: operation('iam', 'DetachGroupPolicy', {
    authorize: ({ GroupName, PolicyArn }, ctx) => onAttachment('group', GroupName, PolicyArn, ctx),
    async handle(ctx, { GroupName, PolicyArn }) {
      await detach(ctx, 'group', GroupName, PolicyArn);
      return {};
    },
  }),
  detachRolePolicy: operation('iam', 'DetachRolePolicy', {
    authorize: ({ RoleName, PolicyArn }, ctx) => onAttachment('role', RoleName, PolicyArn, ctx),
    async handle(ctx, { RoleName, PolicyArn }) {
      await detach(ctx, 'role', RoleName, PolicyArn);
      return {};
    },
  }),
  listAttachedUserPolicies: operation('iam', 'ListAttachedUserPolicies', {
    authorize: onUser,
    handle: (ctx, input) => listAttached(ctx, 'user', input.UserName, input),
  }),
  listAttachedGroupPolicies: operation('iam', 'ListAttachedGroupPolicies', {
    authorize: onGroup,
    handle: (ctx, input) => listAttached(ctx, 'group', input.GroupName, input),
  }),
  listAttachedRolePolicies: operation('iam', 'ListAttachedRolePolicies', {
    authorize: onRole,
    handle: (ctx, input) => listAttached(ctx, 'role', input.RoleName, input),
  }),
  putUserPermissionsBoundary: operation('iam', 'PutUserPermissionsBoundary', {
    authorize: ({ UserName, PermissionsBoundary }, ctx) => onBoundary('user', UserName, PermissionsBoundary, ctx),
    async handle(ctx, { UserName, PermissionsBoundary }) {
      await setBoundary(ctx, 'user', UserName, PermissionsBoundary);
      return {};
    },
  }),
  putRolePermissionsBoundary: operation('iam', 'PutRolePermissionsBoundary', {
    authorize: ({ RoleName, PermissionsBoundary }, ctx) => onBoundary('role', RoleName, PermissionsBoundary, ctx),
    async handle(ctx, { RoleName, PermissionsBoundary }) {
      await setBoundary(ctx, 'role', RoleName, PermissionsBoundary);
      return {};
    },
  }),
  deleteUserPermissionsBoundary: operation('iam', 'DeleteUserPermissionsBoundary', {
    authorize: onUser,
    async handle(ctx, { UserName }) {
      await setBoundary(ctx, 'user', UserName, null);
      return {};
    },
  }),
  deleteRolePermissionsBoundary: operation('iam', 'DeleteRolePermissionsBoundary', {
    authorize: onRole,
    async handle(ctx, { RoleName }) {
      await setBoundary(ctx, 'role', RoleName, null);
      return {};
    },
  }),
};

/** The boundary that is to be set is what the condition key means, not the one that was. */
function onBoundary(kind: 'user' | 'role', name: string, arn: string, ctx: RequestContext): Promise<Check> {
  return entityCheck(ctx, kind, name, { conditions: { 'iam:PermissionsBoundary': arn } });
}
