import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `done` answers true, asking at once, then at growing distances (1 ms to 25 ms). The kernel tells nobody but the parent
 * that a process has ended or that a cgroup has emptied, so asking is the only way.
 * @returns false when `timeoutMs` went by first.
 */
export async function until(done: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, 25)) {
    if (done()) return true;
    const left = deadline - performance.now();
    if (left <= 0) return false;
    await delay(Math.min(pause, left));
  }
}
