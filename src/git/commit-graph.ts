/**
 * Git's commit-graph with changed-path Bloom filters, in the cache: questions about the history of a path take a tenth of the time with it.
 * It is only an index; git works without it, so it is written behind the requests, when one was slow for want of it.
 */
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { removeDeadLock } from './cache-upkeep.ts';
import type { GitPlace } from './program.ts';
import { exitOf, spawnGit } from './program.ts';

/** Small repositories answer faster than this, and need no graph. */
const SLOW_MS = 30;
/** The next graph of a repository comes no sooner, however slow it is. */
const PAUSE_MS = 30_000;

const running = new Map<string, ChildProcess>();
const lastWritten = new Map<string, number>();

/** A question about history that began at these commits took so long. */
export function noteHistoryTime(place: GitPlace, tips: string[], ms: number): void {
  const now = Date.now();
  if (ms < SLOW_MS || running.has(place.objects) || now - (lastWritten.get(place.objects) ?? Number.NEGATIVE_INFINITY) < PAUSE_MS) return;
  lastWritten.set(place.objects, now);
  // What keeps it from being written keeps nobody from an answer.
  write(place, tips).catch(() => {});
}

/** Ends what is being written; git leaves nothing half done in the graph's place. */
export function stopCommitGraphs(): void {
  for (const child of running.values()) child.kill();
}

async function write(place: GitPlace, tips: string[]): Promise<void> {
  await removeDeadLock(path.join(place.objects, 'info', 'commit-graphs', 'commit-graph-chain.lock'));
  // `--split` adds only what the graphs there do not have yet; several processes keep out of each other's way by git's lock file.
  const args = ['commit-graph', 'write', '--stdin-commits', '--changed-paths', '--split', '--no-progress'];
  const child = spawnGit(args, { place, background: true });
  running.set(place.objects, child);
  child.stdin!.end(tips.map((tip) => `${tip}\n`).join(''));
  child.stdout!.resume();
  child.stderr!.resume();
  const done = () => running.delete(place.objects);
  await exitOf(child).then(done, done);
}
