/** How much memory processes hold, as Linux tells it. */
import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that it started, as far as they live. */
export function withDescendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // The name in parentheses may hold anything; the parent is the second field after it.
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const found = [pid];
  for (const parent of found) for (const [child, its] of parents) if (its === parent && !found.includes(child)) found.push(child);
  return found;
}

/** Proportional set size: pages that several processes share count once, divided among them. */
export function proportionalMegabytes(pids: Iterable<number>): number {
  let kilobytes = 0;
  for (const pid of pids) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    kilobytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0);
  }
  return kilobytes / 1024;
}
