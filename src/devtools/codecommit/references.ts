/** The one way references change, whoever changes them: compare-and-set, the pack they need, the default branch and the events, all in one. */
import { sql } from 'kysely';
import type { PushResult } from '../../git/receive-report.ts';
import { describeRef, parentNames } from '../../git/ref-names.ts';
import { gitStore } from '../../git/store.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { StoredPack } from './packs.ts';
import { makeLive } from './packs.ts';
import { followPushes } from './pull-request-changes.ts';
import type { Repository } from './repository.ts';
import { repositoryArn, repositoryMissing } from './repository.ts';
import { queueTriggers } from './trigger-delivery.ts';

export interface ReferenceChange {
  /** In full. */
  name: string;
  /** What it must point at now; undefined: it must not exist. */
  oldId: string | undefined;
  /** Undefined: delete it. */
  newId: string | undefined;
  /** For an annotated tag: what it finally points at. */
  peeledId?: string;
  /** What an annotated tag finally pointed at until now; found by `changeReferences`. */
  oldPeeledId?: string;
}

export interface ChangeOptions {
  /** ARN of who does it, for the events. */
  caller: string;
  /** All or none. */
  atomic?: boolean;
  /** Where the objects come from. It becomes part of the repository when at least one reference changes. */
  pack?: StoredPack;
  /** Gives the pack to this process's cache, after the transaction. */
  install?: () => Promise<void>;
  /** Added to the detail of the events. */
  detail?: Record<string, unknown>;
  /** Further writes of the same transaction, done only when every change was made. */
  also?: (tx: Transaction) => Promise<void>;
}

/** The repository as it was before the new objects were looked for in it. */
type Proven = Pick<Repository, 'id' | 'name' | 'epoch'>;

/**
 * Tells the fate of each change, in order, with git's words for what went wrong. Fails with RepositoryDoesNotExistException when the
 * repository was deleted meanwhile; then nothing has happened.
 */
export async function changeReferences(
  platform: Platform,
  repository: Proven,
  changes: ReferenceChange[],
  options: ChangeOptions,
): Promise<PushResult[]> {
  const { results, generations } = await platform.transaction((tx) => changeInTransaction(platform, tx, repository, changes, options));
  if (!generations) return results;
  // The change is made; the cache only gets for nothing what it would otherwise fetch.
  await options.install?.();
  gitStore(platform).cache.advance(repository.id, generations);
  return results;
}

/** Adds objects that no reference names, with what `also` records of them. They are there for whoever knows their ids. */
export async function addUnreferenced(
  platform: Platform,
  { id, name, epoch }: Proven,
  options: ChangeOptions & { pack: StoredPack; detail: Record<string, unknown> },
): Promise<void> {
  const generations = await platform.transaction(async (tx) => {
    const repository = await tx.sql.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
    if (!repository) throw repositoryMissing(name);
    if (repository.epoch !== epoch) throw new AwsError('ConcurrentReferenceUpdateException', 'The repository has changed. Try again.');
    const generation = nextGeneration(repository, platform.now());
    await makeLive(tx, id, options.pack, platform.now());
    await tx.sql.updateTable('codecommit.repositories').set({ generation }).where('id', '=', id).execute();
    await options.also?.(tx);
    await tx.emit(repositoryEvent(platform, repository, options));
    return { before: repository.generation, after: generation };
  });
  await options.install?.();
  gitStore(platform).cache.advance(id, generations);
}

/**
 * Greater than every one before. It grows with the clock, so that a database put back from a backup does not give a number again that the
 * git cache knows with other content.
 */
export function nextGeneration({ generation }: Pick<Repository, 'generation'>, now: Date): number {
  return Math.max(generation + 1, now.getTime());
}

async function changeInTransaction(
  platform: Platform,
  tx: Transaction,
  { id, name, epoch }: Proven,
  changes: ReferenceChange[],
  options: ChangeOptions,
): Promise<{ results: PushResult[]; generations?: { before: number; after: number } }> {
  // Changes of one repository come one after another from here on.
  const repository = await tx.sql.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!repository) throw repositoryMissing(name);
  // Objects were dropped since the new ones were proven against what there was; whoever tries again is proven against what there is.
  if (repository.epoch !== epoch) return { results: changes.map((change) => ({ name: change.name, error: 'failed to update ref' })) };
  const { current, peeled } = await currentReferences(tx, id, changes);
  const neighbours = neighboursOf(current, changes);
  const results = changes.map((change) => ({ name: change.name, error: objection(change, repository, current, neighbours) }));
  const failed = results.some(({ error }) => error !== undefined);
  if (options.atomic && failed) return { results: results.map(({ name, error }) => ({ name, error: error ?? 'atomic push failure' })) };
  const made = changes.filter((_, index) => results[index]!.error === undefined);
  if (made.length === 0) return { results };

  const generation = nextGeneration(repository, platform.now());
  await write(tx, id, made);
  if (options.pack) await makeLive(tx, id, options.pack, platform.now());
  await tx.sql
    .updateTable('codecommit.repositories')
    .set({
      generation,
      default_branch: repository.default_branch ?? firstBranch(made),
      updated_at: platform.now(),
    })
    .where('id', '=', id)
    .execute();
  // The event knows branches and tags; notes and the like are nobody's trigger.
  const told = made
    .filter(({ name }) => describeRef(name).type !== 'other')
    .map((change) => ({ ...change, oldPeeledId: peeled.get(change.name) }));
  if (told.length > 0) await tx.emit(...told.map((change) => stateChange(platform, repository, change, options)));
  await queueTriggers(platform, tx, repository, told, options.caller);
  await followPushes(platform, tx, repository, made, options.caller);
  if (!failed) await options.also?.(tx);
  return { results, generations: { before: repository.generation, after: generation } };
}

