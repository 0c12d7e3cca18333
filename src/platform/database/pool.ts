/** Connections to PostgreSQL, and how a value of it becomes one of ours. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../log.ts';
import type { EmbeddedPostgres } from './embedded.ts';

const INT8 = 20;
/** Counts and sizes stay far below 2^53; a text would be compared wrongly. */
pg.types.setTypeParser(INT8, Number);

/** How long a request waits for a database that is starting again before it fails. */
const RECONNECT_MS = 15_000;

export interface Connections {
  pool: pg.Pool;
  /** A connection of its own, for LISTEN and for the lock that says "this process lives". */
  dedicated(): Promise<pg.Client>;
  /** Resolves when every connection of the pool is really closed, so that a database may be stopped without anybody complaining. */
  close(): Promise<void>;
}

export function connect(target: { url: string } | { embedded: EmbeddedPostgres }, log: Logger, size: number): Connections {
  const options: pg.ClientConfig = 'url' in target ? { connectionString: target.url } : { ...target.embedded.connection };
  const embedded = 'embedded' in target ? target.embedded : undefined;
  const pool = new ReconnectingPool({ ...options, max: size, idleTimeoutMillis: 30_000 }, embedded);
  const open = new Set<pg.PoolClient>();
  // An idle connection that breaks says so here; the next use makes a new one.
  pool.on('error', (error) => log.warn({ error: error.message }, 'lost a connection to the database'));
  pool.on('connect', (client) => {
    open.add(client);
    client.on('error', (error) => log.debug({ error: error.message }, 'a connection to the database broke'));
    client.once('end', () => open.delete(client));
  });
  return {
    pool,
    async dedicated() {
      const client = new pg.Client({ ...options, keepAlive: true });
      await client.connect();
      return client;
    },
    async close() {
      const closing = [...open].map((client) => once(client, 'end'));
      await pool.end();
      await Promise.all(closing);
    },
  };
}

/** Waits for a database that is away for a moment (restarted, killed) instead of failing the request that meets the gap. */
class ReconnectingPool extends pg.Pool {
  readonly #embedded: EmbeddedPostgres | undefined;

  constructor(options: pg.PoolConfig, embedded: EmbeddedPostgres | undefined) {
    super(options);
    this.#embedded = embedded;
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
        await this.#embedded?.ensureRunning();
        await delay(pause);
      }
    }
  }
}

const AWAY = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', '57P01', '57P02', '57P03']);

/** Whether the error means "the database is not there just now", so that nothing was done. Only for errors of connecting. */
function isAway(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return AWAY.has(code ?? '') || /Connection terminated/.test(message ?? '');
}
