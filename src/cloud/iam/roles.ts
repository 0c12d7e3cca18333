/** Roles. */
import { AwsError } from '../../platform/errors.ts';
import { policySize } from '../../platform/policy/validate.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { requireAttachable } from './attachments.ts';
import { describeRole } from './describe.ts';
import {
  changeEntity,
  createEntity,
  deleteEntity,
  listEntities,
  newTags,
  onList,
  onNew,
  onRole,
  requireEntity,
  requireModifiable,
} from './entities.ts';
import { checkPolicy, deleteConflict, quotaExceeded } from './errors.ts';
import { requireNoPolicies } from './inline-policies.ts';

const MAX_TRUST_POLICY = 2048;
const DEFAULT_SESSION_SECONDS = 3600;

const createRole = operation('iam', 'CreateRole', {
  authorize: (input, ctx) => onNew('role', input.RoleName, ctx, input),
  async handle(ctx, { RoleName, Path, AssumeRolePolicyDocument, Description, MaxSessionDuration, PermissionsBoundary, Tags }) {
    await checkTrustPolicy(ctx, AssumeRolePolicyDocument);
    if (PermissionsBoundary) await requireAttachable(ctx, PermissionsBoundary);
    const tags = JSON.stringify(newTags(Tags));
    const role = await ctx.transaction((tx) =>
      createEntity(tx, ctx, 'role', {
        name: RoleName,
        path: Path,
        tags,
        trust_policy: AssumeRolePolicyDocument,
        description: Description,
        max_session_seconds: MaxSessionDuration ?? DEFAULT_SESSION_SECONDS,
        boundary: PermissionsBoundary,
      }),
    );
    return { Role: describeRole(role, true) };
  },
});

const getRole = operation('iam', 'GetRole', {
  authorize: onRole,
  handle: async (ctx, { RoleName }) => ({ Role: describeRole(await requireEntity(ctx, 'role', RoleName), true) }),
});

const listRoles = operation('iam', 'ListRoles', {
  authorize: onList('role'),
  async handle(ctx, input) {
    const { items, ...page } = await listEntities(ctx, 'role', input);
    return { Roles: items.map((role) => describeRole(role)), ...page };
  },
});

const updateRole = operation('iam', 'UpdateRole', {
  authorize: onRole,
  async handle(ctx, { RoleName, Description, MaxSessionDuration }) {
    await changeEntity(ctx, 'role', RoleName, async (tx, role) => {
      requireModifiable(role);
      await tx.sql
        .updateTable('iam.entities')
        .set({ description: Description ?? role.description, max_session_seconds: MaxSessionDuration ?? role.max_session_seconds })
        .where('id', '=', role.id)
        .execute();
    });
    return {};
  },
});

const updateRoleDescription = operation('iam', 'UpdateRoleDescription', {
  authorize: onRole,
  async handle(ctx, { RoleName, Description }) {
    await changeEntity(ctx, 'role', RoleName, async (tx, role) => {
      requireModifiable(role);
      await tx.sql.updateTable('iam.entities').set({ description: Description }).where('id', '=', role.id).execute();
    });
    return { Role: describeRole(await requireEntity(ctx, 'role', RoleName)) };
  },
});

const updateAssumeRolePolicy = operation('iam', 'UpdateAssumeRolePolicy', {
  authorize: onRole,
  async handle(ctx, { RoleName, PolicyDocument }) {
    await checkTrustPolicy(ctx, PolicyDocument);
    await changeEntity(ctx, 'role', RoleName, async (tx, role) => {
      requireModifiable(role);
      await tx.sql.updateTable('iam.entities').set({ trust_policy: PolicyDocument }).where('id', '=', role.id).execute();
    });
    return {};
  },
});

const deleteRole = operation('iam', 'DeleteRole', {
  authorize: onRole,
  async handle(ctx, { RoleName }) {
    await changeEntity(ctx, 'role', RoleName, async (tx, role) => {
      requireModifiable(role);
      const profile = await tx.sql.selectFrom('iam.entities').select('id').where('role_id', '=', role.id).executeTakeFirst();
      if (profile) throw deleteConflict('remove roles from instance profile');
      await requireNoPolicies(tx, role);
      await deleteEntity(tx, role);
    });
    return {};
  },
});

async function checkTrustPolicy(ctx: RequestContext, document: string): Promise<void> {
  const { principals } = checkPolicy(document, 'trust');
  if (policySize(document) > MAX_TRUST_POLICY) throw quotaExceeded('ACLSizePerRole', MAX_TRUST_POLICY);
  for (const principal of principals) await requirePrincipal(ctx, principal);
}

/** Whom a trust policy names must exist: an account that we have not is another AWS's, but a missing user or role of ours is an error. */
async function requirePrincipal(ctx: RequestContext, principal: string): Promise<void> {
  const found = /^arn:aws[\w-]*:iam::(\d{12}):(user|role)\//.exec(principal);
  if (!found) return;
  const account = await ctx.read.selectFrom('iam.accounts').select('account').where('account', '=', found[1]!).executeTakeFirst();
  if (!account) return;
  const entity = await ctx.read.selectFrom('iam.entities').select('id').where('arn', '=', principal).executeTakeFirst();
  if (!entity) throw new AwsError('MalformedPolicyDocument', `Invalid principal in policy: "AWS":"${principal}"`);
}

export const roles = { createRole, getRole, listRoles, updateRole, updateRoleDescription, updateAssumeRolePolicy, deleteRole };
