import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  pid: number;
  /** An opaque text: the start time, and on Linux the boot it counts from. */
  startedAt: string;
}

/** The identity of a running process, or undefined if there is none with that number. A zombie counts as gone. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (process.platform === 'linux') {
    const state = linuxState(pid);
    return state && state.state !== 'Z' ? { pid, startedAt: `${bootId()} ${state.startTicks}` } : undefined;
  }
  try {
    const startedAt = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return startedAt === '' ? undefined : { pid, startedAt };
  } catch {
    return undefined;
  }
}

/** True while the very process that was identified is running. */
export function isRunning({ pid, startedAt }: ProcessIdentity): boolean {
  return identify(pid)?.startedAt === startedAt;
}

/** Sends a signal to every process of a group; false if the group is empty. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Kills what is left of a script's process group after the agent that started it is gone. The group's number may have been used again
 * since, so the group is only killed while its leader is the recorded one; if the leader has ended, its children are told by the
 * deployment id in their environment.
 */
export function killLeftovers(leader: ProcessIdentity, deploymentId: string): void {
  if (isRunning(leader)) {
    signalGroup(leader.pid, 'SIGKILL');
    return;
  }
  if (process.platform !== 'linux') return;
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (Number.isInteger(pid) && linuxState(pid)?.group === leader.pid && hasDeployment(pid, deploymentId)) killQuietly(pid);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function hasDeployment(pid: number, deploymentId: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`DEPLOYMENT_ID=${deploymentId}`);
  } catch {
    return false;
  }
}

/** Fields of `/proc/PID/stat`; see proc(5). The command's name is skipped over, since it may hold spaces and brackets. */
function linuxState(pid: number): { state: string; group: number; startTicks: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0]!, group: Number(fields[2]), startTicks: fields[19]! };
  } catch {
    return undefined;
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
