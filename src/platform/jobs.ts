/** Durable work: graphile-worker runs the services' jobs and reconcilers; a slow sweep is the net under the notifications. */
import { EventEmitter } from 'node:events';
import { type Runner, run, runMigrations, Logger as WorkerLogger } from 'graphile-worker';
import type pg from 'pg';
import { DELIVER_EVENT, RECONCILE } from './database/transaction.ts';
import type { Logger } from './log.ts';
import type { Platform } from './platform.ts';
import type { ProcessRegistry } from './processes.ts';
import type { JobHandler, Reconciler, Service } from './service.ts';

/** Jobs wait for the database and for other services most of the time. */
const CONCURRENCY = 16;
const SWEEP_MS = 60_000;
const LOOK_FOR_DEAD_MS = 2_000;

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
      (payload: unknown, helpers: { job: { attempts: number; max_attempts: number } }) =>
        handler(platform, payload, { attempt: helpers.job.attempts, maxAttempts: helpers.job.max_attempts, signal: stopping.signal }),
    ]),
  );

  await reclaim(processes);
  const events = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => {
    processes.setPool(workerPool.id).catch((error) => log.error({ error }, 'could not record the worker pool'));
  });
  events.on('job:error', ({ error, job }) =>
    log.warn({ error, job: job.task_identifier, attempt: job.attempts }, 'a job failed and is tried again'),
  );
  events.on('job:failed', ({ error, job }) =>
    log.error({ error, job: job.task_identifier, payload: job.payload }, 'a job failed for good'),
  );
  const runner: Runner = await run({
    pgPool: pool,
    taskList: taskList as never,
    concurrency: CONCURRENCY,
    noHandleSignals: true,
    pollInterval: 2_000,
    events: events as never,
    logger: workerLogger(log),
  });

  const sweep = guard(log, 'sweep', () => sweepReconcilers(platform, reconcilers));
  const look = guard(log, 'look for dead processes', async () => {
    if ((await reclaim(processes)) > 0) await sweepReconcilers(platform, reconcilers);
  });
  await sweep();
  const timers = [setInterval(sweep, SWEEP_MS), setInterval(look, LOOK_FOR_DEAD_MS)];
  for (const service of services) {
    service
      .start?.(platform, stopping.signal)
      .catch((error) => log.error({ error, service: service.name }, 'a service could not start its work'));
  }
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer);
      stopping.abort();
      await runner.stop();
    },
  };
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

function workerLogger(log: Logger): WorkerLogger {
  return new WorkerLogger(() => (level, message, meta) => {
    // graphile-worker tells each job's success at "info"; that is our debug. Job errors are told by the events above.
    if (level === 'error' && !(meta && 'job' in meta)) log.error(message);
    else log.trace(message);
  });
}
