/** Single events by their pointer, and the fields that events have: GetLogRecord and GetLogGroupFields. */
import { AwsError } from '../../../platform/errors.ts';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { unpack } from '../chunks.ts';
import { keyOpener, openEvents } from '../encryption.ts';
import { expiry, findGroup, groupName, namedGroup, onGroup } from '../group.ts';
import { END } from '../position.ts';
import { scan } from '../scan.ts';
import { EventRow } from './event-row.ts';
import { openPointer, type Pointer } from './pointer.ts';
import { toText } from './values.ts';

const SAMPLE = 1_000;
const MINUTE = 60_000;

function pointed(ctx: RequestContext, text: string): Pointer {
  const pointer = openPointer(ctx, ctx, text);
  if (!pointer) throw new AwsError('InvalidParameterException', 'The specified logRecordPointer is invalid.');
  return pointer;
}

export const getLogRecord = operation('logs', 'GetLogRecord', {
  authorize: ({ logRecordPointer }, ctx) => onGroup(ctx, pointed(ctx, logRecordPointer).group),
  async handle(ctx, { logRecordPointer }) {
    const pointer = pointed(ctx, logRecordPointer);
    const group = await findGroup(ctx, pointer.group);
    const chunk = await ctx.read
      .selectFrom('logs.chunks as chunk')
      .innerJoin('logs.streams as stream', 'stream.id', 'chunk.stream_id')
      .selectAll('chunk')
      .select('stream.name')
      .where('chunk.id', '=', pointer.chunk)
      .where('chunk.group_id', '=', group.id)
      .executeTakeFirst();
    const key = chunk && chunk.data_key !== null ? await keyOpener(ctx, group)(chunk.data_key) : undefined;
    const events = chunk ? await unpack(key ? { ...chunk, events: openEvents(key, group.id, chunk.events) } : chunk) : [];
    const [at, message] = events[pointer.index] ?? [];
    if (!chunk || at === undefined || message === undefined || at < expiry(group, ctx.now())) {
      throw ctx.error('ResourceNotFoundException', 'The log record does not exist any more.');
    }
    const position = { at, chunk: chunk.id, index: pointer.index };
    const row = new EventRow({ group, stream: chunk.name, message, ingestedAt: chunk.ingested_at, position });
    const discovered = [...row.discovered()].map(([name, value]) => [name, toText(value) ?? ''] as const);
    return {
      logRecord: {
        ...Object.fromEntries(discovered),
        '@message': message,
        '@timestamp': String(at),
        '@ingestionTime': String(chunk.ingested_at),
        '@logStream': chunk.name,
        '@log': `${group.account}:${group.name}`,
        '@ptr': logRecordPointer,
      },
    };
  },
});

export const getLogGroupFields = operation('logs', 'GetLogGroupFields', {
  authorize: ({ logGroupName, logGroupIdentifier }, ctx) => onGroup(ctx, groupName(ctx, logGroupName ?? logGroupIdentifier ?? '')),
  partial: 'counted in the newest thousand events of the time',
  async handle(ctx, input) {
    const group = await findGroup(ctx, namedGroup(ctx, input));
    const now = ctx.now().getTime();
    const middle = input.time === undefined ? undefined : input.time < 1e11 ? input.time * 1000 : input.time;
    const [start, end] = middle === undefined ? [now - 15 * MINUTE, now] : [middle - 8 * MINUTE, middle + 8 * MINUTE];
    const { events } = await scan(ctx.read, {
      ...{ group: group.id, from: END, backward: true, limit: SAMPLE, openKey: keyOpener(ctx, group) },
      ...{ oldest: Math.max(start, expiry(group, ctx.now())), newest: Math.min(end, Number.MAX_SAFE_INTEGER - 1) },
    });
    if (events.length === 0) return { logGroupFields: [] };
    const counts = new Map(['@ingestionTime', '@log', '@logStream', '@message', '@timestamp'].map((name) => [name, events.length]));
    for (const { message, ingestedAt, ...position } of events) {
      const row = new EventRow({ group, stream: '', message, ingestedAt, position });
      for (const name of row.discovered().keys()) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const fields = [...counts].map(([name, count]) => ({ name, percent: Math.floor((100 * count) / events.length) }));
    return { logGroupFields: fields.sort((a, b) => b.percent - a.percent || (a.name < b.name ? -1 : 1)) };
  },
});
