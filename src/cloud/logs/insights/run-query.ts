/** Running a query: its events are read page by page and pushed through its steps; it can be stopped, and ends by itself when it takes too long. */
import { setImmediate as breathe } from 'node:timers/promises';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { isAway } from '../../../platform/database/pool.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Keyring } from '../../../platform/keyring.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { keyOpener } from '../encryption.ts';
import { expiry } from '../group.ts';
import { END, type Position } from '../position.ts';
import { scan } from '../scan.ts';
import type { GroupRow, QueryRow } from '../tables.ts';
import { QueryThread } from './compute.ts';
import type { EventSource } from './event-row.ts';
import { pointerTo } from './pointer.ts';
import { QueryError } from './syntax.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

export const QUERY_KIND = 'logs.query';
const PAGE = 2_000;
/** AWS gives up after 60 minutes. */
const LONGEST_MS = 60 * 60_000;
const LOOK_MS = 500;
const KEPT_MS = 7 * 24 * 3_600_000;
const MAX_RESULT_BYTES = 256 * 1024 * 1024;

/** At once in one process: each has a thread of its own. */
const MAX_RUNNING = 4;
const TURN_MS = 1_000;
let running = 0;

export type ResultRow = { field: string; value: string }[];

class Ended extends Error {
  readonly status: 'Cancelled' | 'Timeout';
  constructor(status: 'Cancelled' | 'Timeout') {
    super(status);
    this.status = status;
  }
}

export const queryReconciler: Reconciler = {
  async run(platform, id, signal) {
    if (running === MAX_RUNNING) {
      // A job that waited for its turn would keep others from theirs.
      await platform.transaction((tx) => tx.reconcile(QUERY_KIND, id, new Date(platform.now().getTime() + TURN_MS)));
      return;
    }
    const query = await begin(platform, id);
    if (!query) return;
    running += 1;
    try {
      const { rows, statistics } = await execute(platform, query, signal);
      const results = await sealResults(platform.keyring, id, rows);
      await end(platform, id, { status: 'Complete', statistics: JSON.stringify(statistics), results });
    } catch (error) {
      if (signal.aborted || isAway(error)) throw error;
      if (error instanceof Ended) return end(platform, id, { status: error.status });
      const known = error instanceof QueryError || error instanceof AwsError;
      if (!known) platform.log.error({ error, query: id }, 'a query failed inside Penstock');
      await end(platform, id, { status: 'Failed', problem: known ? error.message : 'An internal error occurred.' });
    } finally {
      running -= 1;
    }
  },

  async pending({ read, now, transaction }) {
    const old = now().getTime() - KEPT_MS;
    const expired = await read.selectFrom('logs.queries').select('id').where('created_at', '<', old).limit(1).execute();
    if (expired.length > 0) await transaction((tx) => tx.sql.deleteFrom('logs.queries').where('created_at', '<', old).execute());
    const rows = await read.selectFrom('logs.queries').select('id').where('status', 'in', ['Scheduled', 'Running']).execute();
    return rows.map(({ id }) => id);
  },
};

/** Undefined for one that has ended. One that a process left behind begins anew. */
function begin(platform: Platform, id: string): Promise<QueryRow | undefined> {
  return platform.transaction((tx) =>
    tx.sql
      .updateTable('logs.queries')
      .set({ status: 'Running' })
      .where('id', '=', id)
      .where('status', 'in', ['Scheduled', 'Running'])
      .returningAll()
      .executeTakeFirst(),
  );
}

async function end(
  platform: Platform,
  id: string,
  ending: { status: QueryRow['status']; statistics?: string; results?: string; problem?: string },
): Promise<void> {
  await platform.transaction((tx) =>
    tx.sql
      .updateTable('logs.queries')
      .set({ ...ending, ended_at: platform.now().getTime() })
      .where('id', '=', id)
      .where('status', '=', 'Running')
      .execute(),
  );
}

interface Statistics {
  recordsMatched: number;
  recordsScanned: number;
  bytesScanned: number;
}

