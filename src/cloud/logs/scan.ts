/**
 * Reading events in order, a page at a time, however many streams and however late some events came.
 *
 * The order is by time, then by chunk, then by place in the chunk. Chunks are visited by the time of their first event; since none spans more
 * than MAX_SPAN_MS, it is known when no later chunk can still belong to the page. At most one chunk and one page are in memory.
 */
import { sql } from 'kysely';
import type { Reader } from '../../platform/platform.ts';
import { MAX_SPAN_MS, unpack } from './chunks.ts';
import { openEvents } from './encryption.ts';
import { before, compare, type Position } from './position.ts';
import type { ChunkRow } from './tables.ts';

/** Chunks fetched by one query: few large ones, or many small ones. */
const FETCH_BYTES = 2 * 1024 * 1024;
const FETCH_ROWS = 256;
/** GetLogEvents and FilterLogEvents answer with at most a mebibyte. */
const MAX_PAGE_BYTES = 1_048_576;
const EVENT_OVERHEAD_BYTES = 26;

export interface ScannedEvent extends Position {
  stream: string;
  message: string;
  ingestedAt: number;
}

export interface Scan {
  /** Of one stream or several, or of the whole group. */
  group: string;
  streams?: string[];
  /** Only events after it (or before it, when going backward). */
  from: Position;
  /** Both inclusive. */
  oldest: number;
  newest: number;
  backward?: boolean;
  limit: number;
  /** Opens the data keys of chunks that are under one. */
  openKey(id: string): Promise<Buffer>;
  matches?: (message: string) => boolean;
  /** Stop after about so many bytes were looked at, with what was found till then; for filters that match seldom. */
  maxVisitedBytes?: number;
}

export interface Page {
  /** In the order of time, also when read backward. */
  events: ScannedEvent[];
  /** Where the next page goes on; undefined when there is nothing further now. */
  next: Position | undefined;
}

type Visited = Pick<ChunkRow, 'id' | 'stream_id' | 'first_at' | 'last_at' | 'ingested_at' | 'compressed' | 'data_key' | 'events' | 'size'>;

export async function scan(read: Reader, wanted: Scan): Promise<Page> {
  const page = new PageBuilder(wanted);
  let visitedBytes = 0;
  let edge: { at: number; id: number } | undefined;
  for (;;) {
    const chunks = await fetchChunks(read, wanted, page.oldestUseful(), edge);
    if (chunks.length === 0) return page.finish();
    for (const chunk of chunks) {
      if (page.isComplete(chunk.first_at)) return page.finish();
      if (visitedBytes > (wanted.maxVisitedBytes ?? Number.POSITIVE_INFINITY) && page.mayInterrupt(chunk.first_at)) {
        return page.interrupt(chunk.first_at);
      }
      if (chunk.last_at >= page.oldestUseful()) visitedBytes += await page.add(chunk);
      edge = { at: chunk.first_at, id: chunk.id };
    }
  }
}

/** The next chunks in the order of their first events, as many as fit into one fetch. */
async function fetchChunks(read: Reader, wanted: Scan, low: number, edge: { at: number; id: number } | undefined): Promise<Visited[]> {
  const { group, streams, from, newest, backward = false } = wanted;
  const high = Math.min(newest, backward ? from.at : Number.MAX_SAFE_INTEGER);
  let inner = read
    .selectFrom('logs.chunks')
    .select(['id', 'stream_id', 'first_at', 'last_at', 'ingested_at', 'compressed', 'data_key', 'events', 'size'])
    .where('first_at', '>=', low - MAX_SPAN_MS)
    .where('first_at', '<=', high)
    .where('last_at', '>=', low);
  if (streams?.length === 1) inner = inner.where('stream_id', '=', streams[0]!);
  else inner = inner.where('group_id', '=', group);
  if (streams && streams.length !== 1) inner = inner.where('stream_id', 'in', streams);
  if (edge) inner = inner.where((eb) => eb(eb.refTuple('first_at', 'id'), backward ? '<' : '>', eb.tuple(edge.at, edge.id)));
  const direction = backward ? 'desc' : 'asc';
  const ordered = inner.orderBy('first_at', direction).orderBy('id', direction).limit(FETCH_ROWS).as('ordered');
  const running = sql<number>`sum(size) over (order by first_at ${sql.raw(direction)}, id ${sql.raw(direction)})`;
  const measured = read.selectFrom(ordered).selectAll().select(running.as('running')).as('measured');
  return read
    .selectFrom(measured)
    .select(['id', 'stream_id', 'first_at', 'last_at', 'ingested_at', 'compressed', 'data_key', 'events', 'size'])
    .where(sql<boolean>`running - size < ${FETCH_BYTES}`)
    .orderBy('first_at', direction)
    .orderBy('id', direction)
    .execute();
}

