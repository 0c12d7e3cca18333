/** One transaction of the platform: rows, event, job and wake-up commit together or not at all. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import type { AwsEvent, Tables, Transaction } from '../platform.ts';
import { CHANNEL, notification } from '../signals.ts';
import { isAway, isOutdatedPlan } from './pool.ts';

/** The job that hands an event to the rules of its bus; the `events` service answers to it. */
export const DELIVER_EVENT = 'events.deliver';
/** The job behind every reconciler. */
export const RECONCILE = 'platform.reconcile';

const SERIALIZATION_FAILURE = '40001';
const DEADLOCK = '40P01';
const ATTEMPTS = 8;
const JOB_ATTEMPTS = 12;

export async function inTransaction<T>(database: Kysely<Tables>, work: (tx: Transaction) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const afterCommit: (() => void)[] = [];
    let committing = false;
    try {
      const result = await database.transaction().execute(async (trx) => {
        const done = await work(new PlatformTransaction(trx, afterCommit));
        committing = true;
        return done;
      });
      for (const action of afterCommit) action();
      return result;
    } catch (error) {
      const { code } = error as { code?: string };
      // A connection that broke before the commit took everything with it; one that broke in it left nobody the wiser.
      const undone = code === SERIALIZATION_FAILURE || code === DEADLOCK || isOutdatedPlan(error) || (!committing && isAway(error));
      if (!undone || attempt === ATTEMPTS) throw error;
      // Whoever collided must not collide again in the same step.
      await delay(Math.random() * 10 * attempt);
    }
  }
}

class PlatformTransaction implements Transaction {
  readonly sql: Kysely<Tables>;
  readonly #afterCommit: (() => void)[];

  constructor(trx: Kysely<Tables>, afterCommit: (() => void)[]) {
    this.sql = trx;
    this.#afterCommit = afterCommit;
  }

  async emit(...events: AwsEvent[]): Promise<void> {
    const payloads = events.map(({ time = new Date(), ...rest }) => ({ ...rest, id: randomUUID(), time: time.toISOString() }));
    await sql`select count(*) from graphile_worker.add_jobs(array(
      select (${DELIVER_EVENT}, payload, null, null, ${JOB_ATTEMPTS}::int, null, null, null)::graphile_worker.job_spec
      from json_array_elements(${JSON.stringify(payloads)}::json) payload))`.execute(this.sql);
  }

  async enqueue(
    job: string,
    payload: unknown,
    options: { key?: string; queue?: string; runAt?: Date; maxAttempts?: number } = {},
  ): Promise<void> {
    const { key = null, queue = null, runAt = null, maxAttempts = JOB_ATTEMPTS } = options;
    for (;;) {
      const { rows } = await sql<{ id: number | null }>`
        select job.id from graphile_worker.add_job(${job}, ${JSON.stringify(payload)}::json, queue_name => ${queue}::text,
          run_at => ${runAt}::timestamptz, max_attempts => ${maxAttempts}::int, job_key => ${key}::text) as job`.execute(this.sql);
      // add_job looks for a running job of the key first and adds then. When the waiting one starts in between, it adds nothing and says
      // nothing: the wake-up would be lost. Asked again, it finds the running one and adds another beside it.
      if (rows[0]?.id != null) return;
    }
  }

  async reconcile(kind: string, id: string, at?: Date): Promise<void> {
    const name = `${kind}:${id}`;
    // A timer has a key of its own, since replacing the waiting immediate call by a later one would lose the wake-up.
    const key = at ? `${name}@${Math.ceil(at.getTime() / 1000)}` : name;
    await this.enqueue(RECONCILE, { kind, id }, { key, queue: name, runAt: at });
  }

  async signal(topic: string, payload?: string): Promise<void> {
    await sql`select pg_notify(${CHANNEL}, ${notification(topic, payload)})`.execute(this.sql);
  }

  onCommit(action: () => void): void {
    this.#afterCommit.push(action);
  }
}
