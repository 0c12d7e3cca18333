/**
 * Gives memory back to the system while nobody needs the processor. By itself V8 keeps what a start or a busy hour left behind until somebody
 * allocates again: a third of what an idle server holds.
 */
import { performance } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const LOOK_MS = 2_000;
/** Share of the time since the last look in which this process had something to do. A collection takes some 60 ms, which then disturb nobody. */
const IDLE = 0.02;
/** bytes by which the heap must have grown since the last collection, or it is not worth another one */
const WORTHWHILE = 16 * 1024 ** 2;

/** From now on, as long as the process lives. */
export function giveBackIdleMemory(collect = fullCollection(), lookMs = LOOK_MS): void {
  let before = performance.eventLoopUtilization();
  let kept = 0;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization > IDLE || getHeapStatistics().total_physical_size - kept < WORTHWHILE) return;
    collect();
    kept = getHeapStatistics().total_physical_size;
    before = performance.eventLoopUtilization();
  };
  setInterval(look, lookMs).unref();
}

function fullCollection(): () => void {
  setFlagsFromString('--expose-gc');
  // Made here, since the flag only counts for contexts that come after it.
  const collect = runInNewContext('gc') as (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
  return () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
