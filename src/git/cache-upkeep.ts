/**
 * What makes the cache of a large repository quick, and keeps it no larger than it must be: git's index over all packs with bitmaps of what each
 * commit reaches (a clone then counts nothing), the commit-graph, and the removal of packs that others have taken the place of. All of it is
 * made behind the requests, by each host for itself: it costs less than moving it.
 */
import { mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';

export interface CachedPack {
  name: string;
  objects: number;
}

/** Below this git counts faster than anybody notices. */
const MIN_OBJECTS = 2_000;
/** The indexes are made anew when so many of the objects are not in them, */
const STALE_SHARE = 0.25;
/** or so many of the packs. */
const STALE_PACKS = 12;
/** Who asked first is served first. */
const DELAY_MS = 2_000;
/** After a failure. */
const PAUSE_MS = 10 * 60_000;
/** Fetches that began before a pack was replaced may still read it. */
export const REPLACED_MS = 3_600_000;
/** A lock that nobody holds any more: its process was killed. */
const DEAD_LOCK_MS = 3_600_000;
/** Which packs the index was made of. */
const INDEXED = 'penstock-indexed';

export class CacheUpkeep {
  /** By objects directory. */
  readonly #running = new Set<string>();
  readonly #notBefore = new Map<string, number>();
  readonly #replacedSince = new Map<string, number>();
  readonly #closing = new AbortController();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Called with each new view and all packs of its generation, which must be here. Returns at once. */
  consider(view: GitPlace, packs: CachedPack[]): void {
    const { objects } = view;
    if (this.#running.has(objects) || this.#closing.signal.aborted || (this.#notBefore.get(objects) ?? 0) > this.#now()) return;
    this.#running.add(objects);
    const timer = setTimeout(() => {
      this.lookAfter(view, packs)
        // The next view brings the next try; nothing depends on it.
        .catch(() => this.#notBefore.set(objects, this.#now() + PAUSE_MS))
        .finally(() => this.#running.delete(objects));
    }, DELAY_MS).unref();
    this.#closing.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  close(): void {
    this.#closing.abort();
  }

  /** Makes what is worth making, and removes what was replaced long ago. */
  async lookAfter(view: GitPlace, packs: CachedPack[]): Promise<void> {
    const indexed = await readIndexed(view.objects);
    const replaced = await this.#replaced(view.objects, packs);
    if (isStale(packs, indexed) || replaced.some((name) => indexed.has(name))) await this.#index(view, packs);
    for (const name of replaced) await removePack(view.objects, name);
  }

  async #index(view: GitPlace, packs: CachedPack[]): Promise<void> {
    const folder = path.join(view.objects, 'pack');
    await removeDeadLock(path.join(folder, 'multi-pack-index.lock'));
    const largest = packs.reduce((most, pack) => (pack.objects > most.objects ? pack : most));
    const args = ['--no-progress', '--bitmap', '--stdin-packs', `--preferred-pack=pack-${largest.name}.idx`];
    await this.#run(view, ['multi-pack-index', 'write', ...args], packs.map(({ name }) => `pack-${name}.idx\n`).join(''));
    await mkdir(path.join(view.objects, 'info'), { recursive: true });
    await writeFile(path.join(view.objects, 'info', INDEXED), packs.map(({ name }) => `${name}\n`).join(''));
    // As commit-graph.ts does it, so that one adds to what the other wrote.
    await this.#run(view, ['commit-graph', 'write', '--reachable', '--changed-paths', '--split', '--no-progress'], '');
  }

  async #run(place: GitPlace, args: string[], input: string): Promise<void> {
    const result = await runGit(['-c', 'core.fsync=none', '-c', 'pack.threads=1', ...args], {
      place,
      input,
      signal: this.#closing.signal,
      background: true,
      // Ended in order it leaves no lock behind.
      group: true,
    });
    if (result.code !== 0) throw new Error(result.stderr.trim());
  }

  /** Packs that are here and for long have been none of the repository's. */
  async #replaced(objects: string, packs: CachedPack[]): Promise<string[]> {
    const live = new Set(packs.map(({ name }) => name));
    const old: string[] = [];
    for (const file of await readdir(path.join(objects, 'pack'))) {
      const name = /^pack-([0-9a-f]{40})\.pack$/.exec(file)?.[1];
      if (name === undefined) continue;
      const key = path.join(objects, name);
      if (live.has(name)) {
        this.#replacedSince.delete(key);
        continue;
      }
      // It may also be newer than what we were told.
      const since = this.#replacedSince.get(key) ?? this.#now();
      this.#replacedSince.set(key, since);
      if (this.#now() - since < REPLACED_MS) continue;
      this.#replacedSince.delete(key);
      old.push(name);
    }
    return old;
  }
}

function isStale(packs: CachedPack[], indexed: Set<string>): boolean {
  const total = sum(packs);
  if (total < MIN_OBJECTS) return false;
  const missing = packs.filter(({ name }) => !indexed.has(name));
  return missing.length >= STALE_PACKS || sum(missing) > total * STALE_SHARE;
}

function sum(packs: CachedPack[]): number {
  return packs.reduce((objects, pack) => objects + pack.objects, 0);
}

async function readIndexed(objects: string): Promise<Set<string>> {
  const text = await readFile(path.join(objects, 'info', INDEXED), 'utf8').catch(() => '');
  return new Set(text.split('\n').filter((name) => name !== ''));
}

/** Its index first: without it git does not look for the rest. */
async function removePack(objects: string, name: string): Promise<void> {
  for (const ending of ['idx', 'rev', 'pack']) await unlink(path.join(objects, 'pack', `pack-${name}.${ending}`)).catch(() => {});
}

/** Lets git work again where a process was killed while it held this lock file. */
export async function removeDeadLock(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found && Date.now() - found.mtimeMs > DEAD_LOCK_MS) await unlink(file).catch(() => {});
}
