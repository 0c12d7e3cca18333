/**
 * Which processes live, told exactly and at once: each holds a session lock in PostgreSQL that vanishes with it, whatever killed it.
 * No heartbeats. What a dead process had claimed (jobs, builds) is given back by `sweep`.
 */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Connections } from './database/pool.ts';
import type { Logger } from './log.ts';

/** First half of the two-number advisory lock; the second is the process id (of our table). */
const LIVES = 7_461;
const CHANNEL = 'penstock';
/** After our own connection came back, others may still be on their way back too: do not call them dead yet. */
const RETURN_GRACE_MS = 10_000;

export interface Processes {
  /** This process's id in `platform.processes`; a new one when the database forgot us. Leases name it. */
  readonly id: string;
  /** Ids that are dead, now; their rows are still there so that others can clean up after them. */
  dead(): Promise<string[]>;
  isAlive(id: string): Promise<boolean>;
  /** This process was declared dead by others (its connection was away too long): what it had leased is no longer its own. */
  onLost(listener: (formerId: string) => void): () => void;
}

interface Options {
  connections: Connections;
  role: string;
  log: Logger;
  /** Gets every notification of the database. */
  onNotify: (payload: string) => void;
  /** Called after each (re)connection: notifications may have been missed. */
  onReconnect: () => void;
}

export class ProcessRegistry implements Processes {
  id = '';
  poolId: string | undefined;
  #client: pg.Client | undefined;
  #since = 0;
  #first = true;
  #closed = false;
  readonly #options: Options;
  readonly #lost = new Set<(formerId: string) => void>();

  constructor(options: Options) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { connections, log, onNotify } = this.#options;
    // A pool connection first: it waits for a database that is just starting.
    (await connections.pool.connect()).release();
    const client = await connections.dedicated();
    client.on('notification', (message) => message.payload && onNotify(message.payload));
    client.on('error', (error) => log.warn({ error: error.message }, 'lost the connection that listens to the database'));
    client.once('end', () => {
      if (!this.#closed) this.#reopen();
    });
    await client.query(`listen ${CHANNEL}`);
    this.#client = client;
    await this.#holdLock(client);
    this.#since = Date.now();
    this.#options.onReconnect();
  }

  async #holdLock(client: pg.Client): Promise<void> {
    const former = this.id;
    if (former) {
      const { rowCount } = await client.query('select 1 from platform.processes where id = $1', [former]);
      const { rows } = await client.query('select pg_try_advisory_lock($1, $2) as held', [LIVES, Number(former)]);
      if (rowCount && rows[0].held) return;
    }
    const { role } = this.#options;
    const { rows } = await client.query('insert into platform.processes (role, host, pid, pool_id) values ($1, $2, $3, $4) returning id', [
      role,
      hostname(),
      process.pid,
      this.poolId,
    ]);
    this.id = String(rows[0].id);
    await client.query('select pg_advisory_lock($1, $2)', [LIVES, Number(this.id)]);
    if (former) for (const listener of this.#lost) listener(former);
  }

  async #reopen(): Promise<void> {
    this.#first = false;
    for (let pause = 50; !this.#closed; pause = Math.min(pause * 2, 2000)) {
      try {
        return await this.open();
      } catch (error) {
        this.#options.log.warn({ error: (error as Error).message }, 'the database does not answer yet');
        await delay(pause);
      }
    }
  }

  async setPool(poolId: string): Promise<void> {
    this.poolId = poolId;
    await this.#options.connections.pool.query('update platform.processes set pool_id = $1 where id = $2', [poolId, this.id]);
  }

  async isAlive(id: string): Promise<boolean> {
    if (id === this.id) return true;
    const { rows } = await this.#options.connections.pool.query(
      `select exists (select 1 from pg_locks where locktype = 'advisory' and classid = $1 and objid = $2 and granted) as alive`,
      [LIVES, id],
    );
    return rows[0].alive;
  }

  async dead(): Promise<string[]> {
    if (!this.#first && Date.now() - this.#since < RETURN_GRACE_MS) return [];
    const { rows } = await this.#options.connections.pool.query<{ id: number }>(
      `select id from platform.processes p where id <> $2 and not exists (
         select 1 from pg_locks l where l.locktype = 'advisory' and l.classid = $1 and l.objid = p.id and l.granted)
         and started_at < now() - interval '1 second'`,
      [LIVES, this.id],
    );
    return rows.map((row) => String(row.id));
  }

  /** Gives back the jobs that dead processes held, and forgets them. Rows that lease by process id must be looked after first. */
  async forget(ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const { pool } = this.#options.connections;
    await pool.query(
      `select graphile_worker.force_unlock_workers(array_agg(pool_id)) from platform.processes where id = any($1::bigint[]) and pool_id is not null`,
      [ids],
    );
    await pool.query('delete from platform.processes where id = any($1::bigint[])', [ids]);
  }

  /** True when no other process works on this database. */
  async alone(): Promise<boolean> {
    const { rows } = await this.#options.connections.pool.query(
      `select count(*) as others from pg_locks where locktype = 'advisory' and classid = $1 and granted and objid <> $2`,
      [LIVES, this.id],
    );
    return rows[0].others === 0;
  }

  onLost(listener: (formerId: string) => void): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#options.connections.pool.query('delete from platform.processes where id = $1', [this.id]).catch(() => {});
    await this.#client?.end().catch(() => {});
  }
}
