import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Which process is which. A pid alone is never trusted: it may have been given to another process since it was noted, so what is
 * kept of a process is its pid, the kernel's start time of it and the boot it lived in.
 */
export interface ProcessIdentity {
  pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  startTime: string;
  /** /proc/sys/kernel/random/boot_id: start times repeat after a reboot. */
  boot: string;
}

interface Stat {
  state: string;
  processGroup: number;
  session: number;
  startTime: string;
}

/** The environment variable that tells which machine and exec a process belongs to; see {@link scan}. */
export const markName = '_MACHINE';

let boot: string | undefined;

function bootId(): string {
  boot ??= readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return boot;
}

export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat && { pid, startTime: stat.startTime, boot: bootId() };
}

/** A zombie counts as gone: it runs nothing, and only waits for a parent that may never ask. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.boot !== bootId()) return false;
  const stat = readStat(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/** Sends a signal to a process that may be gone already, or that a set-user-id program has made somebody else's. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

/** Whether a process is in our own pid namespace and not in a machine's. One that is gone, or hides it, counts as not. */
export function isOutside(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid');
  } catch {
    return false;
  }
}

export interface Found {
  pid: number;
  /** The value of the mark in its environment as it was when it began its program. */
  mark: string | undefined;
  processGroup: number;
  session: number;
}

/** Every living process that this user may look at, with its mark. Empty where there is no /proc. */
export function scan(): Found[] {
  const found: Found[] = [];
  for (const pid of livingPids()) {
    const stat = readStat(pid);
    if (!stat || stat.state === 'Z' || stat.state === 'X') continue;
    found.push({ pid, mark: markOf(pid), processGroup: stat.processGroup, session: stat.session });
  }
  return found;
}

function livingPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function markOf(pid: number): string | undefined {
  const environment = readText(`/proc/${pid}/environ`);
  const entry = environment?.split('\0').find((variable) => variable.startsWith(`${markName}=`));
  return entry?.slice(markName.length + 1);
}

function readStat(pid: number): Stat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  if (!text) return undefined;
  // The second field, the program's name in brackets, may itself hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, processGroup: Number(fields[2]), session: Number(fields[3]), startTime: fields[19]! };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
