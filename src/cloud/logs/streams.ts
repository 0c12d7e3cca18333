/** Log streams: one writer's sequence of events in a group. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { operation, type ShapeOf } from '../../platform/service.ts';
import { expiry, findGroup, findStream, groupName, namedGroup, onGroup, onStream, streamArn } from './group.ts';
import { purgeStreams } from './purge.ts';
import { sequenceToken } from './put-events.ts';
import type { GroupRow, StreamRow } from './tables.ts';

const PAGE = 50;

export const createLogStream = operation('logs', 'CreateLogStream', {
  authorize: ({ logGroupName, logStreamName }, ctx) => onStream(ctx, logGroupName, logStreamName),
  async handle(ctx, { logGroupName, logStreamName }) {
    if (logStreamName.includes('\0'))
      throw ctx.error('InvalidParameterException', 'The log stream name has characters that are not allowed.');
    const group = await findGroup(ctx, logGroupName);
    const row = { id: randomUUID(), group_id: group.id, name: logStreamName, created_at: ctx.now().getTime() };
    const made = await ctx.transaction((tx) =>
      tx.sql
        .insertInto('logs.streams')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .executeTakeFirst(),
    );
    if (!made) throw ctx.error('ResourceAlreadyExistsException', 'The specified log stream already exists');
    return {};
  },
});

export const deleteLogStream = operation('logs', 'DeleteLogStream', {
  authorize: ({ logGroupName, logStreamName }, ctx) => onStream(ctx, logGroupName, logStreamName),
  async handle(ctx, { logGroupName, logStreamName }) {
    const stream = await findStream(ctx, await findGroup(ctx, logGroupName), logStreamName);
    await ctx.transaction(async (tx) => {
      await purgeStreams(tx, (streams) => streams.where('id', '=', stream.id));
      await tx.sql.deleteFrom('logs.streams').where('id', '=', stream.id).execute();
    });
    return {};
  },
});

interface Position {
  name: string;
  at: number;
}

export const describeLogStreams = operation('logs', 'DescribeLogStreams', {
  authorize: ({ logGroupName, logGroupIdentifier }, ctx) => onGroup(ctx, groupName(ctx, logGroupName ?? logGroupIdentifier ?? '')),
  async handle(ctx, input) {
    const { logStreamNamePrefix, orderBy = 'LogStreamName', descending = false, nextToken, limit = PAGE } = input;
    if (orderBy === 'LastEventTime' && logStreamNamePrefix !== undefined) {
      throw ctx.error('InvalidParameterException', 'Cannot order by LastEventTime with a logStreamNamePrefix.');
    }
    const group = await findGroup(ctx, namedGroup(ctx, input));
    const scope = `logs:DescribeLogStreams:${group.id}:${orderBy}:${descending}`;
    const after = nextToken === undefined ? undefined : ctx.paging.open<Position>(scope, nextToken);
    if (nextToken !== undefined && !after) throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
    const [direction, behind] = descending ? (['desc', '<'] as const) : (['asc', '>'] as const);
    const lastEvent = sql<number>`coalesce(last_event_at, 0)`;
    let query = ctx.read.selectFrom('logs.streams').selectAll().where('group_id', '=', group.id);
    if (logStreamNamePrefix !== undefined) {
      if (logStreamNamePrefix.includes('\0')) return { logStreams: [] };
      query = query.where(sql<boolean>`starts_with(name, ${logStreamNamePrefix})`);
    }
    if (orderBy === 'LastEventTime') {
      query = query.orderBy(lastEvent, direction);
      if (after) query = query.where((eb) => eb(eb.tuple(lastEvent, eb.ref('name')), behind, eb.tuple(after.at, after.name)));
    } else if (after) query = query.where('name', behind, after.name);
    const rows = await query
      .orderBy('name', direction)
      .limit(limit + 1)
      .execute();
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const more = rows.length > limit && last;
    return {
      logStreams: page.map((row) => describe(group, row, expiry(group, ctx.now()))),
      nextToken: more ? ctx.paging.seal(scope, { name: last.name, at: last.last_event_at ?? 0 } satisfies Position) : undefined,
    };
  },
});

function describe(group: GroupRow, stream: StreamRow, oldest: number): ShapeOf<'logs', 'LogStream'> {
  const empty = stream.last_event_at === null || stream.last_event_at < oldest;
  return {
    logStreamName: stream.name,
    creationTime: stream.created_at,
    firstEventTimestamp: empty ? undefined : Math.max(stream.first_event_at!, oldest),
    lastEventTimestamp: empty ? undefined : stream.last_event_at!,
    lastIngestionTime: stream.last_ingested_at ?? undefined,
    uploadSequenceToken: stream.last_ingested_at === null ? undefined : sequenceToken(stream.last_ingested_at),
    arn: streamArn(group, group.name, stream.name),
    storedBytes: 0,
  };
}
