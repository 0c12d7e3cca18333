/** Tags of users, roles and instance profiles. */
import { type Check, operation, type RequestContext } from '../../platform/service.ts';
import {
  changeEntity,
  entityCheck,
  newTags,
  onProfile,
  onRole,
  onUser,
  requireEntity,
  requireModifiable,
  type TagList,
  tagList,
} from './entities.ts';
import { pageOfAll } from './paging.ts';

type Tagged = 'user' | 'role' | 'instance-profile';

async function tag(ctx: RequestContext, kind: Tagged, name: string, given: TagList): Promise<void> {
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    const tags = JSON.stringify(newTags(given, entity.tags));
    await tx.sql.updateTable('iam.entities').set({ tags }).where('id', '=', entity.id).execute();
  });
}

async function untag(ctx: RequestContext, kind: Tagged, name: string, keys: string[]): Promise<void> {
  await changeEntity(ctx, kind, name, async (tx, entity) => {
    requireModifiable(entity);
    const dropped = new Set(keys.map((key) => key.toLowerCase()));
    const tags = Object.fromEntries(Object.entries(entity.tags).filter(([key]) => !dropped.has(key.toLowerCase())));
    await tx.sql
      .updateTable('iam.entities')
      .set({ tags: JSON.stringify(tags) })
      .where('id', '=', entity.id)
      .execute();
  });
}

async function listTags(ctx: RequestContext, kind: Tagged, name: string, input: { Marker?: string; MaxItems?: number }) {
  const entity = await requireEntity(ctx, kind, name);
  const { items, ...page } = pageOfAll(ctx, `tags:${entity.id}`, input, tagList(entity.tags), (one) => one.Key);
  return { Tags: items, ...page };
}

const onTagging = (kind: Tagged, name: string, tags: TagList, ctx: RequestContext): Promise<Check> =>
  entityCheck(ctx, kind, name, { requestTags: Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])) });

const onUntagging = (kind: Tagged, name: string, keys: string[], ctx: RequestContext): Promise<Check> =>
  entityCheck(ctx, kind, name, { conditions: { 'aws:TagKeys': keys } });

export const entityTags = {
  tagUser: operation('iam', 'TagUser', {
    authorize: ({ UserName, Tags }, ctx) => onTagging('user', UserName, Tags, ctx),
    async handle(ctx, { UserName, Tags }) {
      await tag(ctx, 'user', UserName, Tags);
      return {};
    },
  }),
  tagRole: operation('iam', 'TagRole', {
    authorize: ({ RoleName, Tags }, ctx) => onTagging('role', RoleName, Tags, ctx),
    async handle(ctx, { RoleName, Tags }) {
      await tag(ctx, 'role', RoleName, Tags);
      return {};
    },
  }),
  untagUser: operation('iam', 'UntagUser', {
    authorize: ({ UserName, TagKeys }, ctx) => onUntagging('user', UserName, TagKeys, ctx),
    async handle(ctx, { UserName, TagKeys }) {
      await untag(ctx, 'user', UserName, TagKeys);
      return {};
    },
  }),
  untagRole: operation('iam', 'UntagRole', {
    authorize: ({ RoleName, TagKeys }, ctx) => onUntagging('role', RoleName, TagKeys, ctx),
    async handle(ctx, { RoleName, TagKeys }) {
      await untag(ctx, 'role', RoleName, TagKeys);
      return {};
    },
  }),
  tagInstanceProfile: operation('iam', 'TagInstanceProfile', {
    authorize: ({ InstanceProfileName, Tags }, ctx) => onTagging('instance-profile', InstanceProfileName, Tags, ctx),
    async handle(ctx, { InstanceProfileName, Tags }) {
      await tag(ctx, 'instance-profile', InstanceProfileName, Tags);
      return {};
    },
  }),
  untagInstanceProfile: operation('iam', 'UntagInstanceProfile', {
    authorize: ({ InstanceProfileName, TagKeys }, ctx) => onUntagging('instance-profile', InstanceProfileName, TagKeys, ctx),
    async handle(ctx, { InstanceProfileName, TagKeys }) {
      await untag(ctx, 'instance-profile', InstanceProfileName, TagKeys);
      return {};
    },
  }),
  listInstanceProfileTags: operation('iam', 'ListInstanceProfileTags', {
    authorize: onProfile,
    handle: (ctx, input) => listTags(ctx, 'instance-profile', input.InstanceProfileName, input),
  }),
  listUserTags: operation('iam', 'ListUserTags', {
    authorize: onUser,
    handle: (ctx, input) => listTags(ctx, 'user', input.UserName, input),
  }),
  listRoleTags: operation('iam', 'ListRoleTags', {
    authorize: onRole,
    handle: (ctx, input) => listTags(ctx, 'role', input.RoleName, input),
  }),
};
