/**
 * The last commit that changed each entry of a folder, all in one walk: what a page that shows a folder needs. Follows history entry by entry as
 * git simplifies it: what a commit has from a parent unchanged is that parent's. Kept in memory, so that the next commit on top costs one
 * step.
 */
import type { LinkedCommit } from './history.ts';
import { commitsThatChanged, isUtf8 } from './history.ts';
import type { ReadObject } from './object-reader.ts';
import { compareEntries, type TreeEntry } from './objects.ts';
import type { GitPlace } from './program.ts';

export interface FolderOf {
  /** Names the repository among all of this process. */
  repository: string;
  place: GitPlace;
  /** The tree of the folder in a commit; see `ObjectReaders.readAt`. */
  readFolder(commit: string): Promise<Pick<ReadObject, 'type' | 'data'> | undefined>;
  /** As trees hold it; empty for the root. */
  folder: string;
}

/** Commit by name of entry. Entries that changed too long ago to be looked for here are not in it. */
export type LastChanges = ReadonlyMap<string, string>;

/** Of one walk: commits that it looks at, and bytes of trees that it reads. */
const MAX_COMMITS = 20_000;
const MAX_TREE_BYTES = 32 * 1024 * 1024;
/** With fewer commits left than this a walk goes on; else, */
const FAR = 512;
/** when only a part of its names is left, and so few that git looks for them quickly, it goes on with the commits that changed those. */
const NARROWER = 1 / 4;
const MAX_NAMES = 16;
const MAX_ROUNDS = 4;
/** Trees asked for at once, and bytes of them in about. */
const MAX_CHUNK = 128;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Entries of all folders that are kept. */
const MAX_KEPT = 200_000;

const kept = new Map<string, LastChanges>();
let keptEntries = 0;
const running = new Map<string, Promise<LastChanges>>();

/** The last changes of all entries that the folder has at `commit`. Asked for several times at once, it walks once. */
export function lastChangesOf(where: FolderOf, commit: string): Promise<LastChanges> {
  const key = keyOf(where, commit);
  const found = kept.get(key);
  if (found) return Promise.resolve(found);
  const started = running.get(key) ?? new FolderWalk(where).run(commit).finally(() => running.delete(key));
  running.set(key, started);
  return started.then((changes) => {
    keep(key, changes);
    return changes;
  });
}

function keyOf({ repository, folder }: FolderOf, commit: string): string {
  return `${repository}:${commit}:${folder}`;
}

function keep(key: string, changes: LastChanges): void {
  if (kept.has(key)) return;
  kept.set(key, changes);
  keptEntries += changes.size;
  for (const [oldest, entries] of kept) {
    if (keptEntries <= MAX_KEPT || kept.size === 1) break;
    kept.delete(oldest);
    keptEntries -= entries.size;
  }
}

class FolderWalk {
  readonly #where: FolderOf;
  readonly #changes = new Map<string, string>();
  /** Names that are still looked for, by the commit that has them. */
  readonly #open = new Map<string, Set<string>>();
  #bytes = 0;

  constructor(where: FolderOf) {
    this.#where = where;
  }

