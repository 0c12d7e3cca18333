import { setTimeout as delay } from 'node:timers/promises';
import { EventFailure } from './failure.ts';
import { ServiceError } from './http.ts';

/** The longest pause between two attempts, in milliseconds. */
const LONGEST_PAUSE_MS = 90_000;

/** The pause after the given number of failures in a row: doubling from a second, with jitter so that a fleet does not come back at once. */
export function pauseAfter(failures: number): number {
  const ceiling = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** Math.min(failures - 1, 10));
  return ceiling * (0.5 + Math.random() * 0.5);
}

/** True for what the same request would meet again: the server understood it and said no, or what it gave is not what was asked for. */
export function isFinal(error: unknown): boolean {
  if (error instanceof EventFailure) return true;
  if (!(error instanceof ServiceError)) return false;
  const throttled = error.status === 429 || /^(Throttl|TooManyRequests|RequestLimitExceeded|SlowDown)/.test(error.code);
  return error.status >= 400 && error.status < 500 && !throttled;
}

/**
 * Tries until it succeeds, the error is final, the signal aborts, or `forMs` have passed since the first attempt. The first pauses are
 * short, since most failures here are of a server that is just starting again or of a connection that was closed while idle.
 */
export async function persistently<T>(attempt: () => Promise<T>, options: { forMs: number; signal?: AbortSignal }): Promise<T> {
  const end = Date.now() + options.forMs;
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const pause = failures === 1 ? 100 : Math.min(pauseAfter(failures - 1), 10_000);
      if (isFinal(error) || options.signal?.aborted || Date.now() + pause > end) throw error;
      await delay(pause, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}
