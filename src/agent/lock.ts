import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing, readIfPresent } from './files.ts';
import { identify, isRunning, type ProcessIdentity } from './processes.ts';

/**
 * Takes a directory for this process until the returned function is called or the process ends, however it ends. Throws if a live
 * process has it.
 *
 * Holders are numbered: `lock.N` names the process that took turn N. Who finds the highest holder dead takes the next number by a
 * link, which only one can, and gives up if someone has a higher one by then. The highest file is never removed, so a holder that
 * looked at an old listing cannot win a number that was already passed.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  const own = join(directory, `.lock-${process.pid}-${randomBytes(4).toString('hex')}`);
  await writeFile(own, JSON.stringify(identify(process.pid)), { flush: true });
  try {
    for (;;) {
      const last = await highestTurn(directory);
      const holder = last === 0 ? undefined : await holderOf(directory, last);
      if (holder && isRunning(holder)) throw new Error(`Another agent (process ${holder.pid}) uses ${directory}.`);
      if (await take(directory, own, last + 1)) return () => release(directory, last + 1);
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function take(directory: string, own: string, turn: number): Promise<boolean> {
  const path = join(directory, `lock.${turn}`);
  try {
    await link(own, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  if ((await highestTurn(directory)) > turn) {
    await rm(path, { force: true });
    return false;
  }
  for (const earlier of await turns(directory)) if (earlier < turn) await rm(join(directory, `lock.${earlier}`), { force: true });
  return true;
}

/** Leaves the turn's file, without a holder in it. */
async function release(directory: string, turn: number): Promise<void> {
  const empty = join(directory, `.lock-${process.pid}-${randomBytes(4).toString('hex')}`);
  await writeFile(empty, 'null');
  await rename(empty, join(directory, `lock.${turn}`));
}

async function holderOf(directory: string, turn: number): Promise<ProcessIdentity | undefined> {
  const content = await readIfPresent(join(directory, `lock.${turn}`));
  return content ? (JSON.parse(content) ?? undefined) : undefined;
}

async function highestTurn(directory: string): Promise<number> {
  return Math.max(0, ...(await turns(directory)));
}

async function turns(directory: string): Promise<number[]> {
  try {
    return (await readdir(directory)).flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
