/** Instance profiles: what an instance carries, with at most one role in it. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { describeProfile } from './describe.ts';
import {
  changeEntity,
  createEntity,
  deleteEntity,
  type Entity,
  findEntity,
  listEntities,
  newTags,
  onList,
  onNew,
  onProfile,
  onRole,
  requireEntity,
} from './entities.ts';
import { deleteConflict, noSuchEntity, quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';

const createInstanceProfile = operation('iam', 'CreateInstanceProfile', {
  authorize: (input, ctx) => onNew('instance-profile', input.InstanceProfileName, ctx, input),
  async handle(ctx, { InstanceProfileName, Path, Tags }) {
    const tags = JSON.stringify(newTags(Tags));
    const profile = await ctx.transaction((tx) =>
      createEntity(tx, ctx, 'instance-profile', { name: InstanceProfileName, path: Path, tags }),
    );
    return { InstanceProfile: describeProfile(profile, undefined, true) };
  },
});

const getInstanceProfile = operation('iam', 'GetInstanceProfile', {
  authorize: onProfile,
  async handle(ctx, { InstanceProfileName }) {
    const profile = await requireEntity(ctx, 'instance-profile', InstanceProfileName);
    const roles = await rolesOf(ctx, [profile]);
    return { InstanceProfile: describeProfile(profile, roles.get(profile.role_id!), true) };
  },
});

const listInstanceProfiles = operation('iam', 'ListInstanceProfiles', {
  authorize: onList('instance-profile'),
  async handle(ctx, input) {
    const { items, ...page } = await listEntities(ctx, 'instance-profile', input);
    const roles = await rolesOf(ctx, items);
    return { InstanceProfiles: items.map((profile) => describeProfile(profile, roles.get(profile.role_id!))), ...page };
  },
});

const listInstanceProfilesForRole = operation('iam', 'ListInstanceProfilesForRole', {
  authorize: onRole,
  async handle(ctx, input) {
    const role = await requireEntity(ctx, 'role', input.RoleName);
    const profiles = await ctx.read.selectFrom('iam.entities').selectAll().where('role_id', '=', role.id).execute();
    const { items, ...page } = pageOfAll(ctx, `profiles:${role.id}`, input, profiles, (profile) => profile.key);
    return { InstanceProfiles: items.map((profile) => describeProfile(profile, role)), ...page };
  },
});

const deleteInstanceProfile = operation('iam', 'DeleteInstanceProfile', {
  authorize: onProfile,
  async handle(ctx, { InstanceProfileName }) {
    await changeEntity(ctx, 'instance-profile', InstanceProfileName, async (tx, profile) => {
      if (profile.role_id) throw deleteConflict('remove roles from instance profile');
      await deleteEntity(tx, profile);
    });
    return {};
  },
});

const addRoleToInstanceProfile = operation('iam', 'AddRoleToInstanceProfile', {
  authorize: async (input, ctx) => {
    const { resource } = await onRole(input, ctx);
    // Whoever puts a role on instances passes it to EC2.
    return [await onProfile(input, ctx), { action: 'iam:PassRole', resource, conditions: { 'iam:PassedToService': 'ec2.amazonaws.com' } }];
  },
  async handle(ctx, { InstanceProfileName, RoleName }) {
    await changeEntity(ctx, 'instance-profile', InstanceProfileName, async (tx, profile) => {
      const role = await findEntity(tx.sql, ctx.account, 'role', RoleName);
      if (!role) throw noSuchEntity('role', RoleName);
      if (profile.role_id) throw quotaExceeded('InstanceSessionsPerInstanceProfile', 1);
      await tx.sql.updateTable('iam.entities').set({ role_id: role.id }).where('id', '=', profile.id).execute();
    });
    return {};
  },
});

const removeRoleFromInstanceProfile = operation('iam', 'RemoveRoleFromInstanceProfile', {
  authorize: onProfile,
  async handle(ctx, { InstanceProfileName, RoleName }) {
    await changeEntity(ctx, 'instance-profile', InstanceProfileName, async (tx, profile) => {
      const role = await findEntity(tx.sql, ctx.account, 'role', RoleName);
      if (!role || profile.role_id !== role.id) throw noSuchEntity('role', RoleName);
      await tx.sql.updateTable('iam.entities').set({ role_id: null }).where('id', '=', profile.id).execute();
    });
    return {};
  },
});

async function rolesOf(ctx: RequestContext, profiles: Entity[]): Promise<Map<string, Entity>> {
  const ids = profiles.flatMap((profile) => profile.role_id ?? []);
  if (ids.length === 0) return new Map();
  const rows = await ctx.read.selectFrom('iam.entities').selectAll().where('id', 'in', ids).execute();
  return new Map(rows.map((role) => [role.id, role]));
}

export const instanceProfiles = {
  createInstanceProfile,
  getInstanceProfile,
  listInstanceProfiles,
  listInstanceProfilesForRole,
  deleteInstanceProfile,
  addRoleToInstanceProfile,
  removeRoleFromInstanceProfile,
};
