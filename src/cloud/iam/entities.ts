/** What users, groups, roles, policies and instance profiles have in common: a unique name, a path, an ARN. */
import { type Insertable, type Selectable, sql } from 'kysely';
import { newUniqueId } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Reader, Transaction } from '../../platform/platform.ts';
import type { Check, RequestContext, ShapeOf } from '../../platform/service.ts';
import { accessChanged } from './cache.ts';
import { alreadyExists, invalidInput, noSuchEntity, quotaExceeded, validationError } from './errors.ts';
import { afterKey, type Page, pageOf, rowLimit } from './paging.ts';
import type { EntitiesTable, EntityKind, Tags } from './tables.ts';

export type Entity = Selectable<EntitiesTable>;

const ID_PREFIX: Record<EntityKind, string> = { user: 'AIDA', group: 'AGPA', role: 'AROA', policy: 'ANPA', 'instance-profile': 'AIPA' };
export const QUOTA: Record<EntityKind, [name: string, limit: number]> = {
  user: ['UsersPerAccount', 5000],
  group: ['GroupsPerAccount', 300],
  role: ['RolesPerAccount', 1000],
  policy: ['PoliciesPerAccount', 1500],
  'instance-profile': ['InstanceProfilesPerAccount', 1000],
};
const MAX_TAGS = 50;

export function entityArn(account: string, kind: EntityKind, name: string, path = '/'): string {
  return `arn:aws:iam::${account}:${kind}${path}${name}`;
}

/** Names differ by more than case. */
export function keyOf(name: string): string {
  return name.toLowerCase();
}

export function findEntity(read: Pick<Reader, 'selectFrom'>, account: string, kind: EntityKind, name: string): Promise<Entity | undefined> {
  return read
    .selectFrom('iam.entities')
    .selectAll()
    .where('account', '=', account)
    .where('kind', '=', kind)
    .where('key', '=', keyOf(name))
    .executeTakeFirst();
}

/** Throws NoSuchEntity. */
export async function requireEntity(ctx: RequestContext, kind: EntityKind, name: string): Promise<Entity> {
  const found = await findEntity(ctx.read, ctx.account, kind, name);
  if (!found) throw noSuchEntity(kind, name);
  return found;
}

/** The entity, locked until the transaction ends, so that what is counted and checked stays true. Throws NoSuchEntity. */
export async function lockEntity(tx: Transaction, account: string, kind: EntityKind, name: string): Promise<Entity> {
  const found = await tx.sql
    .selectFrom('iam.entities')
    .selectAll()
    .where('account', '=', account)
    .where('kind', '=', kind)
    .where('key', '=', keyOf(name))
    .forUpdate()
    .executeTakeFirst();
  if (!found) throw noSuchEntity(kind, name);
  return found;
}

/** Changes an entity under lock, in a transaction of its own, after which every process decides anew. */
export function changeEntity<T>(
  ctx: RequestContext,
  kind: EntityKind,
  name: string,
  change: (tx: Transaction, entity: Entity) => Promise<T>,
): Promise<T> {
  return ctx.transaction(async (tx) => {
    const result = await change(tx, await lockEntity(tx, ctx.account, kind, name));
    await accessChanged(tx, ctx.account);
    return result;
  });
}

/** Service-linked roles are changed by their service only. */
export function requireModifiable(entity: Entity): void {
  if (!entity.linked_service) return;
  throw new AwsError(
    'UnmodifiableEntity',
    `Cannot perform the operation on the protected role '${entity.name}' - this role is only modifiable by AWS`,
  );
}

type NewEntity = Partial<Insertable<EntitiesTable>> & { name: string };