async function execute(platform: Platform, query: QueryRow, signal: AbortSignal): Promise<{ rows: ResultRow[]; statistics: Statistics }> {
  const groups = await platform.read.selectFrom('logs.groups').selectAll().where('id', 'in', query.groups).execute();
  const task = { query: query.query, limit: query.row_limit ?? undefined, ordered: groups.length <= 1 };
  await using thread = new QueryThread(task);
  const statistics: Statistics = { recordsMatched: 0, recordsScanned: 0, bytesScanned: 0 };
  const watch = new Watch(platform, query.id, signal);
  for (const group of groups) await read(platform, query, group, thread, statistics, watch);
  const found = await thread.end(watch.signal);
  statistics.recordsMatched = found.matched;
  const rows: ResultRow[] = [];
  for (const [index, { fields, event }] of found.rows.entries()) {
    rows.push(event ? [...fields, { field: '@ptr', value: pointerTo(platform, query, event) }] : fields);
    if (index % 1_000 === 999) await breathe();
  }
  return { rows, statistics };
}

async function read(
  platform: Platform,
  query: QueryRow,
  group: GroupRow,
  thread: QueryThread,
  statistics: Statistics,
  watch: Watch,
): Promise<void> {
  const names = new Map<string, string>();
  const openKey = keyOpener(platform, group);
  const oldest = Math.max(query.start_at, expiry(group, platform.now()));
  const { id, account, name } = group;
  for (let from: Position | undefined = END; from; ) {
    await watch.look();
    const page: Awaited<ReturnType<typeof scan>> = await scan(platform.read, {
      ...{ group: group.id, from, oldest, newest: query.end_at, backward: true, limit: PAGE, openKey },
    });
    await learnNames(platform, names, new Set(page.events.map(({ stream }) => stream)));
    const events = page.events.toReversed().flatMap(({ at, chunk, index, message, ingestedAt, stream }): EventSource[] => {
      const streamName = names.get(stream);
      // Of a stream that was deleted meanwhile.
      if (streamName === undefined) return [];
      return [{ group: { id, account, name }, stream: streamName, message, ingestedAt, position: { at, chunk, index } }];
    });
    statistics.recordsScanned += events.length;
    statistics.bytesScanned += events.reduce((sum, { message }) => sum + message.length, 0);
    if (!(await thread.push(events, watch.signal))) return;
    from = page.next;
  }
}

async function learnNames(platform: Platform, names: Map<string, string>, ids: Set<string>): Promise<void> {
  const unknown = [...ids].filter((id) => !names.has(id));
  if (unknown.length === 0) return;
  const rows = await platform.read.selectFrom('logs.streams').select(['id', 'name']).where('id', 'in', unknown).execute();
  for (const { id, name } of rows) names.set(id, name);
}

/** Notices now and then whether the query was stopped, or goes on for too long. */
class Watch {
  readonly #platform: Platform;
  readonly #id: string;
  readonly signal: AbortSignal;
  readonly #until = Date.now() + LONGEST_MS;
  #last = Date.now();

  constructor(platform: Platform, id: string, signal: AbortSignal) {
    this.#platform = platform;
    this.#id = id;
    this.signal = signal;
  }

  async look(): Promise<void> {
    // The process ends; another takes the query up.
    this.signal.throwIfAborted();
    if (Date.now() > this.#until) throw new Ended('Timeout');
    if (Date.now() - this.#last < LOOK_MS) return;
    this.#last = Date.now();
    const row = await this.#platform.read.selectFrom('logs.queries').select('status').where('id', '=', this.#id).executeTakeFirst();
    if (row?.status !== 'Running') throw new Ended('Cancelled');
  }
}

async function sealResults(keyring: Keyring, id: string, rows: ResultRow[]): Promise<string> {
  return keyring.seal(`logs:query:${id}`, await compress(Buffer.from(JSON.stringify(rows))));
}

export async function openResults(keyring: Keyring, { id, results }: Pick<QueryRow, 'id' | 'results'>): Promise<ResultRow[]> {
  const plain = results === null ? undefined : keyring.open(`logs:query:${id}`, results);
  if (!plain) return [];
  return JSON.parse((await decompress(plain, { maxOutputLength: MAX_RESULT_BYTES })).toString()) as ResultRow[];
}
