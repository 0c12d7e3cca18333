/** Reading trees of one repository: what is at a path, and what two trees differ in. Paths are latin1 strings of bytes, see objects.ts. */
import type { ReadObject } from './object-reader.ts';
import type { TreeEntry } from './objects.ts';
import { compareEntries, EMPTY_TREE, isTree, modes, parseTree } from './objects.ts';

/** Reads an object of one repository by id. */
export type ReadById = (id: string) => Promise<Pick<ReadObject, 'type' | 'data'> | undefined>;

export async function readTree(read: ReadById, id: string): Promise<TreeEntry[]> {
  if (id === EMPTY_TREE) return [];
  const object = await read(id);
  if (object?.type !== 'tree') throw new Error(`Tree ${id} is missing.`);
  return parseTree(object.data);
}

/** What is at `path` below a root tree; the root itself for an empty path. Undefined when nothing is. */
export async function entryAt(read: ReadById, root: string, path: string): Promise<TreeEntry | undefined> {
  let entry: TreeEntry = { mode: modes.tree, name: '', id: root };
  for (const name of path === '' ? [] : path.split('/')) {
    if (!isTree(entry)) return undefined;
    const found = (await readTree(read, entry.id)).find((each) => each.name === name);
    if (!found) return undefined;
    entry = found;
  }
  return entry;
}

export interface Difference {
  /** Below both roots. */
  path: string;
  before: TreeEntry | undefined;
  after: TreeEntry | undefined;
}

/**
 * Files (and links and submodules) that differ, in the order of their paths' bytes; only trees that differ are read. With `from`, goes on
 * behind that path.
 */
export async function* differences(
  read: ReadById,
  before: TreeEntry | undefined,
  after: TreeEntry | undefined,
  from: string | undefined = undefined,
  prefix = '',
): AsyncGenerator<Difference> {
  const [left, right] = await Promise.all([entriesOf(read, before), entriesOf(read, after)]);
  for (const [old, now] of paired(left, right)) {
    if (old && now && old.id === now.id && old.mode === now.mode) continue;
    const entry = (old ?? now)!;
    const path = prefix + entry.name;
    if (isTree(entry)) {
      const behind = from === undefined || `${path}/` > from || from.startsWith(`${path}/`);
      if (behind) yield* differences(read, old, now, from, `${path}/`);
    } else if (from === undefined || path > from) {
      yield { path, before: old, after: now };
    }
  }
}

/** Below a tree its entries; a file stands for itself, without a name, so that two files can be compared by their content. */
async function entriesOf(read: ReadById, entry: TreeEntry | undefined): Promise<TreeEntry[]> {
  if (!entry) return [];
  return isTree(entry) ? readTree(read, entry.id) : [{ ...entry, name: '' }];
}

/** Both lists side by side, in git's order. A file and a tree of one name are two things. */
function* paired(left: TreeEntry[], right: TreeEntry[]): Generator<[TreeEntry | undefined, TreeEntry | undefined]> {
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    const [a, b] = [left[i], right[j]];
    const order = !a ? 1 : !b ? -1 : compareEntries(a, b);
    yield [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
}
