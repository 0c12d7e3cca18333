/** Finding a repository and opening its git side: what nearly every operation begins with. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { RepositoryState, View } from '../../git/cache.ts';
import type { ObjectInfo, ReadObject } from '../../git/object-reader.ts';
import { branchRef } from '../../git/ref-names.ts';
import { gitStore } from '../../git/store.ts';
import { asRecords, batchedRead } from '../../platform/database/batch.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { unlock } from './repository-keys.ts';
import type { RepositoriesTable } from './tables.ts';

export type Repository = Selectable<RepositoriesTable>;

export function repositoryArn(where: { account: string; region: string }, name: string): string {
  return `arn:aws:codecommit:${where.region}:${where.account}:${name}`;
}

type Place = { account: string; region: string };

const keyOf = ({ account, region, name }: Place & { name: string }): string => `${account}/${region}/${name}`;

/** By account, region and name; undefined where there is none. */
const repositoryBatch = batchedRead<Place & { name: string }, Repository | undefined>({
  key: keyOf,
  async run(read, wanted) {
    const { rows } = await sql<Repository>`
      select repository.* from json_to_recordset(${asRecords(wanted)}) as wanted (account text, region text, name text)
      cross join lateral (
        select * from codecommit.repositories
        where account = wanted.account and region = wanted.region and name = wanted.name limit 1) repository`.execute(read);
    const byKey = new Map(rows.map((row) => [keyOf(row), row]));
    return wanted.map((each) => byKey.get(keyOf(each)));
  },
});

/** Undefined when the account has none of this name in the region. */
export function lookUpRepository(
  platform: Pick<Platform, 'read'>,
  { account, region }: Place,
  name: string,
): Promise<Repository | undefined> {
  return repositoryBatch(platform, { account, region, name });
}

/** Those of this name in every region: git's credentials do not tell which one they are for. */
export async function lookUpEverywhere(platform: Pick<Platform, 'read'>, account: string, name: string): Promise<Repository[]> {
  return platform.read.selectFrom('codecommit.repositories').selectAll().where('account', '=', account).where('name', '=', name).execute();
}

/** All references, in git's order. */
export async function lookUpReferences(platform: Pick<Platform, 'read'>, id: string): Promise<{ name: string; objectId: string }[]> {
  return platform.read
    .selectFrom('codecommit.refs')
    .select(['name', 'object_id as objectId'])
    .where('repository_id', '=', id)
    .orderBy('name')
    .execute();
}

/** The row as `authorize` of the same request found it, so that one request reads it once. */
const found = new WeakMap<object, Map<string, Promise<Repository | undefined>>>();

function lookUpOnce(ctx: RequestContext, name: string): Promise<Repository | undefined> {
  const rows = found.get(ctx) ?? new Map<string, Promise<Repository | undefined>>();
  found.set(ctx, rows);
  const row = rows.get(name) ?? lookUpRepository(ctx, ctx, name);
  rows.set(name, row);
  return row;
}

/** The IAM question of an operation on one repository. `reference` is a full name, for the condition key of branch protection. */
export async function onRepository(ctx: RequestContext, name: string | undefined, reference?: string): Promise<Check> {
  const repository = name === undefined ? undefined : await lookUpOnce(ctx, name);
  return {
    resource: name === undefined ? '*' : repositoryArn(ctx, name),
    resourceTags: repository?.tags,
    ...(reference ? { conditions: { 'codecommit:References': reference } } : {}),
  };
}

/** `RepositoryDoesNotExistException` when there is none. */
export async function findRepository(ctx: RequestContext, name: string): Promise<Repository> {
  const repository = await lookUpOnce(ctx, name);
  if (!repository) throw repositoryMissing(name);
  return repository;
}

export function repositoryMissing(name: string): AwsError {
  return new AwsError('RepositoryDoesNotExistException', `${name} does not exist`);
}

/** The git side of a repository for one request: reads by id from the cache, which has at least what the row's generation has. */
export interface OpenRepository {
  read(id: string): Promise<ReadObject | undefined>;
  info(id: string): Promise<ObjectInfo | undefined>;
}

type Known = Pick<Repository, 'id' | 'generation' | 'epoch' | 'name' | 'account' | 'region' | 'kms_key_id' | 'wrapped_key' | 'key_managed'>;

/** For a request's context its principal must be allowed to use the repository's key, else CodeCommit itself. */
export async function openRepository(platform: Platform | RequestContext, repository: Known): Promise<OpenRepository> {
  await unlock(platform, repository);
  const { cache, readers } = gitStore(platform);
  const ready = await cache.ready(repository.id, repository, () => loadState(platform, repository.id));
  if (!ready) throw repositoryMissing(repository.name);
  return {
    read: (id) => readers.read(repository.id, id),
    info: (id) => readers.info(repository.id, id),
  };
}

/** The repository as git's own programs can serve it; as `openRepository`. */
export async function openView(platform: Platform | RequestContext, repository: Known): Promise<View> {
  await unlock(platform, repository);
  const view = await gitStore(platform).cache.open(repository.id, repository, () => loadState(platform, repository.id));
  if (!view) throw repositoryMissing(repository.name);
  return view;
}

/** Everything of a generation in one statement, so that no change can come between its parts. */
export async function loadState(platform: Pick<Platform, 'read'>, id: string): Promise<RepositoryState | undefined> {
  const row = await platform.read
    .selectFrom('codecommit.repositories as repository')
    .where('repository.id', '=', id)
    .select((eb) => [
      'repository.generation',
      'repository.epoch',
      'repository.default_branch',
      eb
        .selectFrom('codecommit.refs as ref')
        .whereRef('ref.repository_id', '=', 'repository.id')
        .select(
          sql<
            [string, string, string | null][]
          >`coalesce(json_agg(json_build_array(ref.name, ref.object_id, ref.peeled_id) order by ref.name), '[]')`.as('list'),
        )
        .as('refs'),
      eb
        .selectFrom('codecommit.packs as pack')
        .whereRef('pack.repository_id', '=', 'repository.id')
        .where('pack.state', '=', 'live')
        .select(
          sql<[string, string, number][]>`coalesce(json_agg(json_build_array(pack.name, pack.blob_key, pack.objects)), '[]')`.as('list'),
        )
        .as('packs'),
    ])
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    generation: row.generation,
    epoch: row.epoch,
    head: branchRef(row.default_branch ?? 'main'),
    refs: (row.refs ?? []).map(([name, objectId, peeledId]) => ({ name, objectId, peeledId })),
    packs: (row.packs ?? []).map(([name, blobKey, objects]) => ({ name, blobKey, objects })),
  };
}
