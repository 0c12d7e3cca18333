/** Files of the journal: `<id>.journal`, one process's each, whose first line says whose. */
import { readFileSync, readlinkSync } from 'node:fs';
import { open, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Processes } from '../../../platform/processes.ts';

const SUFFIX = '.journal';
const NEWLINE = 10;
const MAX_LINE = 1024 * 1024;
const HERE = placeOf();

export interface Owner {
  /** Its id among `platform.processes`. */
  process: string;
  /** Where `pid` means something: a boot of a host, and a namespace of processes in it. */
  place: string;
  pid: number;
  /** When that process began, so that another one of the same number is not taken for it; 0 where the system does not tell. */
  startedAt: number;
}

export function segmentPath(folder: string, id: string): string {
  return path.join(folder, `${id}${SUFFIX}`);
}

export async function segmentIds(folder: string): Promise<string[]> {
  const files = await readdir(folder);
  return files.filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length));
}

/** This process, as the first line of its segments names it. */
export function self(processes: Pick<Processes, 'id'>): Owner {
  return { process: processes.id, place: HERE, pid: process.pid, startedAt: startOf('self') };
}

export function ownerLine(owner: Owner): string {
  return `${JSON.stringify(owner)}\n`;
}

/** The owner that a segment names; undefined when it died before it wrote so much, and nothing else either. */
export async function ownerOf(file: string): Promise<Owner | undefined> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 0);
    const end = buffer.subarray(0, bytesRead).indexOf(NEWLINE);
    return end < 0 ? undefined : (JSON.parse(buffer.toString('utf8', 0, end)) as Owner);
  } finally {
    await handle.close();
  }
}

/** Whether the owner may still write: its lock in the database says so, or it is seen to run although it lost that. */
export async function lives(owner: Owner, processes: Pick<Processes, 'isAlive'>): Promise<boolean> {
  return runsHere(owner) || (await processes.isAlive(owner.process));
}

function runsHere({ place, pid, startedAt }: Owner): boolean {
  if (place !== HERE) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startOf(String(pid)) === startedAt;
}

/** In ticks since the system began; 0 where there is no /proc. */
function startOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return 0;
  }
}

export interface Lines {
  lines: string[];
  /** Where the next read goes on. */
  end: number;
}

/** Whole lines from `from` on, about `bytes` of them. No lines and no progress at the end, where a line may be unfinished. */
export async function readLines(file: string, from: number, bytes: number): Promise<Lines> {
  const handle = await open(file, 'r');
  try {
    for (let size = bytes; ; size *= 2) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(size), 0, size, from);
      const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
      // A line longer than what was read; longer than any can be, it is no line.
      if (end === 0 && bytesRead === size && size < MAX_LINE) continue;
      const lines = buffer.toString('utf8', 0, end).split('\n');
      lines.pop();
      return { lines, end: from + end };
    }
  } finally {
    await handle.close();
  }
}

export function removeSegment(folder: string, id: string): Promise<void> {
  return rm(segmentPath(folder, id), { force: true });
}

function placeOf(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}
