/** Proves a repository from its blobs and rows alone: nothing of the cache that serves it is used. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlobStore } from '../ports/blobs/port.ts';
import type { RepositoryState, View } from './cache.ts';
import { GitCache } from './cache.ts';
import { runGit } from './program.ts';

export interface Fault {
  /** What is broken: a blob by its key, a reference by its full name, or an object by its id. */
  kind: 'blob' | 'reference' | 'object';
  name: string;
  reason: string;
}

/** Bits of git fsck's exit status: unsightly objects were tolerated when they were pushed; what is missing or damaged is a fault. */
const FSCK_REAL = 2 | 4 | 8;

/**
 * Every pack decrypts, is the pack that its row names, and unpacks to objects that are what their ids say; every object has all that it names;
 * every reference points at an object that is there. `scratch` is an empty directory of the caller's, where the packs are unpacked for it.
 */
export async function verifyState(blobs: BlobStore, scratch: string, state: RepositoryState, signal: AbortSignal): Promise<Fault[]> {
  const faults: Fault[] = [];
  const cache = new GitCache(scratch, blobs);
  const packs: RepositoryState['packs'] = [];
  try {
    for (const pack of state.packs) {
      signal.throwIfAborted();
      const fault = await cache.fetchPack('repository', pack).then(
        () => undefined,
        (error: Error) => error.message,
      );
      if (fault === undefined) packs.push(pack);
      else faults.push({ kind: 'blob', name: pack.blobKey, reason: fault });
    }
    const view = (await cache.open('repository', { ...state, epoch: 0 }, async () => ({ ...state, epoch: 0, packs })))!;
    faults.push(...(await missingLinks(view, signal)));
    // One after the other only when something is wrong: with good packs whose links are all there, a reference needs no more than its object.
    const suspects = faults.length > 0 ? state.refs : await pointingNowhere(view, state.refs, signal);
    for (const ref of suspects) faults.push(...(await verifyReference(view, ref, signal)));
    return faults;
  } finally {
    cache.close();
    await rm(path.join(scratch, 'repository'), { recursive: true, force: true });
  }
}

async function missingLinks(view: View, signal: AbortSignal): Promise<Fault[]> {
  const result = await runGit(['fsck', '--full', '--no-dangling', '--no-progress'], { place: view, signal, background: true });
  signal.throwIfAborted();
  if (result.code === null || result.code > 15) throw new Error(`git fsck failed: ${result.stderr.trim()}`);
  if ((result.code & FSCK_REAL) === 0) return [];
  const missing = [...result.stdout.toString().matchAll(/^missing (\w+) ([0-9a-f]{40})$/gm)];
  return missing.map(([, type, id]) => ({ kind: 'object', name: id!, reason: `the ${type} is missing, and other objects name it` }));
}

async function pointingNowhere(view: View, refs: RepositoryState['refs'], signal: AbortSignal): Promise<RepositoryState['refs']> {
  const ids = [...new Set(refs.flatMap(({ objectId, peeledId }) => [objectId, ...(peeledId === null ? [] : [peeledId])]))];
  const input = ids.map((id) => `${id}\n`).join('');
  const result = await runGit(['cat-file', '--batch-check=%(objectname) %(objecttype)', '--buffer'], { place: view, input, signal });
  const missing = new Set([...result.stdout.toString().matchAll(/^([0-9a-f]{40}) missing$/gm)].map(([, id]) => id));
  return refs.filter(({ objectId, peeledId }) => missing.has(objectId) || (peeledId !== null && missing.has(peeledId)));
}

/** A walk over all that the reference needs. */
async function verifyReference(view: View, ref: RepositoryState['refs'][number], signal: AbortSignal): Promise<Fault[]> {
  const ids = [ref.objectId, ...(ref.peeledId === null ? [] : [ref.peeledId])];
  const result = await runGit(['rev-list', '--objects', '--quiet', '--stdin'], { place: view, input: `${ids.join('\n')}\n`, signal });
  signal.throwIfAborted();
  if (result.code === 0) return [];
  const reason = result.stderr
    .trim()
    .split('\n')
    .at(-1)!
    .replace(/^(fatal|error): /, '');
  return [{ kind: 'reference', name: ref.name, reason: `not all that it needs is there: ${reason}` }];
}
