import { spawnSync } from 'node:child_process';
import type { MachineGroup } from './cgroups.ts';
import { isAlive, markName, type ProcessIdentity, scan, signalProcess } from './proc.ts';
import { until } from './wait.ts';

/**
 * All processes of one exec or of one machine, those included that left the process group and their parent to become daemons.
 *
 * Node cannot make itself the reaper of orphans, so there are two other ways to know them. A control group is exact: nothing leaves it.
 * Without one (an ordinary user), /proc is searched for a mark in the environment, for the process group and for the session; a program
 * that drops its environment *and* starts a session of its own escapes this search, and the driver's notes say so.
 */
export interface ProcessSet {
  /** Living ones, as pids of the host. */
  pids(): number[];
  /** Sends KILL to all that are not to be spared. @returns true when there was none left. */
  kill(spare: (pid: number) => boolean): boolean;
}

export function groupSet(group: MachineGroup, exec?: string): ProcessSet {
  return { pids: () => group.pids(exec), kill: (spare) => group.kill(spare, exec) };
}

/** @param mark beginning of the mark's value. @param leader pid that began its own session and process group, if known. */
export function markedSet(mark: string, leader?: number): ProcessSet {
  const pids = () => (process.platform === 'linux' ? searchProc(mark, leader) : searchProcessGroup(leader));
  return {
    pids,
    kill: (spare) => {
      const doomed = pids().filter((pid) => !spare(pid));
      for (const pid of doomed) signalProcess(pid, 'SIGKILL');
      return doomed.length === 0;
    },
  };
}

function searchProc(mark: string, leader: number | undefined): number[] {
  return scan()
    .filter((one) => one.mark?.startsWith(mark) || (leader !== undefined && (one.processGroup === leader || one.session === leader)))
    .map((one) => one.pid);
}

/** Systems without /proc: only the process group can be known. */
function searchProcessGroup(leader: number | undefined): number[] {
  if (leader === undefined) return [];
  const { stdout } = spawnSync('ps', ['-axo', 'pid=,pgid=,stat='], { encoding: 'utf8' });
  return (stdout ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, group, state]) => Number(group) === leader && !state?.startsWith('Z'))
    .map(([pid]) => Number(pid));
}

/** How long after KILL a process may stay, stuck in the kernel, before that is reported. */
const killTimeoutMs = 60_000;

/** How long the spared ones may need to see that the others are gone. */
const spareMs = 2000;

/**
 * TERM to all, and once `graceMs` is over KILL, until none is left.
 * @param spare those that only wait for others of them, to report how these ended, and then end by themselves. Without them the others
 *   would become children of the host's process 1, which in a container may never ask for their end; then they stay as zombies and
 *   keep a pid namespace from ending.
 * @throws when some outlive KILL for a minute.
 */
export async function terminate(set: ProcessSet, graceMs: number, spare: (pid: number) => boolean = nobody): Promise<void> {
  if (graceMs > 0) {
    const others = () => set.pids().filter((pid) => !spare(pid));
    for (const pid of others()) signalProcess(pid, 'SIGTERM');
    await until(() => others().length === 0, graceMs);
  }
  const killed = await until(() => set.kill(spare), killTimeoutMs);
  if (spare !== nobody && (await until(() => set.pids().length === 0, spareMs))) return;
  if (!killed || !(await until(() => set.kill(nobody), killTimeoutMs))) {
    throw new Error(`processes ${set.pids().join(', ')} are still there a minute after KILL`);
  }
}

function nobody(): boolean {
  return false;
}

/**
 * Ends a machine's namespaces with all that runs in them: process 1 first, since its end is theirs. The builder sees that and ends by
 * itself; it is killed only if it does not, so that it can still take note of process 1, which otherwise nobody might.
 */
export async function endHolders(holders: ProcessIdentity[]): Promise<void> {
  const alive = () => holders.filter(isAlive);
  const [first] = holders;
  if (first && isAlive(first)) {
    signalProcess(first.pid, 'SIGKILL');
    if (await until(() => alive().length === 0, 2000)) return;
  }
  for (const holder of alive()) signalProcess(holder.pid, 'SIGKILL');
  if (!(await until(() => alive().length === 0, killTimeoutMs)))
    throw new Error(`process ${alive()[0]?.pid} is still there a minute after KILL`);
}

/** The environment that marks a process as belonging to a machine, and if given to one exec of it. */
export function markEnvironment(mark: string): Record<string, string> {
  return { [markName]: mark };
}
