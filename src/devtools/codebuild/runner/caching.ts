/** What a build's cache section means: keys with the shell's expansions, paths as file lists. */
import type { Machine } from '../../../ports/machines/port.ts';
import type { Cache } from '../buildspec/buildspec.ts';
import { isGlob, type Selection, selectFiles } from './collect.ts';
import { expand } from './expand.ts';
import type { BuildShell } from './shell.ts';
import type { CacheKeys } from './world.ts';

export async function cacheKeys(cache: Cache, shell: BuildShell): Promise<CacheKeys> {
  const key = cache.key === undefined ? undefined : await expand(shell, cache.key);
  const fallbackKeys: string[] = [];
  for (const text of cache.fallbackKeys) fallbackKeys.push(await expand(shell, text));
  return { key, fallbackKeys };
}

/** Paths may be absolute (`/root/.m2/**\/*`), relative to the source, and may begin with `~`. Links are kept as links. */
export async function cacheSelections(
  machine: Machine,
  cache: Cache,
  source: string,
  shell: BuildShell,
  signal: AbortSignal,
): Promise<Selection[]> {
  const selections: Selection[] = [];
  for (const written of cache.paths) {
    const path = await expand(shell, written.replace(/^~(?=\/|$)/, '$HOME'));
    const { base, pattern } = splitAtGlob(path.startsWith('/') ? path : `${source}/${path}`);
    const selection = await selectFiles(machine, base, { files: [pattern], exclude: [], keepLinks: true, sourceDirectory: source, signal });
    if (selection && selection.files.length > 0) selections.push(selection);
  }
  return selections;
}

/** `/root/.m2/**\/*` → `/root/.m2` and `**\/*`; a directory without a pattern means all below it. */
function splitAtGlob(path: string): { base: string; pattern: string } {
  const parts = path.replace(/\/+$/, '').split('/');
  const first = parts.findIndex(isGlob);
  if (first < 0) return { base: parts.join('/') || '/', pattern: '**/*' };
  return { base: parts.slice(0, first).join('/') || '/', pattern: parts.slice(first).join('/') };
}
