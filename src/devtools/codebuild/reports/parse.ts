/** Reads a report's files: small ones here, larger ones on a thread (see parse-thread.ts for why). */
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { FormatName } from './formats/formats.ts';
import { MalformedReport } from './formats/xml-reader.ts';
import type { ParseOrder } from './parse-thread.ts';
import { type ParsedReport, parseReport, type ReportFile } from './parsed-report.ts';

/** bytes; reading so many takes a few ms, less than a thread takes to start. */
const SMALL_BYTES = 256 * 1024;
const MAX_HEAP_MB = 768;

/** Rejects with the signal's reason when it aborts, and with MalformedReport when the files take too much memory. */
export async function parseFiles(format: FormatName, files: ReportFile[], signal: AbortSignal): Promise<ParsedReport> {
  const sizes = await Promise.all(files.map(async ({ path }) => (await stat(path)).size));
  if (sizes.reduce((sum, size) => sum + size, 0) <= SMALL_BYTES) return parseReport(format, files);
  signal.throwIfAborted();
  const worker = new Worker(new URL(`./parse-thread${import.meta.url.slice(-3)}`, import.meta.url), {
    workerData: { format, files } satisfies ParseOrder,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const stop = () => worker.terminate();
  signal.addEventListener('abort', stop);
  try {
    return await new Promise<ParsedReport>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new MalformedReport(`reading it takes more than ${MAX_HEAP_MB} MB of memory`) : error,
        ),
      );
      worker.once('exit', () =>
        reject(signal.aborted ? signal.reason : new Error('the thread that reads a report ended before it was through')),
      );
    });
  } finally {
    signal.removeEventListener('abort', stop);
    await worker.terminate();
  }
}
