/** Repositories as the API names them: making, finding, listing, renaming, describing and deleting them. */

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { sql } from 'kysely';
import { gitStore } from '../../git/store.ts';
import { asRecords, batchedChange } from '../../platform/database/batch.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { publicEndpoints } from '../../platform/public-endpoints.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { retireLfsObjects } from './lfs-objects.ts';
import { retireAll } from './packs.ts';
import type { Repository } from './repository.ts';
import { findRepository, lookUpRepository, onRepository, repositoryArn, repositoryMissing } from './repository.ts';
import { newRepositoryKey } from './repository-keys.ts';
import { checkTags } from './tags.ts';

const PAGE = 1000;
/** What BatchGetRepositories takes. */
const MAX_NAMES = 100;
const UNIQUE_VIOLATION = '23505';

export const createRepository = operation('codecommit', 'CreateRepository', {
  authorize: ({ repositoryName, tags }, ctx) => ({ resource: repositoryArn(ctx, repositoryName), requestTags: tags }),
  async handle(ctx, { repositoryName, repositoryDescription, tags = {}, kmsKeyId }) {
    checkName(repositoryName);
    checkDescription(repositoryDescription);
    checkTags(tags);
    await checkLimit(ctx, repositoryName);
    const now = ctx.now();
    const id = randomUUID();
    const repository: Repository = {
      id,
      account: ctx.account,
      region: ctx.region,
      name: repositoryName,
      description: repositoryDescription || null,
      default_branch: null,
      generation: 0,
      epoch: 0,
      pruned_at: null,
      pruned_generation: null,
      tags,
      created_at: now,
      updated_at: now,
      ...(await newRepositoryKey(ctx, { id, region: ctx.region }, kmsKeyId)),
    };
    if (!(await creation(ctx, repository))) throw nameTaken(repositoryName);
    return { repositoryMetadata: describe(ctx, repository) };
  },
});

/** False when the name is taken. */
const creation = batchedChange<Repository, Pick<Repository, 'id'>>({
  key: ({ id }) => id,
  statement(repositories) {
    const columns = sql.join(Object.keys(repositories[0]!).map((name) => sql.ref(name)));
    // In order, so that two batches with the same names do not wait for each other. Those that are there by now were made by the same
    // statement, whose answer was lost.
    return sql`
      with wanted as materialized (
        select ${columns} from json_populate_recordset(null::codecommit.repositories, ${asRecords(repositories)})),
      made as (
        insert into codecommit.repositories (${columns}) select ${columns} from wanted order by account, region, name
        on conflict do nothing returning id)
      select id from made union all select id from codecommit.repositories where id = any(array(select id from wanted))`;
  },
});

export const getRepository = operation('codecommit', 'GetRepository', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName }) {
    return { repositoryMetadata: describe(ctx, await findRepository(ctx, repositoryName)) };
  },
});

export const batchGetRepositories = operation('codecommit', 'BatchGetRepositories', {
  authorize: ({ repositoryNames }, ctx) => Promise.all(repositoryNames.slice(0, MAX_NAMES).map((name) => onRepository(ctx, name))),
  async handle(ctx, { repositoryNames }) {
    if (repositoryNames.length === 0) throw ctx.error('RepositoryNamesRequiredException', 'A list of repository names is required.');
    if (repositoryNames.length > MAX_NAMES) {
      throw ctx.error('MaximumRepositoryNamesExceededException', `The maximum number of repository names is ${MAX_NAMES}.`);
    }
    const names = [...new Set(repositoryNames)];
    const rows = await Promise.all(names.map((name) => lookUpRepository(ctx, ctx, name)));
    return {
      repositories: rows.flatMap((row) => (row ? describe(ctx, row) : [])),
      repositoriesNotFound: names.filter((_, index) => !rows[index]),
      errors: names
        .filter((_, index) => !rows[index])
        .map((repositoryName) => ({
          repositoryName,
          errorCode: 'RepositoryDoesNotExistException' as const,
          errorMessage: `${repositoryName} does not exist`,
        })),
    };
  },
});

export const listRepositories = operation('codecommit', 'ListRepositories', {
  authorize: () => '*',
  async handle(ctx, { nextToken, sortBy = 'repositoryName', order = 'ascending' }) {
    const scope = `codecommit:ListRepositories:${ctx.account}:${ctx.region}:${sortBy}:${order}`;
    const after = nextToken === undefined ? undefined : ctx.paging.open<{ name: string; time: string }>(scope, nextToken);
    if (nextToken !== undefined && !after)
      throw ctx.error('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
    const [direction, behind] = order === 'ascending' ? (['asc', '>'] as const) : (['desc', '<'] as const);
    let query = ctx.read
      .selectFrom('codecommit.repositories')
      .select(['id', 'name', 'updated_at'])
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region);
    if (sortBy === 'lastModifiedDate') {
      query = query.orderBy('updated_at', direction);
      if (after) query = query.where((eb) => eb(eb.refTuple('updated_at', 'name'), behind, eb.tuple(new Date(after.time), after.name)));
    } else if (after) query = query.where('name', behind, after.name);
    const rows = await query
      .orderBy('name', direction)
      .limit(PAGE + 1)
      .execute();
    const page = rows.slice(0, PAGE);
    const last = page.at(-1);
    return {
      repositories: page.map((row) => ({ repositoryName: row.name, repositoryId: row.id })),
      nextToken: rows.length > PAGE && last ? ctx.paging.seal(scope, { name: last.name, time: last.updated_at.toISOString() }) : undefined,
    };
  },
});

