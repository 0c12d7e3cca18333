/** StartLiveTail: what is logged from now on, told every second for as long as three hours. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { unpack } from './chunks.ts';
import { keyOpener, openEvents } from './encryption.ts';
import { compileFilter } from './filter-events.ts';
import { findGroup, groupArn, groupName, onGroup } from './group.ts';
import type { GroupRow } from './tables.ts';

type Message = ShapeOf<'logs', 'StartLiveTailResponseStream'>;
type LogEvent = ShapeOf<'logs', 'LiveTailSessionLogEvent'>;

const UPDATE_MS = 1_000;
const SESSION_MS = 3 * 3_600_000;
/** More than these in a second are left out, and the update says so (user guide, "Live Tail"). */
const MAX_EVENTS = 500;
/** Of an account, in one process. */
const MAX_SESSIONS = 15;
/** A chunk whose writer was given its id early may be committed so much later than its neighbours. */
const LATE_MS = 10_000;
const CHUNKS_AT_ONCE = 500;

const sessions = new Map<string, number>();

interface Wanted {
  groups: GroupRow[];
  /** Whether events of a stream of that name are told. */
  stream(name: string): boolean;
  matches: ((message: string) => boolean) | undefined;
}

export const startLiveTail = operation('logs', 'StartLiveTail', {
  authorize: async ({ logGroupIdentifiers }, ctx) => Promise.all(logGroupIdentifiers.map((id) => onGroup(ctx, groupName(ctx, id)))),
  async handle(ctx, input) {
    const { logGroupIdentifiers, logStreamNames: names, logStreamNamePrefixes: prefixes, logEventFilterPattern = '' } = input;
    if (names && prefixes)
      throw ctx.error('InvalidParameterException', 'logStreamNames and logStreamNamePrefixes cannot both be specified.');
    if ((names || prefixes) && logGroupIdentifiers.length > 1) {
      throw ctx.error('InvalidParameterException', 'Log streams can be named for one log group only.');
    }
    const groups = await Promise.all(logGroupIdentifiers.map((id) => findGroup(ctx, groupName(ctx, id))));
    if (groups.some((group) => group.class !== 'STANDARD')) {
      throw ctx.error('InvalidOperationException', 'Live Tail is only for log groups of the class STANDARD.');
    }
    const matches = compileFilter(logEventFilterPattern);
    if ((sessions.get(ctx.account) ?? 0) >= MAX_SESSIONS) {
      throw ctx.error('LimitExceededException', `There are ${MAX_SESSIONS} Live Tail sessions already.`);
    }
    const stream = (name: string): boolean => {
      if (names) return names.includes(name);
      return prefixes ? prefixes.some((prefix) => name.startsWith(prefix)) : true;
    };
    const start = {
      requestId: ctx.requestId,
      sessionId: randomUUID(),
      logGroupIdentifiers: groups.map((group) => groupArn(group, group.name)),
      logStreamNames: names ?? [],
      logStreamNamePrefixes: prefixes ?? [],
      logEventFilterPattern,
    };
    // What is logged after the answer has begun is told.
    const chunks = await ChunkCursor.open(ctx, groups);
    return { responseStream: tail(ctx, start, { groups, stream, matches }, chunks) };
  },
});

async function* tail(
  ctx: RequestContext,
  sessionStart: ShapeOf<'logs', 'LiveTailSessionStart'>,
  wanted: Wanted,
  chunks: ChunkCursor,
): AsyncGenerator<Message> {
  const { account } = ctx;
  sessions.set(account, (sessions.get(account) ?? 0) + 1);
  try {
    yield { sessionStart };
    for (const until = Date.now() + SESSION_MS; Date.now() < until; ) {
      await delay(UPDATE_MS);
      yield { sessionUpdate: await update(ctx, wanted, chunks) };
    }
    yield { SessionTimeoutException: { message: 'The session is over after three hours.' } };
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    yield { SessionStreamingException: { message: error.message } };
  } finally {
    sessions.set(account, sessions.get(account)! - 1);
  }
}

