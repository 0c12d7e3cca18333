/** Three trees by path: what only the source changed since the base, and what both sides changed, each in its own way. */
import type { TreeEntry } from './objects.ts';
import { isTree, modes } from './objects.ts';
import type { Edit } from './tree-edit.ts';
import type { Difference, ReadById } from './trees.ts';
import { differences, entryAt } from './trees.ts';

/** Ids of root trees. */
export interface Roots {
  base: string;
  source: string;
  destination: string;
}

/** Both sides changed what is at this path. Undefined: nothing is there. */
export interface Contested {
  path: string;
  base: TreeEntry | undefined;
  source: TreeEntry | undefined;
  destination: TreeEntry | undefined;
}

export interface ComparedTrees {
  /** To be made to the destination's tree. */
  taken: Map<string, Edit>;
  /** By path, in the order of its bytes. */
  contested: Contested[];
}

/** Too much differs to be compared. */
export class TooManyDifferencesError extends Error {
  override readonly name = 'TooManyDifferencesError';
}

/** `limit`: how many paths of one side may differ from the base. */
export async function compareTrees(read: ReadById, roots: Roots, limit: number): Promise<ComparedTrees> {
  const [theirs, ours] = await Promise.all([
    changesOf(read, roots.base, roots.source, limit),
    changesOf(read, roots.base, roots.destination, limit),
  ]);
  const collisions = [...filesThatAreFolders(theirs, ours), ...filesThatAreFolders(ours, theirs)];
  const contested = await Promise.all(collisions.map((path) => contestedAt(read, roots, path)));
  const colliding = new Set(collisions);
  const taken = new Map<string, Edit>();
  for (const [path, { before, after }] of theirs) {
    if (colliding.has(path) || foldersOf(path).some((folder) => colliding.has(folder))) continue;
    const our = ours.get(path);
    if (!our) taken.set(path, after ? { mode: after.mode, id: after.id } : 'delete');
    else if (!isSame(our.after, after)) contested.push({ path, base: before, source: after, destination: our.after });
  }
  contested.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { taken, contested };
}

/** The edits that put `wanted` at `path` of the destination's tree, whatever is there now. */
export async function placing(read: ReadById, { path, destination }: Contested, wanted: TreeEntry | undefined): Promise<Map<string, Edit>> {
  const edits = new Map<string, Edit>();
  if (isSame(destination, wanted)) return edits;
  if (destination && isTree(destination)) {
    for await (const { path: below } of differences(read, destination, undefined)) edits.set(`${path}/${below}`, 'delete');
  } else if (destination && !wanted) edits.set(path, 'delete');
  if (wanted) edits.set(path, { mode: wanted.mode, id: wanted.id });
  return edits;
}

async function changesOf(read: ReadById, before: string, after: string, limit: number): Promise<Map<string, Difference>> {
  const changes = new Map<string, Difference>();
  const root = (id: string): TreeEntry => ({ mode: modes.tree, name: '', id });
  for await (const { path, before: old, after: now } of differences(read, root(before), root(after))) {
    // A file that became a link or a submodule may come as two differences of one path.
    const first = changes.get(path);
    changes.set(path, { path, before: first?.before ?? old, after: now ?? first?.after });
    if (changes.size > limit) throw new TooManyDifferencesError(`More than ${limit} paths differ.`);
  }
  return changes;
}

/** Paths where `files` puts a file and `others` has put something below. */
function filesThatAreFolders(files: Map<string, Difference>, others: Map<string, Difference>): string[] {
  const folders = new Set([...others.values()].filter(({ after }) => after).flatMap(({ path }) => foldersOf(path)));
  return [...files.values()].filter(({ path, after }) => after && folders.has(path)).map(({ path }) => path);
}

function foldersOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}

async function contestedAt(read: ReadById, roots: Roots, path: string): Promise<Contested> {
  const [base, source, destination] = await Promise.all([roots.base, roots.source, roots.destination].map((id) => entryAt(read, id, path)));
  return { path, base, source, destination };
}

function isSame(one: TreeEntry | undefined, other: TreeEntry | undefined): boolean {
  return one?.id === other?.id && one?.mode === other?.mode;
}
