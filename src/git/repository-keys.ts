/**
 * The keys under which repositories' blobs are, as long as this process works with them. Who may use a repository is asked each time before it is
 * opened; what is here only lets the work that follows read and write its blobs.
 */
import { BlobKeyError, type BlobStore } from '../ports/blobs/port.ts';

/** `git/<repository id>/…` */
const KEY = /^\w+\/([0-9a-f-]{36})\//;
const MAX_REPOSITORIES = 100_000;

/** The id of the repository that a blob belongs to, by its key. */
export function repositoryOfBlob(blobKey: string): string | undefined {
  return KEY.exec(blobKey)?.[1];
}

export class RepositoryKeys {
  readonly #keys = new Map<string, Uint8Array | undefined>();

  /** Undefined for a repository that is under the store's key alone. */
  set(repositoryId: string, key: Uint8Array | undefined): void {
    // The one that was not opened for the longest time goes first.
    this.#keys.delete(repositoryId);
    this.#keys.set(repositoryId, key);
    if (this.#keys.size > MAX_REPOSITORIES) this.#keys.delete(this.#keys.keys().next().value!);
  }

  /** The store, with each blob of a repository under the repository's key. */
  guard(blobs: BlobStore): BlobStore {
    const of = (blobKey: string): BlobStore => {
      const repositoryId = repositoryOfBlob(blobKey);
      if (repositoryId === undefined || !this.#keys.has(repositoryId))
        throw new BlobKeyError(`The repository of ${blobKey} was not opened.`);
      const key = this.#keys.get(repositoryId);
      return key ? blobs.under(key) : blobs;
    };
    return {
      ...blobs,
      put: async (blobKey, body, signal) => of(blobKey).put(blobKey, body, signal),
      get: async (blobKey, range) => of(blobKey).get(blobKey, range),
    };
  }
}
