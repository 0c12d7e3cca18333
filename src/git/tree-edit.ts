/** Makes a new tree from an old one and a set of changes; only the trees on the way to a change are read and written. */
import type { TreeEntry } from './objects.ts';
import { formatTree, isSubmodule, isTree, modes } from './objects.ts';
import type { PackWriter } from './pack-writer.ts';
import type { ReadById } from './trees.ts';
import { readTree } from './trees.ts';

/** A file's new mode and content, or that it shall be gone. */
export type Edit = { mode: string; id: string } | 'delete';

/** The changes cannot live beside what is there. */
export class TreeConflictError extends Error {
  override readonly name = 'TreeConflictError';
  readonly kind: 'file-is-directory' | 'directory-is-file' | 'submodule';
  readonly path: string;

  constructor(kind: TreeConflictError['kind'], path: string) {
    super(`${kind}: ${path}`);
    this.kind = kind;
    this.path = path;
  }
}

export interface EditOptions {
  read: ReadById;
  writer: PackWriter;
  /** Folders that lose their last file get a `.gitkeep`. */
  keepEmptyFolders: boolean;
  /** Submodules may be replaced and deleted as files are (by a merge); else they are in the way. */
  submodules?: boolean;
}

/** The id of the new root tree, added to the writer with all new trees below it. `edits` are by path; deleted files must exist. */
export async function editTree(options: EditOptions, root: string | undefined, edits: ReadonlyMap<string, Edit>): Promise<string> {
  const entries = await editEntries(options, root, edits, '');
  return options.writer.add('tree', formatTree(entries));
}

async function editEntries(
  options: EditOptions,
  tree: string | undefined,
  edits: ReadonlyMap<string, Edit>,
  prefix: string,
): Promise<TreeEntry[]> {
  const entries = new Map((tree ? await readTree(options.read, tree) : []).map((entry) => [entry.name, entry]));
  const { here, below } = byFirstName(edits);
  for (const [name, edit] of here) if (edit === 'delete') entries.delete(name);
  for (const [name, inner] of below) {
    const old = entries.get(name);
    const path = `${prefix}${name}`;
    if (old && isSubmodule(old)) throw new TreeConflictError('submodule', path);
    if (old && !isTree(old)) throw new TreeConflictError('directory-is-file', path);
    const children = await editEntries(options, old?.id, inner, `${path}/`);
    if (children.length === 0 && old && options.keepEmptyFolders && !here.has(name)) {
      children.push({ mode: modes.file, name: '.gitkeep', id: options.writer.add('blob', Buffer.alloc(0)) });
    }
    if (children.length === 0) entries.delete(name);
    else entries.set(name, { mode: modes.tree, name, id: options.writer.add('tree', formatTree(children)) });
  }
  for (const [name, edit] of here) {
    if (edit === 'delete') continue;
    const old = entries.get(name);
    if (old && isSubmodule(old) && !options.submodules) throw new TreeConflictError('submodule', `${prefix}${name}`);
    if (old && isTree(old)) throw new TreeConflictError('file-is-directory', `${prefix}${name}`);
    entries.set(name, { mode: edit.mode, name, id: edit.id });
  }
  return [...entries.values()];
}

/** Splits changes into those of this folder and those of each folder in it. */
function byFirstName(edits: ReadonlyMap<string, Edit>): { here: Map<string, Edit>; below: Map<string, Map<string, Edit>> } {
  const here = new Map<string, Edit>();
  const below = new Map<string, Map<string, Edit>>();
  for (const [path, edit] of edits) {
    const slash = path.indexOf('/');
    if (slash < 0) {
      here.set(path, edit);
      continue;
    }
    const name = path.slice(0, slash);
    const inner = below.get(name) ?? new Map<string, Edit>();
    inner.set(path.slice(slash + 1), edit);
    below.set(name, inner);
  }
  return { here, below };
}
