/** LookupEvents: the management events of the last 90 days, newest first. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Input, OperationContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { attributeHash, attributeValues } from './attributes.ts';
import { RETENTION_DAYS, type StoredEvent, unpack } from './chunks.ts';
import { storeRecorded } from './recorder.ts';
import './tables.ts';

const MAX_RESULTS = 50;
const DAY_MS = 86_400_000;
const CHUNKS_AT_ONCE = 16;
/** One call looks through no more than this; its NextToken leads on. */
const MAX_CHUNKS = 256;
/** What was answered just now is found at once, unless the server is so busy that it stores it later. */
const FRESH_MS = 5_000;
/** Above every event id. */
const LAST = '~';

/** Events before this one, in the order of the answer, are still to come. */
interface Position {
  time: number;
  id: string;
}

interface Query {
  account: string;
  region: string;
  from: number;
  to: number;
  attribute: ShapeOf<'cloudtrail', 'LookupAttribute'> | undefined;
}

type Context = OperationContext<'InvalidLookupAttributesException' | 'InvalidTimeRangeException' | 'InvalidNextTokenException'>;

export const lookupEvents = operation('cloudtrail', 'LookupEvents', {
  authorize: () => '*',
  async handle(ctx, input) {
    const query = queryOf(ctx, input);
    const scope = scopeOf(query, input);
    const max = input.MaxResults ?? MAX_RESULTS;
    const after = input.NextToken === undefined ? { time: query.to, id: LAST } : ctx.paging.open<Position>(scope, input.NextToken);
    if (!after) throw ctx.error('InvalidNextTokenException', 'The specified token is not valid, or is of a lookup with other parameters.');
    // Penstock finds no insights, so there are none.
    if (input.EventCategory === 'insight') return { Events: [] };
    if (input.NextToken === undefined) await storeRecorded(ctx, FRESH_MS);
    const { events, next } = await page(ctx, query, after, max);
    return { Events: events.map(shown), NextToken: next && ctx.paging.seal(scope, next) };
  },
});

function queryOf(ctx: Context, { LookupAttributes = [], StartTime, EndTime }: Input<'cloudtrail', 'LookupEvents'>): Query {
  if (LookupAttributes.length > 1) throw ctx.error('InvalidLookupAttributesException', 'You can specify only one lookup attribute.');
  if (StartTime && EndTime && StartTime > EndTime) {
    throw ctx.error('InvalidTimeRangeException', 'The start time must be before the end time.');
  }
  const oldest = ctx.now().getTime() - RETENTION_DAYS * DAY_MS;
  return {
    account: ctx.account,
    region: ctx.region,
    from: Math.max(oldest, StartTime?.getTime() ?? 0),
    // The times that are shown have no fractions of a second: what is shown as the end is within.
    to: EndTime ? Math.floor(EndTime.getTime() / 1000) * 1000 + 999 : Number.MAX_SAFE_INTEGER,
    attribute: LookupAttributes[0],
  };
}

/** A token goes on with the same question only. */
function scopeOf(query: Query, { StartTime, EndTime }: Input<'cloudtrail', 'LookupEvents'>): string {
  const question = JSON.stringify([query.account, query.region, StartTime, EndTime, query.attribute]);
  return `cloudtrail:LookupEvents:${createHash('sha256').update(question).digest('base64url')}`;
}

async function page(ctx: Context, query: Query, after: Position, max: number): Promise<{ events: StoredEvent[]; next?: Position }> {
  const found: StoredEvent[] = [];
  let seen = 0;
  for await (const chunk of chunksBefore(ctx, query, after.time)) {
    // No later chunk holds anything newer than this one's newest.
    const certain = found.filter((event) => event.time > chunk.last_at);
    if (certain.length > max) return pageOf(certain, max);
    if (++seen > MAX_CHUNKS) return { events: certain.sort(newestFirst), next: { time: chunk.last_at, id: LAST } };
    for (const event of await unpack(chunk.events)) if (wanted(event, query, after)) found.push(event);
  }
  return pageOf(found, max);
}

function pageOf(found: StoredEvent[], max: number): { events: StoredEvent[]; next?: Position } {
  const events = found.sort(newestFirst).slice(0, max);
  if (found.length <= max) return { events };
  const last = events.at(-1)!;
  return { events, next: { time: last.time, id: last.record.eventID } };
}

function newestFirst(one: StoredEvent, other: StoredEvent): number {
  return other.time - one.time || (one.record.eventID < other.record.eventID ? 1 : -1);
}

function wanted(event: StoredEvent, { from, to, attribute }: Query, after: Position): boolean {
  const { time, record } = event;
  if (time < from || time > to) return false;
  if (time > after.time || (time === after.time && record.eventID >= after.id)) return false;
  return !attribute || attributeValues(attribute.AttributeKey, event).includes(attribute.AttributeValue);
}

/** The chunks that may hold what is asked for, by their newest event, newest first. */
async function* chunksBefore(ctx: Context, query: Query, before: number) {
  const { account, region, attribute } = query;
  const hash = attribute && attributeHash(query, attribute.AttributeKey, attribute.AttributeValue);
  for (let last: { last_at: number; id: string } | undefined; ; ) {
    let rows = ctx.read
      .selectFrom('cloudtrail.chunks')
      .select(['id', 'last_at', 'events'])
      .where((eb) => eb.and({ account, region, data: false }))
      .where('last_at', '>=', query.from)
      .where('first_at', '<=', Math.min(before, query.to))
      .orderBy('last_at', 'desc')
      .orderBy('id', 'desc')
      .limit(CHUNKS_AT_ONCE);
    if (hash !== undefined) rows = rows.where(sql<boolean>`attributes @> array[${hash}]::bigint[]`);
    if (last) rows = rows.where(sql<boolean>`(last_at, id) < (${last.last_at}, ${last.id}::uuid)`);
    const chunks = await rows.execute();
    yield* chunks;
    if (chunks.length < CHUNKS_AT_ONCE) return;
    last = chunks.at(-1);
  }
}

function shown({ time, userName, resources, record }: StoredEvent): ShapeOf<'cloudtrail', 'Event'> {
  return {
    EventId: record.eventID,
    EventName: record.eventName,
    ReadOnly: String(record.readOnly),
    AccessKeyId: record.userIdentity.accessKeyId,
    EventTime: new Date(Math.floor(time / 1000) * 1000),
    EventSource: record.eventSource,
    Username: userName,
    Resources: resources.map(({ type, name }) => ({ ResourceType: type, ResourceName: name })),
    CloudTrailEvent: JSON.stringify(record),
  };
}
