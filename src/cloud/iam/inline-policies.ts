/** Policies inside a user, group or role. */

import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { policySize } from '../../platform/policy/validate.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { encodeDocument } from './describe.ts';
import { changeEntity, type Entity, onGroup, onRole, onUser, requireEntity, requireModifiable } from './entities.ts';
import { checkPolicy, deleteConflict } from './errors.ts';
import { pageOfAll } from './paging.ts';
import type { EntityKind } from './tables.ts';

type Holder = 'user' | 'group' | 'role';

/** Characters of all inline policies of one holder together, white space not counted. */
const MAX_SIZE: Record<Holder, number> = { user: 2048, group: 5120, role: 10_240 };

async function putPolicy(ctx: RequestContext, kind: Holder, name: string, policyName: string, document: string): Promise<void> {
  checkPolicy(document, 'identity');
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    const others = await tx.sql
      .selectFrom('iam.inline_policies')
      .select('document')
      .where('entity_id', '=', entity.id)
      .where('name', '!=', policyName)
      .execute();
    const size = [document, ...others.map((row) => row.document)].reduce((sum, text) => sum + policySize(text), 0);
    if (size > MAX_SIZE[kind]) {
      throw new AwsError('LimitExceeded', `Maximum policy size of ${MAX_SIZE[kind]} bytes exceeded for ${kind} ${entity.name}`);
    }
    await tx.sql
      .insertInto('iam.inline_policies')
      .values({ entity_id: entity.id, name: policyName, document })
      .onConflict((conflict) => conflict.columns(['entity_id', 'name']).doUpdateSet({ document }))
      .execute();
  });
}

async function getPolicy(
  ctx: RequestContext,
  kind: Holder,
  name: string,
  policyName: string,
): Promise<{ holder: string; document: string }> {
  const entity = await requireEntity(ctx, kind, name);
  const row = await ctx.read
    .selectFrom('iam.inline_policies')
    .select('document')
    .where('entity_id', '=', entity.id)
    .where('name', '=', policyName)
    .executeTakeFirst();
  if (!row) throw noSuchPolicy(kind, policyName);
  return { holder: entity.name, document: encodeDocument(row.document) };
}

async function deletePolicy(ctx: RequestContext, kind: Holder, name: string, policyName: string): Promise<void> {
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    const deleted = await tx.sql
      .deleteFrom('iam.inline_policies')
      .where('entity_id', '=', entity.id)
      .where('name', '=', policyName)
      .executeTakeFirst();
    if (deleted.numDeletedRows === 0n) throw noSuchPolicy(kind, policyName);
  });
}

async function listPolicies(ctx: RequestContext, kind: Holder, name: string, input: { Marker?: string; MaxItems?: number }) {
  const entity = await requireEntity(ctx, kind, name);
  const rows = await ctx.read.selectFrom('iam.inline_policies').select('name').where('entity_id', '=', entity.id).execute();
  const { items, ...page } = pageOfAll(ctx, `inline:${entity.id}`, input, rows, (row) => row.name);
  return { PolicyNames: items.map((row) => row.name), ...page };
}

function noSuchPolicy(kind: Holder, policyName: string): AwsError {
  return new AwsError('NoSuchEntity', `The ${kind} policy with name ${policyName} cannot be found.`);
}

/** Whoever still has policies cannot be deleted. */
export async function requireNoPolicies(tx: Transaction, { id, kind }: Pick<Entity, 'id'> & { kind: EntityKind }): Promise<void> {
  if (kind === 'policy' || kind === 'instance-profile') return;
  const inline = await tx.sql.selectFrom('iam.inline_policies').select('name').where('entity_id', '=', id).executeTakeFirst();
  if (inline) throw deleteConflict('delete policies');
  const attached = await tx.sql.selectFrom('iam.attachments').select('policy_arn').where('entity_id', '=', id).executeTakeFirst();
  if (attached) throw deleteConflict('detach all policies');
}

export const inlinePolicies = {
  putUserPolicy: operation('iam', 'PutUserPolicy', {
    authorize: onUser,
    async handle(ctx, { UserName, PolicyName, PolicyDocument }) {
      await putPolicy(ctx, 'user', UserName, PolicyName, PolicyDocument);
      return {};
    },
  }),
  putGroupPolicy: operation('iam', 'PutGroupPolicy', {
    authorize: onGroup,
    async handle(ctx, { GroupName, PolicyName, PolicyDocument }) {
      await putPolicy(ctx, 'group', GroupName, PolicyName, PolicyDocument);
      return {};
    },
  }),
  putRolePolicy: operation('iam', 'PutRolePolicy', {
    authorize: onRole,
    async handle(ctx, { RoleName, PolicyName, PolicyDocument }) {
      await putPolicy(ctx, 'role', RoleName, PolicyName, PolicyDocument);
      return {};
    },
  }),
  getUserPolicy: operation('iam', 'GetUserPolicy', {
    authorize: onUser,
    async handle(ctx, { UserName, PolicyName }) {
      const { holder, document } = await getPolicy(ctx, 'user', UserName, PolicyName);
      return { UserName: holder, PolicyName, PolicyDocument: document };
    },
  }),
  getGroupPolicy: operation('iam', 'GetGroupPolicy', {
    authorize: onGroup,
    async handle(ctx, { GroupName, PolicyName }) {
      const { holder, document } = await getPolicy(ctx, 'group', GroupName, PolicyName);
      return { GroupName: holder, PolicyName, PolicyDocument: document };
    },
  }),
  getRolePolicy: operation('iam', 'GetRolePolicy', {
    authorize: onRole,
    async handle(ctx, { RoleName, PolicyName }) {
      const { holder, document } = await getPolicy(ctx, 'role', RoleName, PolicyName);
      return { RoleName: holder, PolicyName, PolicyDocument: document };
    },
  }),
  deleteUserPolicy: operation('iam', 'DeleteUserPolicy', {
    authorize: onUser,
    async handle(ctx, { UserName, PolicyName }) {
      await deletePolicy(ctx, 'user', UserName, PolicyName);
      return {};
    },
  }),
  deleteGroupPolicy: operation('iam', 'DeleteGroupPolicy', {
    authorize: onGroup,
    async handle(ctx, { GroupName, PolicyName }) {
      await deletePolicy(ctx, 'group', GroupName, PolicyName);
      return {};
    },
  }),
  deleteRolePolicy: operation('iam', 'DeleteRolePolicy', {
    authorize: onRole,
    async handle(ctx, { RoleName, PolicyName }) {
      await deletePolicy(ctx, 'role', RoleName, PolicyName);
      return {};
    },
  }),
  listUserPolicies: operation('iam', 'ListUserPolicies', {
    authorize: onUser,
    handle: (ctx, input) => listPolicies(ctx, 'user', input.UserName, input),
  }),
  listGroupPolicies: operation('iam', 'ListGroupPolicies', {
    authorize: onGroup,
    handle: (ctx, input) => listPolicies(ctx, 'group', input.GroupName, input),
  }),
  listRolePolicies: operation('iam', 'ListRolePolicies', {
    authorize: onRole,
    handle: (ctx, input) => listPolicies(ctx, 'role', input.RoleName, input),
  }),
};
