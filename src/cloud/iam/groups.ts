/** Groups and their members. */
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { accessChanged } from './cache.ts';
import { describeGroup, describeUser } from './describe.ts';
import {
  changeEntity,
  createEntity,
  deleteEntity,
  type Entity,
  findEntity,
  listEntities,
  onGroup,
  onList,
  onNew,
  onUser,
  renameEntity,
  requireEntity,
} from './entities.ts';
import { deleteConflict, noSuchEntity, quotaExceeded } from './errors.ts';
import { requireNoPolicies } from './inline-policies.ts';
import { pageOfAll } from './paging.ts';

const MAX_GROUPS_PER_USER = 10;

const createGroup = operation('iam', 'CreateGroup', {
  authorize: (input, ctx) => onNew('group', input.GroupName, ctx, input),
  async handle(ctx, { GroupName, Path }) {
    const group = await ctx.transaction((tx) => createEntity(tx, ctx, 'group', { name: GroupName, path: Path }));
    return { Group: describeGroup(group) };
  },
});

const getGroup = operation('iam', 'GetGroup', {
  authorize: onGroup,
  async handle(ctx, input) {
    const group = await requireEntity(ctx, 'group', input.GroupName);
    const members = await related(ctx, 'user_id', 'group_id', group.id);
    const { items, ...page } = pageOfAll(ctx, `members:${group.id}`, input, members, (user) => user.key);
    return { Group: describeGroup(group), Users: items.map((user) => describeUser(user)), ...page };
  },
});

const listGroups = operation('iam', 'ListGroups', {
  authorize: onList('group'),
  async handle(ctx, input) {
    const { items, ...page } = await listEntities(ctx, 'group', input);
    return { Groups: items.map(describeGroup), ...page };
  },
});

const listGroupsForUser = operation('iam', 'ListGroupsForUser', {
  authorize: onUser,
  async handle(ctx, input) {
    const user = await requireEntity(ctx, 'user', input.UserName);
    const groups = await related(ctx, 'group_id', 'user_id', user.id);
    const { items, ...page } = pageOfAll(ctx, `groups:${user.id}`, input, groups, (group) => group.key);
    return { Groups: items.map(describeGroup), ...page };
  },
});

const updateGroup = operation('iam', 'UpdateGroup', {
  authorize: onGroup,
  async handle(ctx, { GroupName, NewGroupName, NewPath }) {
    await changeEntity(ctx, 'group', GroupName, (tx, group) => renameEntity(tx, group, NewGroupName, NewPath));
    return {};
  },
});

const deleteGroup = operation('iam', 'DeleteGroup', {
  authorize: onGroup,
  async handle(ctx, { GroupName }) {
    await changeEntity(ctx, 'group', GroupName, async (tx, group) => {
      const member = await tx.sql.selectFrom('iam.group_members').select('user_id').where('group_id', '=', group.id).executeTakeFirst();
      if (member) throw deleteConflict('remove users from group');
      await requireNoPolicies(tx, group);
      await deleteEntity(tx, group);
    });
    return {};
  },
});

const addUserToGroup = operation('iam', 'AddUserToGroup', {
  authorize: onGroup,
  async handle(ctx, { GroupName, UserName }) {
    await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      const group = await findEntity(tx.sql, ctx.account, 'group', GroupName);
      if (!group) throw noSuchEntity('group', GroupName);
      const mine = await tx.sql.selectFrom('iam.group_members').select('group_id').where('user_id', '=', user.id).execute();
      if (mine.some((row) => row.group_id === group.id)) return;
      if (mine.length >= MAX_GROUPS_PER_USER) throw quotaExceeded('GroupsPerUser', MAX_GROUPS_PER_USER);
      await tx.sql.insertInto('iam.group_members').values({ group_id: group.id, user_id: user.id }).execute();
    });
    return {};
  },
});

const removeUserFromGroup = operation('iam', 'RemoveUserFromGroup', {
  authorize: onGroup,
  async handle(ctx, { GroupName, UserName }) {
    const group = await requireEntity(ctx, 'group', GroupName);
    const user = await requireEntity(ctx, 'user', UserName);
    await ctx.transaction(async (tx) => {
      await tx.sql.deleteFrom('iam.group_members').where('group_id', '=', group.id).where('user_id', '=', user.id).execute();
      await accessChanged(tx, ctx.account);
    });
    return {};
  },
});

function related(ctx: RequestContext, wanted: 'user_id' | 'group_id', by: 'user_id' | 'group_id', id: string): Promise<Entity[]> {
  const ids = ctx.read.selectFrom('iam.group_members').select(wanted).where(by, '=', id);
  return ctx.read.selectFrom('iam.entities').selectAll().where('id', 'in', ids).execute();
}

export const groups = {
  createGroup,
  getGroup,
  listGroups,
  listGroupsForUser,
  updateGroup,
  deleteGroup,
  addUserToGroup,
  removeUserFromGroup,
};