/** Throws EntityAlreadyExists or LimitExceeded. */
export async function createEntity(tx: Transaction, ctx: RequestContext, kind: EntityKind, values: NewEntity): Promise<Entity> {
  const { name, path = '/' } = values;
  const [quota, limit] = QUOTA[kind];
  const { count } = await tx.sql
    .selectFrom('iam.entities')
    .select((query) => query.fn.countAll<string>().as('count'))
    .where('account', '=', ctx.account)
    .where('kind', '=', kind)
    .executeTakeFirstOrThrow();
  if (Number(count) >= limit) throw quotaExceeded(quota, limit);
  const made = await tx.sql
    .insertInto('iam.entities')
    .values({
      ...values,
      id: newUniqueId(ID_PREFIX[kind]),
      account: ctx.account,
      kind,
      key: keyOf(name),
      path,
      arn: entityArn(ctx.account, kind, name, path),
      created_at: ctx.now(),
    })
    .onConflict((conflict) => conflict.columns(['account', 'kind', 'key']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (!made) throw alreadyExists(kind, name);
  await accessChanged(tx, ctx.account);
  return made;
}

/** A new name or path: the ARN follows, the id stays. */
export async function renameEntity(tx: Transaction, entity: Entity, name = entity.name, path = entity.path): Promise<void> {
  const { account, kind } = entity;
  if (keyOf(name) !== entity.key && (await findEntity(tx.sql, account, kind, name))) throw alreadyExists(kind, name);
  await tx.sql
    .updateTable('iam.entities')
    .set({ name, key: keyOf(name), path, arn: entityArn(account, kind, name, path) })
    .where('id', '=', entity.id)
    .execute();
}

export async function deleteEntity(tx: Transaction, entity: Entity): Promise<void> {
  await tx.sql.deleteFrom('iam.entities').where('id', '=', entity.id).execute();
}

/** One page of an account's entities of a kind, by name. */
export async function listEntities(
  ctx: RequestContext,
  kind: EntityKind,
  input: { PathPrefix?: string; Marker?: string; MaxItems?: number },
): Promise<Page<Entity>> {
  const { PathPrefix = '/' } = input;
  const scope = `${kind}:${PathPrefix}`;
  const after = afterKey(ctx, scope, input);
  let query = ctx.read
    .selectFrom('iam.entities')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('kind', '=', kind)
    .where(sql<boolean>`starts_with(path, ${PathPrefix})`)
    .orderBy('key')
    .limit(rowLimit(input));
  if (after !== undefined) query = query.where('key', '>', after);
  return pageOf(ctx, scope, input, await query.execute(), (entity) => entity.key);
}

/** The caller's own user name where an operation's `UserName` may be left out. */
export function userNameOf(ctx: RequestContext, given: string | undefined): string {
  if (given !== undefined) return given;
  if (ctx.principal.type === 'User') return ctx.principal.name;
  throw validationError('Must specify userName when calling with non-User credentials');
}

/** Asks for the operation's action on an entity, known or not, with its tags and boundary as conditions. */
export async function entityCheck(ctx: RequestContext, kind: EntityKind, name: string, more: Partial<Check> = {}): Promise<Check> {
  const entity = await findEntity(ctx.read, ctx.account, kind, name);
  const boundary: Check['conditions'] = entity?.boundary ? { 'iam:PermissionsBoundary': entity.boundary } : {};
  return {
    ...more,
    resource: entity?.arn ?? entityArn(ctx.account, kind, name),
    resourceTags: entity?.tags,
    conditions: { ...boundary, ...more.conditions },
  };
}

export const onUser = ({ UserName }: { UserName?: string }, ctx: RequestContext): Promise<Check> =>
  entityCheck(ctx, 'user', userNameOf(ctx, UserName));
export const onGroup = ({ GroupName }: { GroupName: string }, ctx: RequestContext): Promise<Check> => entityCheck(ctx, 'group', GroupName);
export const onRole = ({ RoleName }: { RoleName: string }, ctx: RequestContext): Promise<Check> => entityCheck(ctx, 'role', RoleName);
export const onProfile = ({ InstanceProfileName }: { InstanceProfileName: string }, ctx: RequestContext): Promise<Check> =>
  entityCheck(ctx, 'instance-profile', InstanceProfileName);

/** Asks for creating: the ARN that it will have, its tags and its boundary. */
export function onNew(
  kind: EntityKind,
  name: string,
  ctx: RequestContext,
  input: { Path?: string; Tags?: TagList; PermissionsBoundary?: string },
): Check {
  return {
    resource: entityArn(ctx.account, kind, name, input.Path),
    requestTags: input.Tags && Object.fromEntries(input.Tags.map(({ Key, Value }) => [Key, Value])),
    conditions: input.PermissionsBoundary ? { 'iam:PermissionsBoundary': input.PermissionsBoundary } : {},
  };
}

/** Asks for a list: the ARN of the path that is looked under. */
export function onList(kind: EntityKind) {
  return ({ PathPrefix = '/' }: { PathPrefix?: string }, ctx: RequestContext): string => entityArn(ctx.account, kind, '', PathPrefix);
}

export type TagList = ShapeOf<'iam', 'Tag'>[];

/** As they are kept; tag keys differ by more than case. */
export function newTags(given: TagList | undefined, existing: Tags = {}): Tags {
  const names = (given ?? []).map(({ Key }) => Key.toLowerCase());
  if (new Set(names).size < names.length) throw invalidInput('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  if (names.some((name) => name.startsWith('aws:'))) throw invalidInput('Tag keys that begin with "aws:" are reserved.');
  const kept = Object.entries(existing).filter(([key]) => !names.includes(key.toLowerCase()));
  const tags = Object.fromEntries([...kept, ...(given ?? []).map(({ Key, Value }) => [Key, Value] as const)]);
  if (Object.keys(tags).length > MAX_TAGS) throw quotaExceeded('TagsPerResource', MAX_TAGS);
  return tags;
}

export function tagList(tags: Tags): TagList {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
