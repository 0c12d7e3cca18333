/** Packs as rows: announced before their blob is written, live with the push that brought them, deleted when nobody needs them. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { ENOUGH_PACKS } from '../../git/pack-selection.ts';
import { gitStore } from '../../git/store.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import type { Repository } from './repository.ts';

export interface StoredPack {
  blobKey: string;
  /** Git's checksum of it. */
  name: string;
  /** bytes */
  size: number;
  objects: number;
}

/** The reconciler that keeps a repository's packs few. */
export const MAINTENANCE = 'codecommit.maintenance';
/** A push that brought so many objects makes the indexes over them worth their time at once. */
const MANY_OBJECTS = 5_000;

/** After this a pack whose push never came to its end is nobody's. */
const PENDING_MS = 24 * 3_600_000;
/** Fetches that began before a pack was retired may still ask for it. */
const RETIRED_MS = 3_600_000;

/** The key for a pack that is on its way. The row comes before the blob, so that a blob without a push is known and deleted one day. */
export async function announcePack(platform: Platform, repository: Pick<Repository, 'id'>): Promise<string> {
  const blobKey = `git/${repository.id}/${randomUUID()}`;
  await platform.transaction((tx) =>
    tx.sql
      .insertInto('codecommit.packs')
      .values({
        blob_key: blobKey,
        repository_id: repository.id,
        name: '',
        size: 0,
        objects: 0,
        state: 'pending',
        state_since: platform.now(),
        unneeded_since: null,
      })
      .execute(),
  );
  return blobKey;
}

/** Part of the push's transaction. A pack that the repository has already is retired at once: one of each is enough. */
export async function makeLive(tx: Transaction, repositoryId: string, pack: StoredPack, now: Date): Promise<void> {
  const result = await tx.sql
    .updateTable('codecommit.packs')
    .set((eb) => ({
      name: pack.name,
      size: pack.size,
      objects: pack.objects,
      state: eb
        .case()
        .when(
          eb.exists(
            eb
              .selectFrom('codecommit.packs as twin')
              .select('twin.blob_key')
              .where('twin.repository_id', '=', repositoryId)
              .where('twin.name', '=', pack.name)
              .where('twin.state', '=', 'live'),
          ),
        )
        .then('retired' as const)
        .else('live' as const)
        .end(),
      state_since: now,
    }))
    .where('blob_key', '=', pack.blobKey)
    .where('state', '=', 'pending')
    .returning((eb) =>
      // As it was before this statement.
      eb
        .selectFrom('codecommit.packs as live')
        .select((count) => count.fn.countAll<number>().as('count'))
        .where('live.repository_id', '=', repositoryId)
        .where('live.state', '=', 'live')
        .where('live.unneeded_since', 'is', null)
        .as('others'),
    )
    .executeTakeFirst();
  if (!result) throw new Error(`Pack ${pack.blobKey} was given up before its push was done.`);
  if (Number(result.others) >= ENOUGH_PACKS || pack.objects >= MANY_OBJECTS) await tx.reconcile(MAINTENANCE, repositoryId);
}

/** What takes the place of packs, and when it may. */
export interface Replacement {
  replaced: { blob_key: string }[];
  packs: (StoredPack & { unneededSince?: Buffer })[];
  /** Objects were dropped, counting on the repository as it was in this generation. */
  droppedAt?: number;
  /** Further writes of the same transaction. */
  also?: (tx: Transaction, generation: number) => Promise<void>;
}

