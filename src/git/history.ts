/** Questions about the history of a cached repository that git's own programs answer best. Ids must be of commits that are there. */
import { noteHistoryTime } from './commit-graph.ts';
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

export interface LinkedCommit {
  id: string;
  /** Those of the list that come next below it. */
  parents: string[];
}

/**
 * At most `count` commits from `tips` backwards that changed one of `paths` (as trees hold them, and UTF-8; the root or none for anything),
 * children before parents, with side branches left out that had no part in what became of them.
 */
export async function commitsThatChanged(place: GitPlace, tips: string[], paths: string[], count: number): Promise<LinkedCommit[]> {
  const limits = paths.filter((path) => path !== '').map((path) => Buffer.from(path, 'latin1').toString());
  const args = ['rev-list', '--topo-order', '--parents', `--max-count=${count}`, '--stdin', '--', ...limits];
  const started = performance.now();
  const result = await runGit(args, { place, env: { GIT_LITERAL_PATHSPECS: '1' }, input: tips.map((tip) => `${tip}\n`).join('') });
  if (result.code !== 0) throw new Error(`git rev-list failed: ${result.stderr.trim()}`);
  noteHistoryTime(place, tips, performance.now() - started);
  const lines = result.stdout.toString('latin1').split('\n').filter(Boolean);
  return lines.map((line) => {
    const [id, ...parents] = line.split(' ');
    return { id: id!, parents };
  });
}

/** Arguments of a program are UTF-8 here; names in trees need not be. */
export function isUtf8(path: string): boolean {
  const bytes = Buffer.from(path, 'latin1');
  return Buffer.from(bytes.toString()).equals(bytes);
}

/** The latest commit, from `commit` backwards, that changed what is at `path`; undefined when none did. */
export async function lastChange(place: GitPlace, commit: string, path: string): Promise<string | undefined> {
  return (await commitsThatChanged(place, [commit], [path], 1))[0]?.id;
}
