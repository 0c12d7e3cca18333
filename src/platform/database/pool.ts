/** Connections to PostgreSQL, and how a value of it becomes one of ours. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../log.ts';
import { DatabaseUnavailableError, type EmbeddedPostgres } from './embedded.ts';
import { breakConnection, watchConnection } from './heartbeat.ts';

const INT8 = 20;
/** Counts and sizes stay far below 2^53; a text would be compared wrongly. */
pg.types.setTypeParser(INT8, Number);

/**
 * Services look for single rows by their keys in tables that begin empty and may grow fast. PostgreSQL would read such a table from end to end
 * while it is small, and keep to that plan until it takes its statistics anew: a minute of a hundred times the cost. An index is never much worse.
 */
const PLANNING = '-c enable_seqscan=off';

/**
 * So that PostgreSQL notices within some eleven seconds that a process is cut off or its host is gone: the process then counts as dead, and
 * what it had locked is free. Without effect on sockets of this host.
 */
const NOTICE_SILENCE = '-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=10000';
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 };
/** For one attempt to connect. */
const CONNECT_MS = 5_000;

/** How long a request waits for a database that is starting again before it fails. */
const RECONNECT_MS = 15_000;
/** How long a stop waits for queries that still run. */
const CLOSE_MS = 5_000;
const TELL_MS = 5_000;
/** One of them listens; the others are held for a statement or two at a time. */
const JOB_CONNECTIONS = 5;
/** What the SQL of the services needs. */
const OLDEST_VERSION = 140_000;

export interface Connections {
  pool: pg.Pool;
  /** For taking and ending jobs only: sixteen idle workers that look for work at the same moment must not open sixteen connections. */
  jobs: pg.Pool;
  /**
   * A connection of its own, for LISTEN and for the lock that says "this process lives". When a database of another host does not answer on it
   * for some seconds, every connection counts as broken.
   */
  dedicated(): Promise<pg.Client>;
  /** Waits a while for a database that is just starting; throws DatabaseUnavailableError that says what to do. For the start of a process. */
  requireDatabase(): Promise<void>;
  /** Resolves when every connection of the pool is really closed, so that a database may be stopped without anybody complaining. */
  close(): Promise<void>;
}

export function connect(target: { url: string } | { embedded: EmbeddedPostgres }, log: Logger, size: number): Connections {
  const where: pg.ClientConfig = 'url' in target ? { connectionString: target.url } : { ...target.embedded.connection };
  const options = { ...where, ...KEEP_ALIVE, options: `${PLANNING} ${NOTICE_SILENCE}` };
  const embedded = 'embedded' in target ? target.embedded : undefined;
  if ('url' in target) requireUrl(target.url);
  const open = new Set<pg.PoolClient>();
  const createPool = (max: number): pg.Pool => {
    const made = new ReconnectingPool({ ...options, max, idleTimeoutMillis: 30_000, Client: PreparingClient }, embedded, log);
    // An idle connection that breaks says so here; the next use makes a new one.
    made.on('error', (error) => log.debug({ error: error.message }, 'lost a connection to the database'));
    made.on('connect', (client) => {
      open.add(client);
      client.on('error', (error) => log.debug({ error: error.message }, 'a connection to the database broke'));
      client.once('end', () => open.delete(client));
    });
    return made;
  };
  const pool = createPool(size);
  const jobs = createPool(JOB_CONNECTIONS);
  return {
    pool,
    jobs,
    async dedicated() {
      const client = new pg.Client({ ...options, connectionTimeoutMillis: CONNECT_MS });
      await client.connect();
      const breakAll = () => {
        log.warn('the database has fallen silent; its connections are given up');
        for (const each of [client, ...open]) breakConnection(each);
      };
      if (!embedded) watchConnection(client, breakAll);
      return client;
    },
    async requireDatabase() {
      try {
        const { rows } = await pool.query<{ version: number; name: string }>(
          `select current_setting('server_version_num')::int as version, current_setting('server_version') as name`,
        );
        if (rows[0]!.version >= OLDEST_VERSION) return;
        throw new DatabaseUnavailableError(
          `Penstock needs PostgreSQL ${OLDEST_VERSION / 10_000} or newer; the one of PENSTOCK_DATABASE_URL is ${rows[0]!.name}.`,
        );
      } catch (cause) {
        if (embedded || cause instanceof DatabaseUnavailableError) throw cause;
        throw new DatabaseUnavailableError(`The database of PENSTOCK_DATABASE_URL cannot be used: ${explain(cause)}.`, { cause });
      }
    },
    async close() {
      const closing = [...open].map((client) => once(client, 'end'));
      const closed = Promise.all([pool.end(), jobs.end()]).then(() => Promise.all(closing));
      if ((await Promise.race([closed, delay(CLOSE_MS, 'late', { ref: false })])) === 'late') {
        log.warn({ connections: open.size }, 'queries still ran when the connections to the database were closed');
      }
    },
  };
}