async function update(ctx: RequestContext, wanted: Wanted, cursor: ChunkCursor): Promise<ShapeOf<'logs', 'LiveTailSessionUpdate'>> {
  const byId = new Map(wanted.groups.map((group) => [group.id, { group, openKey: keyOpener(ctx, group) }]));
  const events: LogEvent[] = [];
  let sampled = false;
  for (const chunk of await cursor.next()) {
    if (!wanted.stream(chunk.name)) continue;
    const { group, openKey } = byId.get(chunk.group_id)!;
    const key = chunk.data_key === null ? undefined : await openKey(chunk.data_key);
    for (const [timestamp, message] of await unpack(key ? { ...chunk, events: openEvents(key, group.id, chunk.events) } : chunk)) {
      if (wanted.matches && !wanted.matches(message)) continue;
      if (events.length === MAX_EVENTS) sampled = true;
      else {
        const logGroupIdentifier = groupArn(group, group.name);
        events.push({ logStreamName: chunk.name, logGroupIdentifier, message, timestamp, ingestionTime: chunk.ingested_at });
      }
    }
  }
  return { sessionMetadata: { sampled }, sessionResults: events };
}

/** Chunks as they come in, each once. Ids are given out before commits, so those of the last seconds are looked through again each time. */
class ChunkCursor {
  readonly #ctx: RequestContext;
  readonly #groups: string[];
  /** Chunks up to this one have all been seen. */
  #low: number;
  #seen: Set<number>;
  /** The newest chunk of all groups at some times. */
  #marks: { at: number; id: number }[] = [];

  private constructor(ctx: RequestContext, groups: GroupRow[], ids: number[]) {
    this.#ctx = ctx;
    this.#groups = groups.map(({ id }) => id);
    this.#low = ids.at(-1) ?? 0;
    this.#seen = new Set(ids);
  }

  static async open(ctx: RequestContext, groups: GroupRow[]): Promise<ChunkCursor> {
    return new ChunkCursor(ctx, groups, await newestIds(ctx, CHUNKS_AT_ONCE));
  }

  async next() {
    const [newest] = await newestIds(this.#ctx, 1);
    const found = await this.#ctx.read
      .selectFrom('logs.chunks as chunk')
      .innerJoin('logs.streams as stream', 'stream.id', 'chunk.stream_id')
      .select(['chunk.id', 'chunk.group_id', 'chunk.ingested_at', 'chunk.compressed', 'chunk.data_key', 'chunk.events', 'stream.name'])
      .where('chunk.id', '>', this.#low)
      .where('chunk.group_id', 'in', this.#groups)
      .where((eb) => (this.#seen.size === 0 ? eb.lit(true) : eb('chunk.id', 'not in', [...this.#seen])))
      .orderBy('chunk.id')
      .limit(CHUNKS_AT_ONCE)
      .execute();
    for (const { id } of found) this.#seen.add(id);
    // What is left over from this time is between the last found and the newest.
    const complete = found.length < CHUNKS_AT_ONCE ? newest : found.at(-1)!.id;
    if (complete !== undefined) this.#marks.push({ at: Date.now(), id: complete });
    const settled = this.#marks.findLastIndex(({ at }) => at < Date.now() - LATE_MS);
    if (settled >= 0) {
      this.#low = Math.max(this.#low, this.#marks[settled]!.id);
      this.#marks.splice(0, settled + 1);
      this.#seen = new Set([...this.#seen].filter((id) => id > this.#low));
    }
    return found;
  }
}

async function newestIds({ read }: RequestContext, limit: number): Promise<number[]> {
  const rows = await read.selectFrom('logs.chunks').select('id').orderBy('id', 'desc').limit(limit).execute();
  return rows.map(({ id }) => id);
}
