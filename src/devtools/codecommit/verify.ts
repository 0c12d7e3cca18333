/** All that is stored of repositories, proven one by one: the work behind `penstock verify`. */
import type { RepositoryState } from '../../git/cache.ts';
import { gitStore } from '../../git/store.ts';
import { type Fault, verifyState } from '../../git/verify.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Repository } from './repository.ts';
import { loadState } from './repository.ts';
import { unlock } from './repository-keys.ts';

export interface Verified {
  repository: Pick<Repository, 'account' | 'region' | 'name'>;
  /** Keys of the blobs that were read. */
  packs: string[];
  references: number;
  faults: Fault[];
}

/** Those of these names, in every account and region; all when no names are given. */
export async function repositoriesToVerify(platform: Pick<Platform, 'read'>, names: string[]): Promise<Repository[]> {
  const all = platform.read.selectFrom('codecommit.repositories').selectAll().orderBy('name').orderBy('account').orderBy('region');
  return names.length > 0 ? all.where('name', 'in', names).execute() : all.execute();
}

/** Undefined when the repository was deleted meanwhile. */
export async function verifyRepository(
  platform: Platform,
  repository: Repository,
  scratch: string,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  for (;;) {
    const state = await loadState(platform, repository.id);
    if (!state) return undefined;
    const faults = await verifyUnlocked(platform, repository, scratch, state, signal);
    // A pack may be replaced, and its blob deleted, while we read: then what we saw is not how it is.
    if (faults.length > 0 && !(await isStill(platform, repository.id, state))) continue;
    return { repository, packs: state.packs.map(({ blobKey }) => blobKey), references: state.refs.length, faults };
  }
}

/** Whatever the key's state, nothing can be said of what cannot be opened. */
async function verifyUnlocked(
  platform: Platform,
  repository: Repository,
  scratch: string,
  state: RepositoryState,
  signal: AbortSignal,
): Promise<Fault[]> {
  try {
    await unlock(platform, repository);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return state.packs.map(({ blobKey }) => ({ kind: 'blob', name: blobKey, reason: error.message }));
  }
  return verifyState(gitStore(platform).blobs, scratch, state, signal);
}

async function isStill(platform: Pick<Platform, 'read'>, id: string, { packs }: RepositoryState): Promise<boolean> {
  const now = await loadState(platform, id);
  const live = new Set(now?.packs.map(({ blobKey }) => blobKey));
  return packs.every(({ blobKey }) => live.has(blobKey));
}
