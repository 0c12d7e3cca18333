/** The git side of one process: the cache, the readers and the blobs of all repositories. */
import path from 'node:path';
import type { Platform } from '../platform/platform.ts';
import type { BlobStore } from '../ports/blobs/port.ts';
import { GitCache } from './cache.ts';
import { CloneCache } from './clone-cache.ts';
import { ObjectReaders } from './object-reader.ts';
import { RepositoryKeys } from './repository-keys.ts';

export interface GitStore {
  readonly cache: GitCache;
  readonly readers: ObjectReaders;
  readonly clones: CloneCache;
  readonly blobs: BlobStore;
}

/** The blobs are under their repositories' keys, so a repository must be unlocked before its packs are read or written. */
export interface KeyedGitStore extends GitStore {
  readonly keys: RepositoryKeys;
}

export function createGitStore(dataDir: string, blobs: BlobStore): GitStore {
  const cache = new GitCache(path.join(dataDir, 'cache', 'git'), blobs);
  const clones = new CloneCache(path.join(dataDir, 'cache', 'clones'));
  return { cache, readers: new ObjectReaders(cache), clones, blobs };
}

const stores = new WeakMap<object, KeyedGitStore>();

/** The one store of this platform; a request's context counts as its platform. */
export function gitStore(platform: Pick<Platform, 'config' | 'blobs'>): KeyedGitStore {
  let store = stores.get(platform.config);
  if (!store) {
    const keys = new RepositoryKeys();
    store = { ...createGitStore(platform.config.dataDir, keys.guard(platform.blobs)), keys };
    stores.set(platform.config, store);
  }
  return store;
}
