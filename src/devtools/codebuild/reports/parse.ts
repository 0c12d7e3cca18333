/** Reads a report's files: small ones here, larger ones on a thread (see parse-thread.ts for why). */
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { FormatName } from './formats/formats.ts';
import { MalformedReport } from './formats/xml-reader.ts';
import type { ParseOrder } from './parse-thread.ts';
import { type ParsedReport, parseReport, type ReportFile } from './parsed-report.ts';

/** bytes; reading so many takes a few ms, less than a thread takes to start. */
const SMALL_BYTES = 256 * 1024;
const MAX_HEAP_MB = 512;
/** Threads at once in this process: what each may take is not little. */
const MAX_THREADS = 2;

/** Rejects with the signal's reason as soon as it aborts, and with MalformedReport when the files take too much memory. */
export async function parseFiles(format: FormatName, files: ReportFile[], signal: AbortSignal): Promise<ParsedReport> {
  const sizes = await Promise.all(files.map(async ({ path }) => (await stat(path)).size));
  if (sizes.reduce((sum, size) => sum + size, 0) <= SMALL_BYTES) return parseReport(format, files);
  const leave = await enter(signal);
  const worker = new Worker(new URL(`./parse-thread${import.meta.url.slice(-3)}`, import.meta.url), {
    workerData: { format, files } satisfies ParseOrder,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  worker.once('exit', leave);
  try {
    return await resultOf(worker, signal);
  } finally {
    // Not waited for: a thread that is in the middle of some JSON ends when it is through.
    worker.terminate().catch(() => {});
  }
}

function resultOf(worker: Worker, signal: AbortSignal): Promise<ParsedReport> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    worker.once('message', resolve);
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const tooLarge = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      reject(tooLarge ? new MalformedReport(`reading it takes more than ${MAX_HEAP_MB} MB of memory`) : error);
    });
    worker.once('exit', () => {
      signal.removeEventListener('abort', stop);
      reject(new Error('the thread that reads a report ended before it was through'));
    });
  });
}

let threads = 0;
const waiting = new Set<() => void>();

/** Waits until there may be one more thread; whoever got in calls back when his has ended. */
async function enter(signal: AbortSignal): Promise<() => void> {
  signal.throwIfAborted();
  while (threads >= MAX_THREADS) {
    await new Promise<void>((resolve) => {
      waiting.add(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    signal.throwIfAborted();
  }
  threads++;
  return () => {
    threads--;
    for (const wake of waiting) wake();
    waiting.clear();
  };
}
