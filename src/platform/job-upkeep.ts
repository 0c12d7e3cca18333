/** Rows that graphile-worker leaves behind. */
import type pg from 'pg';
import { RECONCILE } from './database/transaction.ts';

const LOCK_NOT_AVAILABLE = '55P03';
/** So many at a time, so that nobody waits long. */
const QUEUES = 1000;

/**
 * A call of a reconciler that was made while an earlier one ran takes that one's key and last attempts. If its process dies then, the row of
 * the earlier one stays and nobody ever looks at it again.
 */
export async function dropReplaced(pool: pg.Pool): Promise<void> {
  await pool.query(
    `delete from graphile_worker._private_jobs jobs using graphile_worker._private_tasks tasks
     where tasks.id = jobs.task_id and tasks.identifier = $1
       and jobs.key is null and jobs.locked_at is null and jobs.attempts >= jobs.max_attempts`,
    [RECONCILE],
  );
}

/**
 * Each id that was ever reconciled has a queue of its own, which nobody deletes. graphile-worker's own clean-up may delete one to which a
 * transaction is just adding a job: that job would never run. Who adds a job has the table locked for writing until it commits, so under this
 * lock there is no such transaction. While there is one, nothing is deleted and nobody is kept waiting: next time, then.
 */
export async function dropUnusedQueues(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query(`set local lock_timeout = '100ms'`);
    await client.query('lock table graphile_worker._private_job_queues in exclusive mode');
    await client.query(
      `delete from graphile_worker._private_job_queues where id in (
         select queues.id from graphile_worker._private_job_queues queues
         where queues.locked_at is null
           and not exists (select from graphile_worker._private_jobs jobs where jobs.job_queue_id = queues.id)
         limit $1)`,
      [QUEUES],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
  } finally {
    client.release();
  }
}