export const updateRepositoryName = operation('codecommit', 'UpdateRepositoryName', {
  authorize: async ({ oldName, newName }, ctx) => [await onRepository(ctx, oldName), { resource: repositoryArn(ctx, newName) }],
  async handle(ctx, { oldName, newName }) {
    checkName(newName);
    const repository = await findRepository(ctx, oldName);
    await ctx.transaction(async (tx) => {
      const result = await tx.sql
        .updateTable('codecommit.repositories')
        .set({ name: newName, updated_at: ctx.now() })
        .where('id', '=', repository.id)
        .where('name', '=', oldName)
        .executeTakeFirst()
        .catch(explainTaken(newName));
      if (result.numUpdatedRows === 0n) throw repositoryMissing(oldName);
    });
    return {};
  },
});

export const updateRepositoryDescription = operation('codecommit', 'UpdateRepositoryDescription', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, repositoryDescription }) {
    checkDescription(repositoryDescription);
    const repository = await findRepository(ctx, repositoryName);
    await ctx.transaction((tx) =>
      tx.sql
        .updateTable('codecommit.repositories')
        .set({ description: repositoryDescription || null, updated_at: ctx.now() })
        .where('id', '=', repository.id)
        .execute(),
    );
    return {};
  },
});

export const deleteRepository = operation('codecommit', 'DeleteRepository', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName }) {
    const deleted = await ctx.transaction(async (tx) => {
      const row = await tx.sql
        .deleteFrom('codecommit.repositories')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', repositoryName)
        .returning('id')
        .executeTakeFirst();
      if (row) await retireAll(tx, row.id, ctx.now());
      if (row) await retireLfsObjects(tx, row.id, ctx.now());
      return row?.id;
    });
    if (deleted !== undefined) await forget(ctx, deleted);
    return { repositoryId: deleted };
  },
});

/** Removes what this host's cache has of repositories that are gone. */
export async function sweepCache(platform: Platform): Promise<void> {
  const cached = await gitStore(platform).cache.list();
  if (cached.length === 0) return;
  const rows = await platform.read.selectFrom('codecommit.repositories').select('id').execute();
  const known = new Set(rows.map((row) => row.id));
  for (const id of cached) if (!known.has(id)) await forget(platform, id);
}

async function forget(platform: Platform, id: string): Promise<void> {
  const { cache, readers, clones } = gitStore(platform);
  readers.close(id);
  clones.forget(path.dirname(cache.base(id).objects));
  await cache.remove(id);
}

function describe(ctx: Pick<RequestContext, 'config'>, repository: Repository): ShapeOf<'codecommit', 'RepositoryMetadata'> {
  const { http, ssh } = publicEndpoints(ctx.config);
  const path = `/v1/repos/${repository.name}`;
  return {
    accountId: repository.account,
    repositoryId: repository.id,
    repositoryName: repository.name,
    repositoryDescription: repository.description ?? undefined,
    defaultBranch: repository.default_branch ?? undefined,
    lastModifiedDate: repository.updated_at,
    creationDate: repository.created_at,
    cloneUrlHttp: `${http}${path}`,
    cloneUrlSsh: ssh && `${ssh}${path}`,
    Arn: repositoryArn(repository, repository.name),
    kmsKeyId: repository.kms_key_id ?? undefined,
  };
}

/** How many repositories may still be made before the rows are counted again, by account and region. */
const room = new Map<string, number>();
/** Other processes make some too. */
const MAX_ROOM = 50;

/** The limit is one of prudence: several made at the same moment may pass it together. */
async function checkLimit(ctx: RequestContext, name: string): Promise<void> {
  const { repositoryLimit: limit } = ctx.config;
  const key = `${ctx.account}/${ctx.region}`;
  const left = room.get(key) ?? 0;
  room.set(key, left - 1);
  if (limit === 0 || left > 0) return;
  const { count } = await ctx.read
    .selectFrom('codecommit.repositories')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .executeTakeFirstOrThrow();
  room.set(key, Math.min(limit - Number(count) - 1, MAX_ROOM));
  if (Number(count) < limit) return;
  if (await lookUpRepository(ctx, ctx, name)) throw nameTaken(name);
  throw new AwsError('RepositoryLimitExceededException', `A repository resource limit was exceeded: ${limit} repositories in a region.`);
}

/** The model's pattern matches anywhere in the name; the service means all of it. */
function checkName(name: string): void {
  if (/^[\w.-]{1,100}$/.test(name) && !name.endsWith('.git') && name !== '.' && name !== '..') return;
  throw new AwsError(
    'InvalidRepositoryNameException',
    'The repository name is not valid. Repository names can be any valid combination of letters, numbers, periods, underscores, and dashes ' +
      'between 1 and 100 characters in length. Repository names cannot end in .git.',
  );
}

function checkDescription(description: string | undefined): void {
  if (description === undefined || !/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(description)) return;
  throw new AwsError('InvalidRepositoryDescriptionException', 'The repository description contains characters that are not allowed.');
}

function explainTaken(name: string): (error: { code?: string }) => never {
  return (error) => {
    throw error.code === UNIQUE_VIOLATION ? nameTaken(name) : error;
  };
}

function nameTaken(name: string): AwsError {
  return new AwsError('RepositoryNameExistsException', `Repository named ${name} already exists`);
}
