/**
 * The history of one path: the commits that changed it, as `git log` simplifies history, and on under its old name where it was renamed.
 * A walk can be left and taken up again at any position without walking again over what lies before.
 */
import { commitsThatChanged, isUtf8, lastChange } from './history.ts';
import type { Commit, TreeEntry } from './objects.ts';
import { isTree, parseCommit } from './objects.ts';
import type { GitPlace } from './program.ts';
import { exitOf, spawnGit } from './program.ts';
import type { ReadById } from './trees.ts';
import { entryAt } from './trees.ts';

export interface FileVersion {
  id: string;
  commit: Commit;
  /** The name that it had then. */
  path: string;
  /** Undefined where this commit deleted it. */
  entry: TreeEntry | undefined;
  /** Commits of this history that changed it next. */
  children: string[];
}

/** Where a walk goes on. Plain data, to be put into a paging token. */
export interface HistoryPosition {
  /** One for each name; the first is being walked. */
  segments: Segment[];
  /** The commit that comes next was given before. */
  known?: boolean;
}

interface Segment {
  path: string;
  /** Commits that changed the path, to be given next, with their children. */
  tips: Record<string, string[]>;
}

export interface History {
  place: GitPlace;
  read: ReadById;
}

/** Between how many removed and added files of one commit a rename is looked for by likeness; identical files are always found. */
const RENAME_LIMIT = 1000;
/** Names that one walk follows: more are somebody's experiment. */
const MAX_SEGMENTS = 200;

/** Where the history of `path` (as trees hold it) begins at a commit; undefined when it has none there. */
export async function historyOf({ place }: History, commit: string, path: string): Promise<HistoryPosition | undefined> {
  const first = await lastChange(place, commit, path);
  return first === undefined ? undefined : { segments: [{ path, tips: { [first]: [] } }] };
}

/** At most `limit` versions, newest first, and where to go on; `next` is undefined at the end of the history. */
export async function walkHistory(
  history: History,
  position: HistoryPosition,
  limit: number,
): Promise<{ versions: FileVersion[]; next: HistoryPosition | undefined }> {
  const versions: FileVersion[] = [];
  const segments = position.segments.map(({ path, tips }) => ({ path, tips: new Map(Object.entries(tips)) }));
  const already = position.known ? 1 : 0;
  while (segments.length > 0 && versions.length < limit + already) {
    const walk = new SegmentWalk(history, segments);
    const finished = await walk.run(versions, limit + already);
    if (finished) segments.shift();
  }
  const left = segments.filter(({ tips }) => tips.size > 0).map(({ path, tips }) => ({ path, tips: Object.fromEntries(tips) }));
  return { versions: versions.slice(already), next: left.length > 0 ? { segments: left } : undefined };
}

/** The first step of a walk when it is known already that `change` is the latest commit that changed `path`. */
export async function newestVersion(
  { read }: History,
  change: string,
  path: string,
): Promise<{ versions: FileVersion[]; next: HistoryPosition | undefined }> {
  const commit = parseCommit((await read(change))!.data);
  const entry = await entryAt(read, commit.tree, path);
  // Whether there is more is not looked for here, so the page behind may be empty.
  const next = commit.parents.length > 0 ? { segments: [{ path, tips: { [change]: [] } }], known: true } : undefined;
  return { versions: [{ id: change, commit, path, entry, children: [] }], next };
}

type OpenSegment = { path: string; tips: Map<string, string[]> };

/** One name's part of the history. */
class SegmentWalk {
  readonly #history: History;
  readonly #segments: OpenSegment[];
  readonly #path: string;
  /** Commits of this segment that are still to be given, with their children. */
  readonly #wanted: Map<string, string[]>;
  readonly #seen = new Map<string, Promise<{ commit: Commit; entry: TreeEntry | undefined }>>();

  constructor(history: History, segments: OpenSegment[]) {
    this.#history = history;
    this.#segments = segments;
    this.#path = segments[0]!.path;
    this.#wanted = segments[0]!.tips;
  }

  /** Adds to `versions` until there are `limit`; true when the segment has no more. */
  async run(versions: FileVersion[], limit: number): Promise<boolean> {
    const listed = await commitsThatChanged(this.#history.place, [...this.#wanted.keys()], [this.#path], limit - versions.length);
    for (const { id, parents } of listed) {
      const children = this.#wanted.get(id);
      // It belongs to an older file of this name, from before a rename.
      if (!children) continue;
      this.#wanted.delete(id);
      const { commit, entry } = await this.#at(id);
      versions.push({ id, commit, path: this.#path, entry, children });
      const before = await Promise.all(parents.map((parent) => this.#at(parent)));
      const added = entry !== undefined && before.every((each) => each.entry === undefined);
      if (added && !isTree(entry) && (await this.#goOnUnderOldName(id, commit))) continue;
      for (const parent of parents) this.#want(this.#wanted, parent, id);
    }
    return listed.length === 0 || this.#wanted.size === 0;
  }

  #want(tips: Map<string, string[]>, id: string, child: string): void {
    const children = tips.get(id);
    if (!children) tips.set(id, [child]);
    else if (!children.includes(child)) children.push(child);
  }

  async #goOnUnderOldName(id: string, { parents }: Commit): Promise<boolean> {
    if (this.#segments.length >= MAX_SEGMENTS) return false;
    for (const parent of parents) {
      const path = await renamedFrom(this.#history.place, parent, id, this.#path);
      const start = path === undefined ? undefined : await lastChange(this.#history.place, parent, path);
      if (path === undefined || start === undefined) continue;
      let segment = this.#segments.slice(1).find((each) => each.path === path);
      if (!segment) {
        segment = { path, tips: new Map() };
        this.#segments.push(segment);
      }
      this.#want(segment.tips, start, id);
      return true;
    }
    return false;
  }

  #at(id: string): Promise<{ commit: Commit; entry: TreeEntry | undefined }> {
    const known = this.#seen.get(id) ?? this.#read(id);
    this.#seen.set(id, known);
    return known;
  }

  async #read(id: string) {
    const { read } = this.#history;
    const commit = parseCommit((await read(id))!.data);
    return { commit, entry: await entryAt(read, commit.tree, this.#path) };
  }
}

/** The name that the file at `path` of `commit` had in `parent`; undefined when it was new. */
async function renamedFrom(place: GitPlace, parent: string, commit: string, path: string): Promise<string | undefined> {
  const args = ['diff-tree', '-r', '-z', '-M', `-l${RENAME_LIMIT}`, '--diff-filter=R', '--name-status', '--no-ext-diff', parent, commit];
  const child = spawnGit(args, { place });
  const exit = exitOf(child);
  child.stdin!.end();
  child.stderr!.resume();
  let found: string | undefined;
  let rest = '';
  // A commit may move everything: what it says of other files is let go as it comes.
  for await (const chunk of child.stdout! as AsyncIterable<Buffer>) {
    const fields = (rest + chunk.toString('latin1')).split('\0');
    const whole = Math.floor((fields.length - 1) / 3) * 3;
    for (let at = 0; at < whole && found === undefined; at += 3) if (fields[at + 2] === path) found = fields[at + 1];
    if (found !== undefined) break;
    rest = fields.slice(whole).join('\0');
  }
  if (found !== undefined) child.kill();
  const { code } = await exit;
  if (code !== 0 && found === undefined) throw new Error(`git diff-tree failed for ${parent} and ${commit}.`);
  // An old name that git cannot be asked about is not followed.
  return found !== undefined && isUtf8(found) ? found : undefined;
}
