/** Puts a server under load from a process of its own, and tells how it bore it. */
import { spawn } from 'node:child_process';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { percentile } from './section.ts';

export interface LoadOrder {
  port: number;
  clients: number;
  /** No request is sent after this. */
  seconds: number;
  /** Whole HTTP requests. */
  requests: string[];
  /** Begin anew when all are sent; false for requests that can be made only once. */
  repeat: boolean;
}

export interface LoadAnswer {
  seconds: number;
  /** Milliseconds, one for each request, from sending to the answer's last byte. */
  latencies: number[];
  /** Answers of another status than 200. */
  failed: number;
  firstFailure: string | undefined;
}

export interface Load {
  count: number;
  /** Per second */
  rate: number;
  p50: number;
  p95: number;
  p99: number;
}

/** Throws when a single answer was not 200: a fast error is no figure. */
export async function putUnderLoad(order: LoadOrder): Promise<Load> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./load-process.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(order));
  const { seconds, latencies, failed, firstFailure } = (await json(child.stdout)) as LoadAnswer;
  if (failed > 0) throw new Error(`${failed} of ${latencies.length} requests failed, such as:\n${firstFailure}`);
  const at = (share: number): number => percentile(latencies, share);
  return { count: latencies.length, rate: latencies.length / seconds, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
