/** Deleting what nobody can receive any more, a bounded number of rows at a time: past retention, purged, or of a deleted queue. */
import { sql } from 'kysely';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { keptSince } from './attributes.ts';

const ROWS_AT_ONCE = 1000;
const EVERYTHING = 'all';
/** A send that began before its queue was deleted may end after it. */
const LATE_MS = 10 * 60_000;

type Condition = ReturnType<typeof sql<boolean>>;

async function deleteWhere(platform: Platform, condition: Condition, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const deleted = await platform.transaction(async (tx) => {
      const result = await sql`delete from sqs.messages where seq in (
        select seq from sqs.messages where ${condition} limit ${ROWS_AT_ONCE} for update skip locked)`.execute(tx.sql);
      return Number(result.numAffectedRows ?? 0);
    });
    if (deleted < ROWS_AT_ONCE) return;
  }
}

async function sweepQueue(platform: Platform, id: string, signal: AbortSignal): Promise<void> {
  const queue = await platform.read.selectFrom('sqs.queues').selectAll().where('id', '=', id).executeTakeFirst();
  if (!queue) return;
  await deleteWhere(platform, sql<boolean>`queue_id = ${id} and sent_at <= ${keptSince(queue, platform.now())}`, signal);
  if (queue.purged_at) await deleteWhere(platform, sql<boolean>`queue_id = ${id} and seq <= ${queue.purged_seq}`, signal);
}

async function sweepDropped(platform: Platform, signal: AbortSignal): Promise<void> {
  const dropped = await platform.read.selectFrom('sqs.dropped').selectAll().execute();
  for (const { queue_id: id, at } of dropped) {
    await deleteWhere(platform, sql<boolean>`queue_id = ${id}`, signal);
    if (signal.aborted || platform.now().getTime() - at.getTime() < LATE_MS) continue;
    await platform.transaction((tx) => tx.sql.deleteFrom('sqs.dropped').where('queue_id', '=', id).execute());
  }
}

/** For one queue that was purged or deleted, or for all of them, as the net calls it each minute. */
export const sweep: Reconciler = {
  async run(platform, id, signal) {
    await sweepDropped(platform, signal);
    if (id !== EVERYTHING) return sweepQueue(platform, id, signal);
    const now = platform.now();
    await platform.transaction(async (tx) => {
      await tx.sql.deleteFrom('sqs.deduplication').where('expires_at', '<=', now).execute();
      await tx.sql.deleteFrom('sqs.attempts').where('expires_at', '<=', now).execute();
    });
    const queues = await platform.read.selectFrom('sqs.queues').select('id').execute();
    for (const queue of queues) if (!signal.aborted) await sweepQueue(platform, queue.id, signal);
  },
  async pending(platform) {
    const any =
      (await platform.read.selectFrom('sqs.queues').select('id').limit(1).executeTakeFirst()) ??
      (await platform.read.selectFrom('sqs.dropped').select('queue_id').limit(1).executeTakeFirst());
    return any ? [EVERYTHING] : [];
  },
};