/** The references that the changes touch or could collide with, as they are. */
async function currentReferences(
  tx: Transaction,
  id: string,
  changes: ReferenceChange[],
): Promise<{ current: Map<string, string>; peeled: Map<string, string> }> {
  const created = changes.filter(({ oldId, newId }) => oldId === undefined && newId !== undefined).map(({ name }) => name);
  const names = [...new Set([...changes.map(({ name }) => name), ...created.flatMap(parentNames)])];
  const exact = await tx.sql
    .selectFrom('codecommit.refs')
    .select(['name', 'object_id', 'peeled_id'])
    .where('repository_id', '=', id)
    .where('name', 'in', names)
    .execute();
  const below = await childReferences(tx, id, created);
  return {
    current: new Map([...exact, ...below].map((row) => [row.name, row.object_id])),
    peeled: new Map(exact.flatMap((row) => (row.peeled_id === null ? [] : [[row.name, row.peeled_id]]))),
  };
}

/** References below a name that shall be created: `refs/heads/a/b` where `refs/heads/a` is wanted. `0` comes right after `/`. */
async function childReferences(tx: Transaction, id: string, names: string[]): Promise<{ name: string; object_id: string }[]> {
  if (names.length === 0) return [];
  const { rows } = await sql<{ name: string; object_id: string }>`
    select ref.name, ref.object_id from unnest(${names}::text[]) as wanted (name)
    join codecommit.refs ref on ref.repository_id = ${id}
      and ref.name > (wanted.name || '/') collate "C" and ref.name < (wanted.name || '0') collate "C"`.execute(tx.sql);
  return rows;
}

/** Why a change cannot be, in git's words; undefined when it can. */
function objection(
  change: ReferenceChange,
  repository: Repository,
  current: Map<string, string>,
  neighbours: Neighbours,
): string | undefined {
  const now = current.get(change.name);
  if (now !== change.oldId) {
    if (change.oldId === undefined) return 'reference already exists';
    return 'failed to update ref';
  }
  const short = describeRef(change.name);
  if (change.newId === undefined) {
    const isDefault = short.type === 'branch' && short.shortName === repository.default_branch;
    return isDefault ? 'deletion of the current branch prohibited' : undefined;
  }
  if (now !== undefined) return undefined;
  return collides(change.name, neighbours) ? 'failed to update ref' : undefined;
}

interface Neighbours {
  /** Every reference near the changed ones, as it will be. */
  names: Set<string>;
  /** Every folder that one of them lies in. */
  folders: Set<string>;
}

function neighboursOf(current: Map<string, string>, changes: ReferenceChange[]): Neighbours {
  const names = new Set(current.keys());
  for (const { name, newId } of changes) if (newId === undefined) names.delete(name);
  for (const { name, newId } of changes) if (newId !== undefined) names.add(name);
  return { names, folders: new Set([...names].flatMap(parentNames)) };
}

/** Would the new name be a folder of another reference, or lie below one, as `a` and `a/b`? */
function collides(name: string, { names, folders }: Neighbours): boolean {
  return folders.has(name) || parentNames(name).some((parent) => names.has(parent));
}

async function write(tx: Transaction, id: string, changes: ReferenceChange[]): Promise<void> {
  const deleted = changes.filter(({ newId }) => newId === undefined).map(({ name }) => name);
  if (deleted.length > 0) await tx.sql.deleteFrom('codecommit.refs').where('repository_id', '=', id).where('name', 'in', deleted).execute();
  const rows = changes
    .filter(({ newId }) => newId !== undefined)
    .map(({ name, newId, peeledId }) => ({ repository_id: id, name, object_id: newId!, peeled_id: peeledId ?? null }));
  if (rows.length === 0) return;
  await tx.sql
    .insertInto('codecommit.refs')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'name'])
        .doUpdateSet((eb) => ({ object_id: eb.ref('excluded.object_id'), peeled_id: eb.ref('excluded.peeled_id') })),
    )
    .execute();
}

/** The first branch of an empty repository becomes its default; of several at once the one that people mean. */
function firstBranch(changes: ReferenceChange[]): string | null {
  const created = changes.filter(({ newId }) => newId !== undefined).map(({ name }) => describeRef(name));
  const branches = created.filter(({ type }) => type === 'branch').map(({ shortName }) => shortName);
  return ['main', 'master'].find((name) => branches.includes(name)) ?? branches[0] ?? null;
}

/** The event "CodeCommit Repository State Change", as in the user guide's "Monitoring CodeCommit events". */
function stateChange(platform: Platform, repository: Repository, change: ReferenceChange, options: ChangeOptions) {
  const { type, shortName } = describeRef(change.name);
  const commitId = change.peeledId ?? change.newId;
  return repositoryEvent(platform, repository, {
    caller: options.caller,
    detail: {
      ...options.detail,
      ...(commitId ? { commitId } : {}),
      event: change.oldId === undefined ? 'referenceCreated' : change.newId === undefined ? 'referenceDeleted' : 'referenceUpdated',
      ...(change.oldId ? { oldCommitId: change.oldPeeledId ?? change.oldId } : {}),
      referenceFullName: change.name,
      referenceName: shortName,
      referenceType: type,
    },
  });
}

function repositoryEvent(platform: Platform, repository: Repository, { caller, detail }: Pick<ChangeOptions, 'caller' | 'detail'>) {
  return {
    account: repository.account,
    region: repository.region,
    source: 'aws.codecommit',
    detailType: 'CodeCommit Repository State Change',
    resources: [repositoryArn(repository, repository.name)],
    time: platform.now(),
    detail: { ...detail, callerUserArn: caller, repositoryId: repository.id, repositoryName: repository.name },
  };
}