function requireUrl(url: string): void {
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return;
  throw new DatabaseUnavailableError('PENSTOCK_DATABASE_URL must look like postgres://user:password@host:5432/database.');
}

/** pg puts what it tried for each address into an error without words of its own. */
function explain(error: unknown): string {
  const { message, errors, code } = error as { message: string; errors?: Error[]; code?: string };
  return message || errors?.map((each) => each.message).join(', ') || code || String(error);
}

/** Waits for a database that is away for a moment (restarted, killed) instead of failing the request that meets the gap. */
class ReconnectingPool extends pg.Pool {
  readonly #embedded: EmbeddedPostgres | undefined;
  readonly #log: Logger;
  #toldAt = 0;

  constructor(options: pg.PoolConfig, embedded: EmbeddedPostgres | undefined, log: Logger) {
    super(options);
    this.#embedded = embedded;
    this.#log = log;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: any) => void) => void): void;
  override connect(callback?: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: any) => void) => void): any {
    const connecting = this.#connectPatiently();
    if (!callback) return connecting;
    connecting.then(
      (client) => callback(undefined, client, client.release.bind(client)),
      (error: Error) => callback(error, undefined, () => {}),
    );
  }

  async #connectPatiently(): Promise<pg.PoolClient> {
    const deadline = Date.now() + RECONNECT_MS;
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      try {
        return await super.connect();
      } catch (error) {
        if (!isAway(error) || Date.now() > deadline || this.ending) throw error;
        if (pause === 20) this.#tell(error);
        await this.#embedded?.ensureRunning();
        await delay(pause);
      }
    }
  }

  /** Once in a while: a hundred requests wait for the same thing. */
  #tell(error: unknown): void {
    if (Date.now() - this.#toldAt < TELL_MS) return;
    this.#toldAt = Date.now();
    this.#log.warn({ error: explain(error) }, 'the database does not answer; waiting for it');
  }
}

/** Statements beyond these are planned anew each time: lists of many lengths must not fill the database's memory. */
const MAX_PREPARED = 500;
const FEATURE_NOT_SUPPORTED = '0A000';
const prepared = new Map<string, string>();
let preparedSoFar = 0;

/**
 * Names every statement that has parameters, so that PostgreSQL parses and plans it once per connection instead of at each call. Those with a
 * callback, as `pool.query` makes them, are the rare ones of start and upkeep.
 */
class PreparingClient extends pg.Client {
  /** The time is that of connecting alone: said to the pool, it would be that of waiting for a free connection too. */
  constructor(config?: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: CONNECT_MS });
  }

  override query(config: any, values?: any, callback?: any): any {
    const preparable = typeof config === 'string' && Array.isArray(values) && values.length > 0 && callback === undefined;
    const name = preparable ? preparedName(config) : undefined;
    if (name === undefined) return super.query(config, values, callback);
    const answer = super.query({ text: config, name, values }) as Promise<unknown>;
    // A newer Penstock may have changed a table under us. The statement has another name from now on; a transaction must be begun anew.
    return answer.catch((error) => {
      if (!isOutdatedPlan(error)) throw error;
      prepared.delete(config);
      if (this.getTransactionStatus() !== 'I') throw error;
      return super.query(config, values);
    });
  }
}

function preparedName(text: string): string | undefined {
  let name = prepared.get(text);
  if (name === undefined && prepared.size < MAX_PREPARED) {
    name = `penstock-${++preparedSoFar}`;
    prepared.set(text, name);
  }
  return name;
}

/** "Cached plan must not change result type": the table has other columns than when the statement was prepared. */
export function isOutdatedPlan(error: unknown): boolean {
  const { code, routine } = error as { code?: string; routine?: string };
  return code === FEATURE_NOT_SUPPORTED && routine === 'RevalidateCachedQuery';
}

const AWAY = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'],
  ...['57P01', '57P02', '57P03'],
]);

/** Whether the error means "the database is not there just now". What was under way on the connection is undone, unless it was the commit. */
export function isAway(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return AWAY.has(code ?? '') || /Connection terminated|connection error and is not queryable|^timeout expired$/.test(message ?? '');
}