/** Keeps the first events (the last, when going backward) of all that it is shown, as many as a page holds. */
class PageBuilder {
  private readonly wanted: Scan;
  private readonly sign: 1 | -1;
  private kept: ScannedEvent[] = [];
  private keptBytes = 0;
  /** The nearest event that had no room: whatever stands behind it belongs to later pages. */
  private ceiling: Position | undefined;

  constructor(wanted: Scan) {
    this.wanted = wanted;
    this.sign = wanted.backward ? -1 : 1;
  }

  /** Returns how much there was to look at, in characters. */
  async add(chunk: Visited): Promise<number> {
    const { group, oldest, newest, matches, openKey } = this.wanted;
    const key = chunk.data_key === null ? undefined : await openKey(chunk.data_key);
    const events = await unpack(key ? { ...chunk, events: openEvents(key, group, chunk.events) } : chunk);
    let visited = 0;
    for (const [index, [at, message]] of events.entries()) {
      visited += message.length;
      if (at < oldest || at > newest) continue;
      const event = { at, chunk: chunk.id, index, stream: chunk.stream_id, message, ingestedAt: chunk.ingested_at };
      if (!this.isWithin(event) || (matches && !matches(message))) continue;
      this.kept.push(event);
      this.keptBytes += sizeOf(event);
    }
    if (this.kept.length > this.wanted.limit || this.keptBytes > MAX_PAGE_BYTES) this.cut();
    return visited;
  }

  private isWithin(event: Position): boolean {
    if (compare(event, this.wanted.from) * this.sign <= 0) return false;
    return this.ceiling === undefined || compare(event, this.ceiling) * this.sign < 0;
  }

  /** Whether no chunk that begins there, or further on, can have an event of this page. */
  isComplete(firstAt: number): boolean {
    if (!this.ceiling) return false;
    return this.wanted.backward ? firstAt + MAX_SPAN_MS < this.ceiling.at : firstAt > this.ceiling.at;
  }

  /** Chunks that end before it can be passed over: for a tail, all but those of its last moments. */
  oldestUseful(): number {
    const { backward, oldest, from } = this.wanted;
    return Math.max(oldest, backward ? (this.ceiling?.at ?? 0) : from.at);
  }

  private sort(): void {
    this.kept.sort((a, b) => compare(a, b) * this.sign);
  }

  private cut(): void {
    this.sort();
    let bytes = 0;
    // One event always fits, however large: a page may not be empty for ever.
    const end = this.kept.findIndex((event, index) => {
      bytes += sizeOf(event);
      return index === this.wanted.limit || (index > 0 && bytes > MAX_PAGE_BYTES);
    });
    if (end < 0) return;
    this.ceiling = this.kept[end]!;
    this.keptBytes = bytes - sizeOf(this.kept[end]!);
    this.kept.length = end;
  }

  finish(): Page {
    this.sort();
    const last = this.kept.at(-1);
    return {
      events: this.wanted.backward ? this.kept.toReversed() : this.kept,
      next: this.ceiling && last ? { at: last.at, chunk: last.chunk, index: last.index } : undefined,
    };
  }

  /** Whether the reading may break off before that chunk and the next page still begin further on than this one. */
  mayInterrupt(firstAt: number): boolean {
    return !this.wanted.backward && firstAt > this.wanted.from.at;
  }

  /** All events before `firstAt` have been seen; those from there on are left to the next page. */
  interrupt(firstAt: number): Page {
    this.sort();
    return { events: this.kept.filter(({ at }) => at < firstAt), next: before(firstAt) };
  }
}

function sizeOf(event: ScannedEvent): number {
  return Buffer.byteLength(event.message) + EVENT_OVERHEAD_BYTES;
}
