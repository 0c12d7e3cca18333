import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './wait.ts';

/** The period, in µs, over which a CPU limit is counted; the kernel's own default. */
export const cpuPeriod = 100_000;

/** Writes an existing control file; a number where the kernel rounds is not read back here. */
export function writeControl(path: string, value: string | number): void {
  writeFileSync(path, String(value), { flag: 'r+' });
}

export function readControl(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** A counter from a file of `name value` lines, such as memory.events; 0 when it is not there. */
export function counter(path: string, name: string): number {
  const line = readControl(path)
    ?.split('\n')
    .find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Pids in a group and the groups below it. */
export function pidsBelow(directory: string): number[] {
  const own = (readControl(join(directory, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  return [...own, ...childGroups(directory).flatMap((child) => pidsBelow(join(directory, child)))];
}

export function childGroups(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/**
 * Removes a group and those below it. A group whose last process has just gone is still busy for a moment (seen about once in eight
 * times for memory groups of version 1), so it is tried again for a while.
 */
export async function removeGroup(directory: string): Promise<void> {
  for (const child of childGroups(directory)) await removeGroup(join(directory, child));
  let last: NodeJS.ErrnoException | undefined;
  const gone = await until(() => {
    last = tryRemove(directory);
    return last === undefined;
  }, 10_000);
  if (!gone) throw new Error(`cannot remove the control group ${directory}: ${last?.message}`);
}

/** @returns the error, if it is still there. */
export function tryRemove(directory: string): NodeJS.ErrnoException | undefined {
  try {
    rmdirSync(directory);
  } catch (error) {
    // Where nothing may be written, as in most containers, the kernel says so even of what is not there.
    if (existsSync(directory)) return error as NodeJS.ErrnoException;
  }
  return undefined;
}
