/** Removing what nobody can read any more, a bounded number of rows at a time: chunks of deleted streams, and those past retention. */
import type { SelectQueryBuilder } from 'kysely';
import type { Platform, Tables, Transaction } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { expiry } from './group.ts';

const ROWS_AT_ONCE = 500;
/** The net looks every minute; rows may outlive their time by this much before it takes an update to say so. */
const SLACK_MS = 3_600_000;
const ALL = 'streams';

type Streams = SelectQueryBuilder<Tables, 'logs.streams', object>;

/** Remembers the streams whose rows the same transaction deletes, so that their events follow. */
export async function purgeStreams(tx: Transaction, which: (streams: Streams) => Streams): Promise<void> {
  await tx.sql
    .insertInto('logs.purges')
    .columns(['stream_id'])
    .expression(which(tx.sql.selectFrom('logs.streams') as Streams).select('id as stream_id'))
    .execute();
  await tx.reconcile('logs.purge', ALL);
}

/** How many it deleted: less than ROWS_AT_ONCE when there are no more. */
function deleteChunks(platform: Platform, stream: string, before: number): Promise<number> {
  return platform.transaction(async (tx) => {
    const result = await tx.sql
      .deleteFrom('logs.chunks')
      .where('id', 'in', (eb) =>
        eb
          .selectFrom('logs.chunks')
          .select('id')
          .where('stream_id', '=', stream)
          .where('first_at', '<', before)
          .where('last_at', '<', before)
          .orderBy('first_at')
          .limit(ROWS_AT_ONCE),
      )
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  });
}

async function deleteAllChunks(platform: Platform, stream: string, before: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if ((await deleteChunks(platform, stream, before)) < ROWS_AT_ONCE) return true;
  }
  return false;
}

export const purge: Reconciler = {
  async run(platform, _id, signal) {
    for (;;) {
      const next = await platform.read.selectFrom('logs.purges').selectAll().limit(1).executeTakeFirst();
      if (!next || !(await deleteAllChunks(platform, next.stream_id, Number.MAX_SAFE_INTEGER, signal))) return;
      await platform.transaction((tx) => tx.sql.deleteFrom('logs.purges').where('stream_id', '=', next.stream_id).execute());
    }
  },
  async pending(platform) {
    return (await platform.read.selectFrom('logs.purges').select('stream_id').limit(1).execute()).length > 0 ? [ALL] : [];
  },
};

/** One group's events past its retention. Readers do not see them from the first moment; this frees their rows. */
export const retention: Reconciler = {
  async run(platform, id, signal) {
    const group = await platform.read.selectFrom('logs.groups').selectAll().where('id', '=', id).executeTakeFirst();
    if (!group || group.retention_days === null) return;
    const oldest = expiry(group, platform.now());
    const streams = await platform.read
      .selectFrom('logs.streams')
      .select('id')
      .where('group_id', '=', id)
      .where('first_event_at', '<', oldest)
      .execute();
    for (const stream of streams) {
      if (!(await deleteAllChunks(platform, stream.id, oldest, signal))) return;
      await recount(platform, stream.id, oldest);
    }
  },
  async pending(platform) {
    const groups = await platform.read.selectFrom('logs.groups').selectAll().where('retention_days', 'is not', null).execute();
    const due = await Promise.all(
      groups.map(async (group) => {
        const stream = await platform.read
          .selectFrom('logs.streams')
          .select('id')
          .where('group_id', '=', group.id)
          .where('first_event_at', '<', expiry(group, platform.now()) - SLACK_MS)
          .limit(1)
          .executeTakeFirst();
        return stream ? [group.id] : [];
      }),
    );
    return due.flat();
  },
};

/** What the stream's row says of its events, after the oldest are gone. The row is locked, so no event comes between. */
async function recount(platform: Platform, stream: string, oldest: number): Promise<void> {
  await platform.transaction(async (tx) => {
    await tx.sql.selectFrom('logs.streams').select('id').where('id', '=', stream).forUpdate().execute();
    const { first, size } = await tx.sql
      .selectFrom('logs.chunks')
      .select((eb) => [eb.fn.min('first_at').as('first'), eb.fn.sum<number | null>('size').as('size')])
      .where('stream_id', '=', stream)
      .executeTakeFirstOrThrow();
    const firstAt = first === null ? null : Math.max(first, oldest);
    await tx.sql
      .updateTable('logs.streams')
      .set({ first_event_at: firstAt, stored_bytes: Number(size ?? 0) })
      .where('id', '=', stream)
      .execute();
  });
}
