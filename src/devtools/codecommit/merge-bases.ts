/** Where two commits parted, for those who only show it. The answer never changes, so each process keeps the latest ones. */
import { mergeBase } from '../../git/history.ts';
import { gitStore } from '../../git/store.ts';
import { Turns } from '../../git/turns.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Repository } from './repository.ts';
import { openRepository } from './repository.ts';

const KEPT = 10_000;
/** A page of a pull request's history may ask for a hundred at once, and each is a run of git. */
const turns = new Turns(4);
const never = new AbortController().signal;
/** By repository and commits; in the order in which they were asked for last. */
const known = new Map<string, Promise<string | undefined>>();

/** Undefined for unrelated histories. Both commits must be there. */
export function baseOf(platform: Platform, repository: Repository, source: string, destination: string): Promise<string | undefined> {
  const key = `${repository.id} ${source} ${destination}`;
  const base = known.get(key) ?? find(platform, repository, source, destination);
  known.delete(key);
  known.set(key, base);
  if (known.size > KEPT) known.delete(known.keys().next().value!);
  base.catch(() => known.delete(key));
  return base;
}

async function find(platform: Platform, repository: Repository, source: string, destination: string): Promise<string | undefined> {
  await openRepository(platform, repository);
  const place = gitStore(platform).cache.base(repository.id);
  return turns.take(never, () => mergeBase(place, source, destination));
}
