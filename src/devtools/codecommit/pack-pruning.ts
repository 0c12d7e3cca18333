/**
 * Drops objects that nothing needs any more, when nothing has needed them for the time of grace: until then a branch that was deleted by mistake
 * can be made again at its commit. Needed is what references need, and what any row of this service names.
 */
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import type { Sorted, SortedPack } from '../../git/prune.ts';
import { sortObjects } from '../../git/prune.ts';
import { gitStore } from '../../git/store.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { announcePack, giveUp, replacePacks } from './packs.ts';
import type { Repository } from './repository.ts';
import { openRepository } from './repository.ts';
import { isClosed } from './repository-keys.ts';

const DAY_MS = 24 * 3_600_000;

export const prunePacks: Reconciler = {
  async pending(platform) {
    const rows = await platform.read.selectFrom('codecommit.repositories').select('id').where(isDue(platform)).execute();
    return rows.map((row) => row.id);
  },
  async run(platform, id, signal) {
    const packs = await platform.read
      .selectFrom('codecommit.packs')
      .select(['blob_key', 'name', 'unneeded_since'])
      .where('repository_id', '=', id)
      .where('state', '=', 'live')
      .execute();
    // After the packs: whoever changes the repository from here on changes its generation too.
    const repository = await platform.read
      .selectFrom('codecommit.repositories')
      .selectAll()
      .where('id', '=', id)
      .where(isDue(platform))
      .executeTakeFirst();
    if (!repository || (await isClosed(platform, repository))) return;
    await openRepository(platform, repository);
    const roots = await idsNamedBy(platform, id);
    const now = platform.now();
    const expiry = new Date(now.getTime() - platform.config.git.graceDays * DAY_MS);
    const toSort = packs.map(({ name, unneeded_since }) => ({ name, unneededSince: unneeded_since ?? undefined }));
    await using sorted = await sortObjects(gitStore(platform).cache, id, toSort, roots, { now, expiry }, signal);
    await replace(platform, repository, packs, sorted, signal);
  },
};

/** When something was changed since the last look, or may have come of age; twice in the time of grace, so that it is overstepped by half at most. */
function isDue(platform: Platform) {
  const before = new Date(platform.now().getTime() - (platform.config.git.graceDays * DAY_MS) / 2);
  return sql<boolean>`coalesce(pruned_at, created_at) < ${before} and (pruned_generation is distinct from generation or exists (
    select 1 from codecommit.packs where repository_id = repositories.id and state = 'live' and unneeded_since is not null))`;
}

async function replace(
  platform: Platform,
  { id, generation }: Repository,
  packs: { blob_key: string; name: string }[],
  sorted: Sorted,
  signal: AbortSignal,
): Promise<void> {
  const { cache, blobs } = gitStore(platform);
  const stored: (SortedPack & { blobKey: string })[] = [];
  let done = false;
  try {
    for (const pack of sorted.made) {
      const blobKey = await announcePack(platform, { id });
      stored.push({ ...pack, blobKey });
      await blobs.put(
        blobKey,
        createReadStream(path.join(sorted.folder, `pack-${pack.name}.pack`), { highWaterMark: 1024 * 1024 }),
        signal,
      );
    }
    done = await replacePacks(platform, id, {
      replaced: packs.filter(({ name }) => sorted.replaced.includes(name)),
      packs: stored,
      ...(sorted.dropped > 0 ? { droppedAt: generation } : {}),
      // What was pushed meanwhile is for the next time.
      also: async (tx, current) => {
        const pruned_generation = sorted.dropped > 0 ? current : generation;
        await tx.sql
          .updateTable('codecommit.repositories')
          .set({ pruned_at: platform.now(), pruned_generation })
          .where('id', '=', id)
          .execute();
      },
    });
  } finally {
    if (!done) for (const { blobKey } of stored) await giveUp(platform, id, blobKey).catch(() => {});
  }
  if (done) for (const { name } of sorted.made) await cache.install(id, name, sorted.folder);
}

/**
 * Ids of all objects that references and other rows of the repository name. Whatever table has rows of repositories or of pull requests is looked
 * through, as text, so that none can be forgotten: what only looks like an id does no harm.
 */
async function idsNamedBy(platform: Pick<Platform, 'read'>, id: string): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string; by: 'repository' | 'pull request' }>`
    select table_name as name, case when bool_or(column_name = 'repository_id') then 'repository' else 'pull request' end as by
    from information_schema.columns
    where table_schema = 'codecommit' and column_name in ('repository_id', 'pull_request_id') and table_name <> 'packs'
    group by table_name`.execute(platform.read);
  const ids = new Set<string>();
  for (const { name, by } of tables) {
    const table = sql.table(`codecommit.${name}`);
    const ofRepository =
      by === 'repository'
        ? sql`repository_id = ${id}`
        : sql`(account, region, pull_request_id) in (select account, region, id from codecommit.pull_requests where repository_id = ${id})`;
    const { rows } = await sql<{ id: string }>`
      select distinct found[1] as id from (select * from ${table} where ${ofRepository}) row,
        lateral regexp_matches(row::text, '(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])', 'g') found`.execute(platform.read);
    for (const row of rows) ids.add(row.id);
  }
  return [...ids];
}
