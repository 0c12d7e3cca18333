/** PutLogEvents: a batch of one stream's events, checked as AWS checks it, appended in one transaction. */
import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type ShapeOf } from '../../platform/service.ts';
import { cutBySpan, type LogEvent, pack } from './chunks.ts';
import { keyOpener, sealEvents } from './encryption.ts';
import { expiry, findGroup, findStream, onStream, streamMissing } from './group.ts';
import type { GroupRow } from './tables.ts';

/** API reference of PutLogEvents. */
const MAX_BATCH_BYTES = 1_048_576;
const EVENT_OVERHEAD_BYTES = 26;
const MAX_BATCH_SPAN_MS = 24 * 3_600_000;
const TOO_OLD_MS = 14 * 24 * 3_600_000;
const TOO_NEW_MS = 2 * 3_600_000;

export const putLogEvents = operation('logs', 'PutLogEvents', {
  authorize: ({ logGroupName, logStreamName }, ctx) => onStream(ctx, logGroupName, logStreamName),
  partial: 'entity is accepted and not kept',
  async handle(ctx, { logGroupName, logStreamName, logEvents }) {
    const invalid = brokenRule(logEvents);
    if (invalid !== undefined) throw ctx.error('InvalidParameterException', invalid);
    const group = await findGroup(ctx, logGroupName);
    const stream = await findStream(ctx, group, logStreamName);
    const now = ctx.now().getTime();
    const { accepted, rejected } = sortOut(logEvents, group, now);
    if (accepted.length > 0) {
      const chunks = await Promise.all(cutBySpan(accepted).map(pack));
      const key = group.data_key === null ? undefined : await keyOpener(ctx, group)(group.data_key);
      await ctx.transaction(async (tx) => {
        await recordAppend(
          tx,
          stream.id,
          accepted,
          chunks.reduce((sum, { size }) => sum + size, 0),
          now,
        );
        const rows = chunks.map((chunk) => ({
          ...chunk,
          ...(key && { events: sealEvents(key, group.id, chunk.events) }),
          data_key: group.data_key,
          group_id: group.id,
          stream_id: stream.id,
          ingested_at: now,
        }));
        await tx.sql.insertInto('logs.chunks').values(rows).execute();
        await tx.signal(`logs:${logGroupName}:${logStreamName}`);
      });
    }
    return { nextSequenceToken: sequenceToken(now), rejectedLogEventsInfo: rejected };
  },
});

/** What is wrong with the batch as a whole, in AWS's words. */
function brokenRule(events: LogEvent[]): string | undefined {
  let bytes = 0;
  let last = Number.NEGATIVE_INFINITY;
  for (const { timestamp, message } of events) {
    const size = Buffer.byteLength(message) + EVENT_OVERHEAD_BYTES;
    if (size > MAX_BATCH_BYTES) return `Log event too large: ${size} bytes exceeds limit of ${MAX_BATCH_BYTES}`;
    bytes += size;
    if (timestamp < last) return 'Log events in a single PutLogEvents request must be in chronological order.';
    last = timestamp;
  }
  if (bytes > MAX_BATCH_BYTES) return `Upload too large: ${bytes} bytes exceeds limit of ${MAX_BATCH_BYTES}`;
  if (last - events[0]!.timestamp > MAX_BATCH_SPAN_MS) {
    return 'The batch of log events in a single PutLogEvents request cannot span more than 24 hours.';
  }
  return undefined;
}

/** Events that are too old, past the group's retention or too far in the future are left out, and told by their indexes. */
function sortOut(events: LogEvent[], group: GroupRow, now: number) {
  const endOf = (limit: number): number | undefined => {
    const index = events.findIndex(({ timestamp }) => timestamp >= limit);
    return index < 0 ? events.length : index || undefined;
  };
  const tooOld = endOf(now - TOO_OLD_MS);
  const expired = endOf(expiry(group, new Date(now)));
  const firstNew = events.findIndex(({ timestamp }) => timestamp > now + TOO_NEW_MS);
  const tooNew = firstNew < 0 ? undefined : firstNew;
  const rejected: ShapeOf<'logs', 'RejectedLogEventsInfo'> = {
    tooOldLogEventEndIndex: tooOld,
    expiredLogEventEndIndex: expired,
    tooNewLogEventStartIndex: tooNew,
  };
  const none = tooOld === undefined && expired === undefined && tooNew === undefined;
  return { accepted: events.slice(Math.max(tooOld ?? 0, expired ?? 0), tooNew), rejected: none ? undefined : rejected };
}

/** Locks the stream, so that of two writers the one who commits later has the later chunks. */
async function recordAppend(tx: Transaction, streamId: string, events: LogEvent[], bytes: number, now: number): Promise<void> {
  const first = events[0]!.timestamp;
  const last = events.at(-1)!.timestamp;
  const updated = await tx.sql
    .updateTable('logs.streams')
    .set({
      first_event_at: sql<number>`least(first_event_at, ${first}::bigint)`,
      last_event_at: sql<number>`greatest(last_event_at, ${last}::bigint)`,
      last_ingested_at: sql<number>`greatest(last_ingested_at, ${now}::bigint)`,
      stored_bytes: sql<number>`stored_bytes + ${bytes}::bigint`,
    })
    .where('id', '=', streamId)
    .executeTakeFirst();
  if (updated.numUpdatedRows === 0n) throw streamMissing();
}

/** Nobody needs it since 2023, but older clients still want to be handed one: 56 digits, as on AWS. */
export function sequenceToken(ingestedAt: number): string {
  return `4${String(ingestedAt).padStart(55, '0')}`;
}
