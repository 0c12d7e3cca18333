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
  #client: pg.Client | undefined;
  #since = 0;
  #first = true;
  #closed = false;
  readonly #options: Options;
  readonly #lost = new Set<(formerId: string) => void>();
  readonly #returned = new Set<() => void>();

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
    try {
      await client.query(`listen ${CHANNEL}`);
      await this.#holdLock(client);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    // From here on; before, whoever called us tries again.
    client.once('end', () => {
      if (!this.#closed) this.#reopen();
    });
    this.#client = client;
    this.#since = Date.now();
    this.#options.onReconnect();
    if (!this.#first) for (const listener of this.#returned) listener();
  }

  async #holdLock(client: pg.Client): Promise<void> {
    const former = this.id;
    if (former) {
      const { rows } = await client.query('select pg_try_advisory_lock($1, $2) as held', [LIVES, Number(former)]);
      const { rowCount } = await client.query('select 1 from platform.processes where id = $1', [former]);
      if (rowCount && rows[0].held) return;
      // Forgotten by the others: nobody may take the former one for alive.
      if (rows[0].held) await client.query('select pg_advisory_unlock($1, $2)', [LIVES, Number(former)]);
    }
    const { role } = this.#options;
    const { rows } = await client.query('insert into platform.processes (role, host, pid) values ($1, $2, $3) returning id', [
      role,
      hostname(),
      process.pid,
    ]);
    const id = String(rows[0].id);
    await client.query('select pg_advisory_lock($1, $2)', [LIVES, Number(id)]);
    this.id = id;
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

  /** Right after a gap others may still be on their way back, so nobody is called dead. */
  #inGrace(): boolean {
    return !this.#first && Date.now() - this.#since < RETURN_GRACE_MS;
  }

  async isAlive(id: string): Promise<boolean> {
    if (id === this.id) return true;
    const { rows } = await this.#options.connections.pool.query<{ held: boolean; maybe: boolean }>(
      `select ${HELD('$1', '$2::bigint')} as held,
         exists (select 1 from platform.processes p where id = $2::bigint and ($4 or ${MAY_RETURN('$3')})) as maybe`,
      [LIVES, id, RETURN_GRACE_MS, this.#inGrace()],
    );
    return rows[0]!.held || rows[0]!.maybe;
  }

  async dead(): Promise<string[]> {
    if (this.#inGrace()) return [];
    const { rows } = await this.#options.connections.pool.query<{ id: number }>(
      `select id from platform.processes p where id <> $2 and not ${HELD('$1', 'p.id')}
         and started_at < now() - interval '1 second' and not ${MAY_RETURN('$3')}`,
      [LIVES, this.id, RETURN_GRACE_MS],
    );
    return rows.map((row) => String(row.id));
  }

  /** Gives back the jobs that dead processes held, and forgets them. Rows that lease by process id must be looked after first. */
  async forget(ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const { pool } = this.#options.connections;
    await pool.query(
      'select graphile_worker.force_unlock_workers(array_agg(id)) from platform.worker_pools where process = any($1::bigint[]) having count(*) > 0',
      [ids],
    );
    await pool.query(`delete from platform.processes p where id = any($2::bigint[]) and not ${HELD('$1', 'p.id')}`, [LIVES, ids]);
  }

  /** Must be done before a job runner of that name takes its first job: its jobs are given back when this process dies. */
  async addWorkerPool(name: string): Promise<void> {
    await this.#options.connections.pool.query('insert into platform.worker_pools (id, process) values ($1, $2)', [name, this.id]);
  }

  /** The job runner of that name has ended: what it still holds was lost on its way, and is given back. */
  async removeWorkerPool(name: string): Promise<void> {
    const { pool } = this.#options.connections;
    await pool.query('select graphile_worker.force_unlock_workers(array[$1])', [name]);
    await pool.query('delete from platform.worker_pools where id = $1', [name]);
  }

  /** True when no other process works on this database. */
  async alone(): Promise<boolean> {
    const { rows } = await this.#options.connections.pool.query(
      `select count(*) as others from pg_locks where ${OURS('$1')} and objid <> $2::bigint`,
      [LIVES, this.id || 0],
    );
    return rows[0].others === 0;
  }

  onLost(listener: (formerId: string) => void): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  /** The connection came back after a gap: what was under way in it may have been lost. */
  onReturn(listener: () => void): () => void {
    this.#returned.add(listener);
    return () => this.#returned.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#options.connections.pool.query('delete from platform.processes where id = $1', [this.id || 0]).catch(() => {});
    await this.#client?.end().catch(() => {});
  }
}

/** Locks that say "lives", in this database: `pg_locks` shows those of all databases of the server. */
const OURS = (key: string): string =>
  `locktype = 'advisory' and classid = ${key} and granted and database = (select oid from pg_database where datname = current_database())`;
const HELD = (key: string, id: string): string => `exists (select 1 from pg_locks where ${OURS(key)} and objid = ${id})`;
/** The database was restarted a moment ago, and this process (older than that) may not have noticed yet. */
const MAY_RETURN = (graceMs: string): string =>
  `(p.started_at < pg_postmaster_start_time() and pg_postmaster_start_time() > now() - ${graceMs} * interval '1 millisecond')`;
