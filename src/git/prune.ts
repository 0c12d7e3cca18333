/** Tells what a repository needs from what it does not need any more, by git's own cruft packs (gitformat-pack, "Cruft packs"). */
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type GitCache, listReferences } from './cache.ts';
import { linkPack } from './pack-files.ts';
import { objectCount } from './pack-index.ts';
import type { GitPlace } from './program.ts';
import { exitOf, runGit, spawnGit } from './program.ts';
import type { IndexedPack } from './quarantine.ts';

export interface PackToSort {
  name: string;
  /** Git's record of since when its objects are not needed; undefined for packs of what was needed, as far as is known. */
  unneededSince: Buffer | undefined;
}

export interface SortedPack extends IndexedPack {
  /** Holds what is not needed. */
  unneededSince: Buffer | undefined;
}

/** The outcome, in files of its own until it is disposed of. */
export interface Sorted extends AsyncDisposable {
  /** Packs that were not there before, or of which it is new what they hold. */
  made: SortedPack[];
  /** Names of packs that those take the place of. */
  replaced: string[];
  /** Objects that none of the packs has any more. */
  dropped: number;
  /** Where the files of the packs are. */
  folder: string;
}

/**
 * Sorts all objects of packs that are in the cache anew: what `roots` (ids of any objects) need into one pack, the rest into another, with the
 * time since when nothing has needed it; what was not needed before `expiry` is left out, unless something younger needs it. So what
 * remains has all that any of it needs, as before.
 */
export async function sortObjects(
  cache: GitCache,
  repository: string,
  packs: PackToSort[],
  roots: string[],
  times: { now: Date; expiry: Date },
  signal: AbortSignal,
): Promise<Sorted> {
  const { directory } = await cache.incoming(repository);
  const dispose = () => rm(directory, { recursive: true, force: true });
  try {
    const place: GitPlace = { gitDir: path.join(directory, 'sorting'), objects: path.join(directory, 'objects') };
    const folder = path.join(place.objects, 'pack');
    await mkdir(path.join(place.gitDir, 'refs'), { recursive: true });
    await writeFile(path.join(place.gitDir, 'HEAD'), 'ref: refs/heads/none\n');
    await writeFile(
      path.join(place.gitDir, 'config'),
      '[core]\n\trepositoryformatversion = 0\n\tbare = true\n[repack]\n\twriteBitmaps = false\n',
    );
    for (const { name, unneededSince } of packs) {
      await linkPack(path.join(cache.base(repository).objects, 'pack'), folder, name);
      await utimes(path.join(folder, `pack-${name}.pack`), times.now, times.now);
      if (unneededSince) await writeFile(path.join(folder, `pack-${name}.mtimes`), unneededSince);
    }
    const existing = await existingOf(place, roots, signal);
    const lines = listReferences(
      existing.map((objectId, index) => ({ name: `refs/root/${String(index).padStart(12, '0')}`, objectId, peeledId: null })),
    );
    await writeFile(path.join(place.gitDir, 'packed-refs'), lines);
    const before = await countObjects(place, signal);
    await repack(place, times.expiry, signal);
    const after = await packsOf(folder);
    const stays = (pack: PackToSort) => after.some((each) => isSame(each, pack));
    return {
      made: after.filter((pack) => !packs.some((each) => isSame(each, pack))),
      replaced: packs.filter((pack) => !stays(pack)).map(({ name }) => name),
      dropped: before - (await countObjects(place, signal)),
      folder,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A pack of which all has become needless, or needed again, has the same name; what is known of it has changed. */
function isSame(one: PackToSort, other: PackToSort): boolean {
  return one.name === other.name && (one.unneededSince === undefined) === (other.unneededSince === undefined);
}

async function repack(place: GitPlace, expiry: Date, signal: AbortSignal): Promise<void> {
  const settings = [
    'core.fsync=none',
    'pack.writeReverseIndex=true',
    'pack.threads=1',
    'pack.windowMemory=128m',
    'pack.deltaCacheSize=64m',
  ];
  const seconds = Math.floor(expiry.getTime() / 1000);
  const args = ['repack', '-a', '-d', '-n', '-q', '--cruft', `--cruft-expiration=${seconds}`];
  const result = await runGit([...settings.flatMap((setting) => ['-c', setting]), ...args], { place, signal, background: true });
  signal.throwIfAborted();
  if (result.code !== 0) throw new Error(`git repack failed: ${result.stderr.trim()}`);
}

/** Those of the ids that are objects here; rows of a service may name what only looks like one. */
async function existingOf(place: GitPlace, ids: string[], signal: AbortSignal): Promise<string[]> {
  const input = [...new Set(ids)].map((id) => `${id}\n`).join('');
  const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objecttype)', '--buffer'], { place, input, signal });
  signal.throwIfAborted();
  return [...result.stdout.toString().matchAll(/^([0-9a-f]{40}) (?:commit|tree|blob|tag)$/gm)].map(([, id]) => id!);
}

/** Each once, in however many packs it is. */
async function countObjects(place: GitPlace, signal: AbortSignal): Promise<number> {
  const child = spawnGit(['cat-file', '--batch-all-objects', '--batch-check=.', '--unordered', '--buffer'], {
    place,
    signal,
    background: true,
  });
  const exit = exitOf(child);
  child.stdin!.end();
  child.stderr!.resume();
  let bytes = 0;
  child.stdout!.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const { code } = await exit;
  signal.throwIfAborted();
  if (code !== 0) throw new Error('git cat-file could not list all objects.');
  // A line each: a dot and its end.
  return bytes / 2;
}

async function packsOf(folder: string): Promise<SortedPack[]> {
  const names = (await readdir(folder)).flatMap((file) => /^pack-([0-9a-f]{40})\.idx$/.exec(file)?.[1] ?? []);
  return Promise.all(
    names.map(async (name) => {
      const file = (ending: string) => path.join(folder, `pack-${name}.${ending}`);
      const unneededSince = await readFile(file('mtimes')).catch(() => undefined);
      return { name, size: (await stat(file('pack'))).size, objects: objectCount(await readFile(file('idx'))), unneededSince };
    }),
  );
}
