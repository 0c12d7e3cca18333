/** Questions about the history of a cached repository that git's own programs answer best. Ids must be of commits that are there. */
import type { GitPlace } from './program.ts';
import { runGit } from './program.ts';

/** The best common ancestor; undefined for unrelated histories. */
export async function mergeBase(place: GitPlace, one: string, other: string): Promise<string | undefined> {
  if (one === other) return one;
  const result = await runGit(['merge-base', one, other], { place });
  if (result.code !== 0 && result.code !== 1) throw new Error(`git merge-base failed: ${result.stderr.trim()}`);
  return /^[0-9a-f]{40}/.exec(result.stdout.toString())?.[0];
}

/** How many commits only one of the two has, counted up to `limit`. */
export async function divergence(place: GitPlace, one: string, other: string, limit: number): Promise<number> {
  const result = await runGit(['rev-list', '--count', `--max-count=${limit}`, `${one}...${other}`], { place });
  if (result.code !== 0) throw new Error(`git rev-list failed: ${result.stderr.trim()}`);
  return Number(result.stdout.toString());
}
