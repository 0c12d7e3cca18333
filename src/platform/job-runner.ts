/**
 * Keeps a graphile-worker at work whatever happens to the database.
 *
 * By itself it gives up when it cannot record the end of a job, and it forgets a job whose connection broke between being taken and being
 * told to it: such a job would stay locked for hours. So after every such moment a new one takes over, and when the old one has finished what
 * it was doing, all that it still holds is given back.
 */
import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Runner, run, type TaskList, Logger as WorkerLogger } from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from './log.ts';
import type { ProcessRegistry } from './processes.ts';

/** Jobs wait for the database and for other services most of the time. */
const CONCURRENCY = 16;
const POLL_MS = 2_000;
const RETRY_MS = 500;
/** So that an error that comes at once, each time, does not keep a core busy. */
const PAUSE_MS = 100;
/** How long a stop waits for jobs that do not listen to their signal; they are given back to other processes then. */
const STOP_MS = 5_000;

interface Parts {
  pool: pg.Pool;
  tasks: TaskList;
  processes: ProcessRegistry;
  log: Logger;
}

interface Shift {
  /** Resolves when this runner is to be replaced. */
  over: Promise<void>;
  /** Waits for its jobs (at most so long), then gives back what it holds. */
  end(timeoutMs?: number): Promise<void>;
}

export interface JobRunner {
  stop(): Promise<void>;
}

export async function keepJobsRunning(parts: Parts): Promise<JobRunner> {
  const { log, processes } = parts;
  const ending = new Set<Promise<void>>();
  let stopping = false;
  let wake = (): void => {};
  let shift = await startShift(parts);

  const supervise = async (): Promise<void> => {
    while (!stopping) {
      const asked = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([shift.over, asked]);
      if (stopping) return;
      log.info('the job runner is replaced after trouble with the database');
      await delay(PAUSE_MS);
      // In the background: one long job must not hold up all others.
      const ended = retrying(log, () => stopping, shift.end).finally(() => ending.delete(ended));
      ending.add(ended);
      const next = await retrying(
        log,
        () => stopping,
        () => startShift(parts),
      );
      if (next) shift = next;
    }
  };
  const forget = processes.onReturn(() => wake());
  const supervised = supervise();
  return {
    async stop() {
      stopping = true;
      forget();
      wake();
      await supervised;
      await Promise.race([Promise.all(ending), delay(STOP_MS, undefined, { ref: false })]);
      await shift.end(STOP_MS);
    },
  };
}

async function startShift({ pool, tasks, processes, log }: Parts): Promise<Shift> {
  const events = new EventEmitter();
  let name: string | undefined;
  let registered: Promise<unknown> | undefined;
  const register = async (): Promise<void> => {
    await retrying(
      log,
      () => ended,
      () => processes.addWorkerPool(name!),
    );
  };
  let ended = false;
  let doubt = (): void => {};
  const over = new Promise<void>((resolve) => {
    doubt = resolve;
  });
  events.on('pool:create', ({ workerPool }) => {
    name = workerPool.id;
    registered = register();
  });
  // The job may have been taken and the answer lost.
  events.on('worker:getJob:error', () => doubt());
  events.on('job:error', ({ error, job }) =>
    log.warn({ error, job: job.task_identifier, attempt: job.attempts }, 'a job failed and is tried again'),
  );
  events.on('job:failed', ({ error, job }) =>
    log.error({ error, job: job.task_identifier, payload: job.payload }, 'a job failed for good'),
  );
  const working = new Set<Promise<unknown>>();
  const runner: Runner = await run({
    pgPool: pool,
    taskList: watched(tasks, working),
    concurrency: CONCURRENCY,
    noHandleSignals: true,
    pollInterval: POLL_MS,
    events: events as never,
    logger: workerLogger(log),
    preset: {
      // Without batches nobody waits for these queries, and one that fails would end the whole process as an unhandled rejection.
      worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 },
      // A crash between taking a job and being known by name would leave it locked.
      plugins: [{ name: 'penstock', version: '1', worker: { hooks: { startWorker: () => registered as Promise<void> } } }],
    },
  });
  runner.promise.then(doubt, doubt);
  return {
    over,
    async end(timeoutMs) {
      ended = true;
      const finished = runner
        .stop()
        .catch(() => {}) // It had given up by itself.
        .then(() => Promise.allSettled(working));
      await (timeoutMs === undefined ? finished : Promise.race([finished, delay(timeoutMs, undefined, { ref: false })]));
      await registered;
      await processes.removeWorkerPool(name!);
    },
  };
}

/** The same tasks, with those that run now in `working`. */
function watched(tasks: TaskList, working: Set<Promise<unknown>>): TaskList {
  return Object.fromEntries(
    Object.entries(tasks).map(([name, task]) => [
      name,
      async (payload: any, helpers: any) => {
        const work = Promise.resolve(task!(payload, helpers));
        working.add(work);
        try {
          await work;
        } finally {
          working.delete(work);
        }
      },
    ]),
  ) as TaskList;
}

/** Until it works, or nobody wants it any more. */
async function retrying<T>(log: Logger, unwanted: () => boolean, work: () => Promise<T>): Promise<T | undefined> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (unwanted()) return undefined;
      log.warn({ error: (error as Error).message }, 'the database is away; jobs wait');
      await delay(RETRY_MS);
    }
  }
}

export function workerLogger(log: Logger): WorkerLogger {
  return new WorkerLogger(() => (level, message, meta) => {
    // graphile-worker tells each job's success at "info"; that is our debug. Job errors are told by the events above.
    if (level === 'error' && !(meta && 'job' in meta)) log.warn(message);
    else log.trace(message);
  });
}
