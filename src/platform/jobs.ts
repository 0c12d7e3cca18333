/** Durable work: graphile-worker runs the services' jobs and reconcilers; a slow sweep is the net under the notifications. */
import { setTimeout as delay } from 'node:timers/promises';
import { runMigrations } from 'graphile-worker';
import type pg from 'pg';
import { isAway } from './database/pool.ts';
import { DELIVER_EVENT, RECONCILE } from './database/transaction.ts';
import { keepJobsRunning, workerLogger } from './job-runner.ts';
import { dropReplaced, dropUnusedQueues } from './job-upkeep.ts';
import type { Logger } from './log.ts';
import type { Platform } from './platform.ts';
import type { ProcessRegistry } from './processes.ts';
import type { JobHandler, Reconciler, Service } from './service.ts';

const SWEEP_MS = 60_000;
const TIDY_MS = 10 * 60_000;
const LOOK_FOR_DEAD_MS = 2_000;
const TRIES_THROUGH_GAPS = 10;
const GAP_MS = 100;

export interface Jobs {
  stop(): Promise<void>;
}

export async function prepareJobs(pool: pg.Pool, log: Logger): Promise<void> {
  await runMigrations({ pgPool: pool, logger: workerLogger(log) });
}

export async function startJobs(platform: Platform, pool: pg.Pool, services: Service[], processes: ProcessRegistry): Promise<Jobs> {
  const { log } = platform;
  const handlers: Record<string, JobHandler> = Object.assign({}, ...services.map((service) => service.jobs));
  const reconcilers: Record<string, Reconciler> = Object.assign({}, ...services.map((service) => service.reconcilers));
  const stopping = new AbortController();

  handlers[RECONCILE] = async (_platform, { kind, id }: { kind: string; id: string }, { signal }) => {
    const reconciler = reconcilers[kind];
    if (!reconciler) throw new Error(`No reconciler answers to ${kind}.`);
    await reconciler.run(platform, id, signal);
  };
  const deliver = handlers[DELIVER_EVENT];
  handlers[DELIVER_EVENT] = async (_platform, event: { source: string; detailType: string; bus?: string }, job) => {
    // Only what services emit themselves: users' events name their bus.
    const subscribed =
      event.bus !== undefined ? [] : services.flatMap((service) => service.subscriptions[`${event.source}/${event.detailType}`] ?? []);
    for (const handler of subscribed) await handler(platform, event, job);
    await deliver?.(platform, event, job);
  };
  const taskList = Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      (payload: unknown, { job }: { job: { attempts: number; max_attempts: number } }) =>
        throughGaps(stopping.signal, () =>
          handler(platform, payload, { attempt: job.attempts, maxAttempts: job.max_attempts, signal: stopping.signal }),
        ),
    ]),
  );

  await reclaim(processes);
  const runner = await keepJobsRunning({ pool, tasks: taskList as never, processes, log });

  const sweep = guard(log, 'sweep', async () => {
    await dropReplaced(pool);
    await sweepReconcilers(platform, reconcilers);
  });
  const look = guard(log, 'look for dead processes', async () => {
    if ((await reclaim(processes)) === 0) return;
    await dropReplaced(pool);
    await sweepReconcilers(platform, reconcilers);
  });
  await sweep();
  const tidy = guard(log, 'drop unused queues', () => dropUnusedQueues(pool));
  const timers = [setInterval(sweep, SWEEP_MS), setInterval(look, LOOK_FOR_DEAD_MS), setInterval(tidy, TIDY_MS)];
  const started = services.map((service) =>
    service
      .start?.(platform, stopping.signal)
      .catch((error) => log.error({ error, service: service.name }, 'a service could not start its work')),
  );
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer);
      stopping.abort();
      await runner.stop();
      await Promise.all(started.map(async (service) => (await service)?.()));
    },
  };
}

/** A connection that broke is no fault of the job: it is run again soon, instead of after the long pauses of a job that fails. */
async function throughGaps(stopping: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error) || tried === TRIES_THROUGH_GAPS || stopping.aborted) throw error;
      await delay(GAP_MS * tried);
    }
  }
}

/** Gives back what dead processes held. The number of them. */
async function reclaim(processes: ProcessRegistry): Promise<number> {
  const dead = await processes.dead();
  await processes.forget(dead);
  return dead.length;
}

async function sweepReconcilers(platform: Platform, reconcilers: Record<string, Reconciler>): Promise<void> {
  for (const [kind, reconciler] of Object.entries(reconcilers)) {
    const ids = await reconciler.pending(platform);
    if (ids.length === 0) continue;
    await platform.transaction(async (tx) => {
      for (const id of ids) await tx.reconcile(kind, id);
    });
  }
}

/** A periodic task that neither overlaps itself nor ends the process by failing. */
function guard(log: Logger, what: string, work: () => Promise<void>): () => Promise<void> {
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    try {
      await work();
    } catch (error) {
      log.warn({ error: (error as Error).message }, `could not ${what}; tried again later`);
    } finally {
      running = false;
    }
  };
}
