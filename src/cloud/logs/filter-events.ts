/** FilterLogEvents: the events of a group that match a pattern, over all or some of its streams, in order of time. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { keyOpener } from './encryption.ts';
import { compilePattern, type MessageTest } from './filter/pattern.ts';
import { PatternError } from './filter/pattern-error.ts';
import { expiry, findGroup, groupName, namedGroup, onGroup, streamMissing } from './group.ts';
import { before, type Position } from './position.ts';
import { type ScannedEvent, scan } from './scan.ts';
import type { GroupRow } from './tables.ts';

const MAX_EVENTS = 10_000;
/** A call looks at about so much, and says with a token that it has not seen all. */
const MAX_VISITED_BYTES = 32 * 1024 * 1024;
/** Streams of one prefix that a call reads; more are not looked for one by one. */
const MAX_PREFIX_STREAMS = 10_000;

export const filterLogEvents = operation('logs', 'FilterLogEvents', {
  authorize: ({ logGroupName, logGroupIdentifier }, ctx) => onGroup(ctx, groupName(ctx, logGroupName ?? logGroupIdentifier ?? '')),
  async handle(ctx, input) {
    const { logStreamNames, logStreamNamePrefix, filterPattern = '', nextToken, startTime = 0, endTime, limit = MAX_EVENTS } = input;
    const group = await findGroup(ctx, namedGroup(ctx, input));
    if (logStreamNames && logStreamNamePrefix !== undefined) {
      throw ctx.error('InvalidParameterException', 'logStreamNames and logStreamNamePrefix cannot both be specified.');
    }
    const matches = compileFilter(filterPattern);
    const scope = `logs:FilterLogEvents:${group.id}`;
    const from = nextToken === undefined ? before(0) : ctx.paging.open<Position>(scope, nextToken);
    if (!from) throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
    const streams = await wantedStreams(ctx, group, logStreamNames, logStreamNamePrefix);
    if (streams?.length === 0) return { events: [], searchedLogStreams: [] };
    const { events, next } = await scan(ctx.read, {
      group: group.id,
      openKey: keyOpener(ctx, group),
      streams,
      from,
      oldest: Math.min(Math.max(startTime, expiry(group, ctx.now())), Number.MAX_SAFE_INTEGER),
      newest: Math.min(endTime ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1),
      limit,
      matches,
      maxVisitedBytes: MAX_VISITED_BYTES,
    });
    const names = await streamNames(ctx, events);
    return {
      events: events
        // A stream that was deleted meanwhile has no name any more.
        .filter(({ stream }) => names.has(stream))
        .map((event) => ({
          logStreamName: names.get(event.stream),
          timestamp: event.at,
          message: event.message,
          ingestionTime: event.ingestedAt,
          eventId: eventId(event),
        })),
      searchedLogStreams: [],
      nextToken: next && ctx.paging.seal(scope, next),
    };
  },
});

export function compileFilter(pattern: string): MessageTest | undefined {
  try {
    return compilePattern(pattern);
  } catch (error) {
    if (error instanceof PatternError) throw new AwsError('InvalidParameterException', `Invalid filter pattern: ${error.message}`);
    throw error;
  }
}

/** Ids of the streams to read; undefined for all of the group. */
async function wantedStreams(ctx: RequestContext, group: GroupRow, names?: string[], prefix?: string): Promise<string[] | undefined> {
  if (!names && prefix === undefined) return undefined;
  const query = ctx.read.selectFrom('logs.streams').select(['id', 'name']).where('group_id', '=', group.id);
  if (prefix !== undefined) {
    if (prefix.includes('\0')) return [];
    const rows = await query.where(sql<boolean>`starts_with(name, ${prefix})`).orderBy('name').limit(MAX_PREFIX_STREAMS).execute();
    return rows.map(({ id }) => id);
  }
  const wanted = [...new Set(names)];
  const rows = wanted.some((name) => name.includes('\0')) ? [] : await query.where('name', 'in', wanted).execute();
  if (rows.length < wanted.length) throw streamMissing();
  return rows.map(({ id }) => id);
}

async function streamNames(ctx: RequestContext, events: ScannedEvent[]): Promise<Map<string, string>> {
  const ids = [...new Set(events.map(({ stream }) => stream))];
  if (ids.length === 0) return new Map();
  const rows = await ctx.read.selectFrom('logs.streams').select(['id', 'name']).where('id', 'in', ids).execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** 56 digits that name the event for ever: its time, its chunk and its place there. */
function eventId({ at, chunk, index }: Position): string {
  return `3${String(at).padStart(15, '0')}${String(chunk).padStart(30, '0')}${String(index).padStart(10, '0')}`;
}
