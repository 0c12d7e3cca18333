/** What a build's cache section means: keys with the shell's expansions, paths as directories and what is taken of them. */
import { createHash } from 'node:crypto';
import type { Machine } from '../../../ports/machines/port.ts';
import type { Cache } from '../buildspec/buildspec.ts';
import { type Selection, selectFiles } from './collect.ts';
import { expand } from './expand.ts';
import { isGlob } from './glob.ts';
import type { BuildShell } from './shell.ts';

export interface CacheKeys {
  /** Undefined: one cache per project, overwritten by each build. */
  key: string | undefined;
  fallbackKeys: string[];
  /** Of the paths as they are written: caches of other paths are other caches, whatever their keys (CodeBuild user guide, "Cache version"). */
  version: string;
}

/** One of the cache's paths. */
export interface CachePath {
  /** Absolute, inside the machine, without patterns. */
  base: string;
  /** What is taken of it; undefined: the base itself, be it a directory with all below it or a file. */
  pattern: string | undefined;
}

/** Fallback keys mean nothing without a key, as on AWS. The keys are told from the source directory, before any command has run. */
export async function cacheKeys(cache: Cache, shell: BuildShell): Promise<CacheKeys> {
  const version = createHash('sha256').update(cache.paths.join('\n')).digest('hex').slice(0, 16);
  if (cache.key === undefined) return { key: undefined, fallbackKeys: [], version };
  const fallbackKeys: string[] = [];
  for (const text of cache.fallbackKeys) fallbackKeys.push(await expand(shell, text));
  return { key: await expand(shell, cache.key), fallbackKeys, version };
}

/** Paths may be absolute (`/root/.m2/**\/*`), relative to the source, and may begin with `~`. */
export async function cachePaths(cache: Cache, source: string, shell: BuildShell): Promise<CachePath[]> {
  const paths: CachePath[] = [];
  for (const written of cache.paths) {
    const path = await expand(shell, written.replace(/^~(?=\/|$)/, '$HOME'));
    paths.push(splitAtGlob(path.startsWith('/') ? path : `${source}/${path.replace(/^(\.\/)+/, '')}`));
  }
  return paths;
}

/** The files that are there of each path; links are kept as links. */
export async function cacheSelections(machine: Machine, paths: CachePath[], source: string, signal: AbortSignal): Promise<Selection[]> {
  const selections: Selection[] = [];
  for (const { base, pattern } of paths) {
    const options = { exclude: [], keepLinks: true, sourceDirectory: source, signal };
    const found =
      (await selectFiles(machine, base, { ...options, files: [pattern ?? '**/*'] })) ??
      (pattern === undefined ? await selectFiles(machine, parentOf(base), { ...options, files: [nameOf(base)] }) : undefined);
    if (found && found.files.length > 0) selections.push(found);
  }
  return selections;
}

/** `/root/.m2/**\/*` → `/root/.m2` and `**\/*`. */
function splitAtGlob(path: string): CachePath {
  const parts = path.replace(/\/+$/, '').split('/');
  const first = parts.findIndex(isGlob);
  if (first < 0) return { base: parts.join('/') || '/', pattern: undefined };
  return { base: parts.slice(0, first).join('/') || '/', pattern: parts.slice(first).join('/') };
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
