/** Locks of git LFS: who works on a file that cannot be merged. Advice for people; a push is not stopped by them, git-lfs itself stops it. */
import { randomUUID } from 'node:crypto';
import type { Platform } from '../../platform/platform.ts';

export interface LfsLock {
  id: string;
  path: string;
  owner_arn: string;
  owner_name: string;
  locked_at: Date;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'codecommit.lfs_locks': LfsLock & { repository_id: string };
  }
}

const PAGE = 100;

/** The lock, and whether it was made now; another's, or one's own, stays as it is. */
export async function lockPath(
  platform: Platform,
  repositoryId: string,
  path: string,
  owner: { arn: string; name: string },
): Promise<{ lock: LfsLock; made: boolean }> {
  const lock = { id: randomUUID(), path, owner_arn: owner.arn, owner_name: owner.name, locked_at: platform.now() };
  return platform.transaction(async (tx) => {
    const { numInsertedOrUpdatedRows } = await tx.sql
      .insertInto('codecommit.lfs_locks')
      .values({ ...lock, repository_id: repositoryId })
      .onConflict((conflict) => conflict.columns(['repository_id', 'path']).doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 1n) return { lock, made: true };
    const existing = tx.sql.selectFrom('codecommit.lfs_locks').selectAll().where('repository_id', '=', repositoryId);
    return { lock: await existing.where('path', '=', path).executeTakeFirstOrThrow(), made: false };
  });
}

/** In the order of their paths, from behind the path `after`. */
export async function listLocks(
  platform: Pick<Platform, 'read'>,
  repositoryId: string,
  filter: { path?: string; id?: string; after?: string; limit?: number },
): Promise<{ locks: LfsLock[]; more: boolean }> {
  const limit = Math.min(filter.limit ?? PAGE, PAGE);
  let query = platform.read.selectFrom('codecommit.lfs_locks').selectAll().where('repository_id', '=', repositoryId);
  if (filter.path !== undefined) query = query.where('path', '=', filter.path);
  if (filter.id !== undefined) query = query.where('id', '=', filter.id);
  if (filter.after !== undefined) query = query.where('path', '>', filter.after);
  const rows = await query
    .orderBy('path')
    .limit(limit + 1)
    .execute();
  return { locks: rows.slice(0, limit), more: rows.length > limit };
}

/** The lock as it was; undefined when there is none, `not-owner` when it is another's and force was not asked for. */
export function unlock(
  platform: Platform,
  repositoryId: string,
  id: string,
  owner: { arn: string; force: boolean },
): Promise<LfsLock | 'not-owner' | undefined> {
  return platform.transaction(async ({ sql }) => {
    const lock = await sql
      .selectFrom('codecommit.lfs_locks')
      .selectAll()
      .where('repository_id', '=', repositoryId)
      .where('id', '=', id)
      .forUpdate()
      .executeTakeFirst();
    if (!lock) return undefined;
    if (lock.owner_arn !== owner.arn && !owner.force) return 'not-owner';
    await sql.deleteFrom('codecommit.lfs_locks').where('id', '=', id).execute();
    return lock;
  });
}
