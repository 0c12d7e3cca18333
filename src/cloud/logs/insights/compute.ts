/** A query's thread from outside: events go in, batch by batch, and at the end its rows come out. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EventSource } from './event-row.ts';
import type { FoundRow, QueryTask, Reply, Request } from './query-thread.ts';
import { QueryError } from './syntax.ts';

const MEMORY_MB = 512;

export class QueryThread implements AsyncDisposable {
  readonly #worker: Worker;
  /** Rejects when the thread is over. */
  readonly #over: Promise<never>;

  constructor(task: QueryTask) {
    this.#worker = new Worker(new URL(`./query-thread${import.meta.url.slice(-3)}`, import.meta.url), {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    });
    this.#over = new Promise((_, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', () => reject(new Error('The thread of a query ended before it was through.')));
    });
    // It may be over while nobody asks.
    this.#over.catch(() => {});
  }

  /** False when nothing that could still come would change the result. Throws QueryError for what the query cannot do. */
  async push(events: EventSource[], signal: AbortSignal): Promise<boolean> {
    const reply = await this.#ask({ events }, signal);
    return 'goOn' in reply && reply.goOn;
  }

  async end(signal: AbortSignal): Promise<{ rows: FoundRow[]; matched: number }> {
    const reply = await this.#ask({ end: true }, signal);
    if (!('rows' in reply)) throw new Error('A thread gave no rows.');
    return reply;
  }

  async #ask(request: Request, signal: AbortSignal): Promise<Reply> {
    this.#worker.postMessage(request);
    let reply: Reply;
    try {
      [reply] = (await Promise.race([once(this.#worker, 'message', { signal }), this.#over])) as [Reply];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
      throw new QueryError(`The query needs more than ${MEMORY_MB} MiB of memory: limit its rows, its groups or its time.`);
    }
    if ('problem' in reply) throw new QueryError(reply.problem);
    return reply;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