/** Puts packs in the place of others, in one transaction; false when the repository is not what it was any more, and nothing was done. */
export async function replacePacks(platform: Platform, repositoryId: string, replacement: Replacement): Promise<boolean> {
  const { replaced, packs, droppedAt, also } = replacement;
  return platform
    .transaction(async (tx) => {
      // Pushes of the repository wait for this row too: they come before or after, never between.
      const row = await tx.sql
        .selectFrom('codecommit.repositories')
        .select(['generation', 'epoch'])
        .where('id', '=', repositoryId)
        .forUpdate()
        .executeTakeFirst();
      if (!row || (droppedAt !== undefined && row.generation !== droppedAt)) throw new RepositoryChangedError();
      const now = platform.now();
      const keys = replaced.map((each) => each.blob_key);
      const retired = tx.sql.updateTable('codecommit.packs').set({ state: 'retired', state_since: now }).where('state', '=', 'live');
      const { numUpdatedRows } =
        keys.length > 0 ? await retired.where('blob_key', 'in', keys).executeTakeFirstOrThrow() : { numUpdatedRows: 0n };
      if (Number(numUpdatedRows) !== replaced.length) throw new RepositoryChangedError();
      // After the others: it may be the same as one of them.
      for (const pack of packs) {
        await makeLive(tx, repositoryId, pack, now);
        if (pack.unneededSince) {
          const unneeded_since = pack.unneededSince;
          await tx.sql.updateTable('codecommit.packs').set({ unneeded_since }).where('blob_key', '=', pack.blobKey).execute();
        }
      }
      const generation = droppedAt === undefined ? row.generation : Math.max(row.generation + 1, now.getTime());
      const epoch = droppedAt === undefined ? row.epoch : row.epoch + 1;
      await tx.sql.updateTable('codecommit.repositories').set({ generation, epoch }).where('id', '=', repositoryId).execute();
      await also?.(tx, generation);
      await tx.reconcile('codecommit.packs', repositoryId, new Date(now.getTime() + RETIRED_MS + 1000));
      return true;
    })
    .catch((error) => {
      if (error instanceof RepositoryChangedError) return false;
      throw error;
    });
}

class RepositoryChangedError extends Error {}

/** A pack that was announced and will not be needed: its blob is deleted soon. */
export async function giveUp(platform: Platform, repositoryId: string, blobKey: string): Promise<void> {
  await platform.transaction(async (tx) => {
    await tx.sql
      .updateTable('codecommit.packs')
      .set({ state: 'retired', state_since: new Date(0) })
      .where('blob_key', '=', blobKey)
      .where('state', '=', 'pending')
      .execute();
    await tx.reconcile('codecommit.packs', repositoryId);
  });
}

/** Part of the deletion of a repository. */
export async function retireAll(tx: Transaction, repositoryId: string, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codecommit.packs')
    .set({ state: 'retired', state_since: now })
    .where('repository_id', '=', repositoryId)
    .where('state', '=', 'live')
    .execute();
}

/** Deletes the blobs of pushes that never ended and of packs that are needed no more; by repository. */
export const deletePacks: Reconciler = {
  async pending(platform) {
    const rows = await platform.read.selectFrom('codecommit.packs').select('repository_id').distinct().where(isDue(platform)).execute();
    return rows.map((row) => row.repository_id);
  },
  async run(platform, repositoryId, signal) {
    const due = await platform.transaction((tx) =>
      // No push can bring them back once they are claimed as retired.
      tx.sql
        .updateTable('codecommit.packs')
        .set({ state: 'retired' })
        .where('repository_id', '=', repositoryId)
        .where(isDue(platform))
        .returning('blob_key')
        .execute(),
    );
    for (const { blob_key } of due) {
      signal.throwIfAborted();
      await gitStore(platform).blobs.delete(blob_key);
      await platform.transaction((tx) => tx.sql.deleteFrom('codecommit.packs').where('blob_key', '=', blob_key).execute());
    }
  },
};

function isDue(platform: Platform) {
  const before = (ms: number) => new Date(platform.now().getTime() - ms);
  return sql<boolean>`((state = 'pending' and state_since < ${before(PENDING_MS)}) or (state = 'retired' and state_since < ${before(RETIRED_MS)}))`;
}

/** Ids of repositories whose packs have become too many. */
export async function repositoriesOfManyPacks(platform: Platform): Promise<string[]> {
  const rows = await platform.read
    .selectFrom('codecommit.packs')
    .select('repository_id')
    .where('state', '=', 'live')
    .where('unneeded_since', 'is', null)
    .groupBy('repository_id')
    .having((eb) => eb(eb.fn.countAll(), '>', ENOUGH_PACKS))
    .execute();
  return rows.map((row) => row.repository_id);
}