  async run(commit: string): Promise<LastChanges> {
    const { folder } = this.#where;
    const listed = await this.#commits(commit, [folder]);
    const tree = await this.#tree(commit);
    const [first] = listed;
    if (!first || !tree) return this.#changes;
    const all = entriesOf(tree).map(({ name }) => name);
    const chunk = Math.max(4, Math.min(MAX_CHUNK, Math.floor(CHUNK_BYTES / tree.length)));
    let [commits, names] = [listed, all];
    for (let round = 0; round < MAX_ROUNDS && commits[0] && names.length > 0; round++) {
      this.#open.set(commits[0].id, new Set(names));
      await this.#walk(commits, chunk, names.length);
      // Names that are left in different commits are not looked for any further.
      if (this.#open.size !== 1) break;
      const [tip, left] = [...this.#open][0]!;
      this.#open.clear();
      names = [...left].filter(isUtf8);
      if (names.length > MAX_NAMES) break;
      commits = await this.#commits(
        tip,
        names.map((name) => (folder === '' ? name : `${folder}/${name}`)),
      );
    }
    keep(keyOf(this.#where, first.id), this.#changes);
    return this.#changes;
  }

  #commits(tip: string, paths: string[]): Promise<LinkedCommit[]> {
    return commitsThatChanged(this.#where.place, [tip], paths, MAX_COMMITS);
  }

  /** Settles names commit by commit, until there are none, it has read enough, or few names are left for many commits. */
  async #walk(commits: LinkedCommit[], chunk: number, size: number): Promise<void> {
    this.#bytes = 0;
    const trees = new Map<string, Promise<Buffer | undefined>>();
    for (const [index, { id, parents }] of commits.entries()) {
      if (this.#open.size === 0 || this.#bytes > MAX_TREE_BYTES) break;
      if (index % chunk === 0) {
        if (commits.length - index > FAR && this.#isNarrow(size)) break;
        for (const each of commits.slice(index, index + chunk)) if (!trees.has(each.id)) trees.set(each.id, this.#tree(each.id));
      }
      const names = this.#open.get(id);
      this.#open.delete(id);
      if (names && !this.#takeKept(id, names)) await this.#settle(id, parents, names, trees);
      trees.delete(id);
    }
    // Read ahead and not needed any more.
    await Promise.allSettled(trees.values());
  }

  #isNarrow(size: number): boolean {
    const [names, ...others] = this.#open.values();
    return names !== undefined && others.length === 0 && names.size <= Math.min(size * NARROWER, MAX_NAMES);
  }

  /** True when an earlier walk began at this commit. */
  #takeKept(id: string, names: Set<string>): boolean {
    const known = kept.get(keyOf(this.#where, id));
    if (!known) return false;
    for (const name of names) {
      const change = known.get(name);
      if (change !== undefined) this.#changes.set(name, change);
    }
    return true;
  }

  /** Hands each name to the first parent that has the same under it; what no parent has so was changed here. */
  async #settle(id: string, parents: string[], names: Set<string>, trees: Map<string, Promise<Buffer | undefined>>): Promise<void> {
    const treeOf = (commit: string) => {
      const tree = trees.get(commit) ?? this.#tree(commit);
      trees.set(commit, tree);
      return tree;
    };
    const tree = await treeOf(id);
    for (const parent of parents) {
      const other = await treeOf(parent);
      if (!tree || !other) continue;
      const changed = new Set<string>();
      for (const name of changedNames(tree, other)) if (names.delete(name)) changed.add(name);
      if (names.size > 0) this.#hand(parent, names);
      names = changed;
      if (names.size === 0) return;
    }
    for (const name of names) this.#changes.set(name, id);
  }

  #hand(parent: string, names: Set<string>): void {
    const already = this.#open.get(parent);
    if (already) for (const name of names) already.add(name);
    else this.#open.set(parent, names);
  }

  async #tree(commit: string): Promise<Buffer | undefined> {
    const object = await this.#where.readFolder(commit);
    this.#bytes += object?.data.length ?? 0;
    return object?.type === 'tree' ? object.data : undefined;
  }
}

interface RawEntry {
  /** From the mode to the last byte of the id. */
  start: number;
  end: number;
}

/** Names of the entries of `tree` that `other` has not in the same form. Bytes are compared; names are made only of what differs. */
export function changedNames(tree: Buffer, other: Buffer): string[] {
  const names: string[] = [];
  let mine = entryAt(tree, 0);
  let theirs = entryAt(other, 0);
  while (mine) {
    const same = theirs && tree.compare(other, theirs.start, theirs.end, mine.start, mine.end) === 0;
    const order = same ? 0 : theirs ? compareEntries(parse(tree, mine), parse(other, theirs)) : -1;
    if (!same && order <= 0) names.push(parse(tree, mine).name);
    if (order <= 0) mine = entryAt(tree, mine.end);
    if (order >= 0 && theirs) theirs = entryAt(other, theirs.end);
  }
  return names;
}

function entryAt(tree: Buffer, start: number): RawEntry | undefined {
  if (start >= tree.length) return undefined;
  const nul = tree.indexOf(0, start);
  if (nul < 0 || nul + 21 > tree.length) throw new Error('A tree object is damaged.');
  return { start, end: nul + 21 };
}

function parse(tree: Buffer, { start, end }: RawEntry): TreeEntry {
  const space = tree.indexOf(0x20, start);
  return { mode: tree.toString('latin1', start, space), name: tree.toString('latin1', space + 1, end - 21), id: '' };
}

function entriesOf(tree: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let entry = entryAt(tree, 0); entry; entry = entryAt(tree, entry.end)) entries.push(parse(tree, entry));
  return entries;
}
