/** ListFileCommitHistory: the commits that changed a file, newest first, also under the names that it had before. */
import type { FileVersion, History, HistoryPosition } from '../../git/file-history.ts';
import { historyOf, newestVersion, walkHistory } from '../../git/file-history.ts';
import { lastChange } from '../../git/history.ts';
import { lastChangesOf } from '../../git/last-changes.ts';
import { isSubmodule, isTree } from '../../git/objects.ts';
import { gitStore } from '../../git/store.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { describeCommit } from './commits.ts';
import { fromTreePath, toFilePath } from './paths.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import { resolveCommit } from './specifiers.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
/** Folders that are remembered as asked about. */
const MAX_ASKED = 1000;

export const listFileCommitHistory = operation('codecommit', 'ListFileCommitHistory', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitSpecifier, filePath, maxResults = DEFAULT_PAGE, nextToken }) {
    if (maxResults < 1) {
      throw ctx.error('InvalidMaxResultsException', `The specified number of maximum results is not valid: ${maxResults}`);
    }
    const path = toFilePath(filePath);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const { id } = await resolveCommit(ctx, repository, open, commitSpecifier);
    const scope = `codecommit:ListFileCommitHistory:${repository.id}:${path}`;
    const position = nextToken === undefined ? undefined : ctx.paging.open<HistoryPosition>(scope, nextToken);
    if (nextToken !== undefined && !position) {
      throw ctx.error('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
    }
    const where = { history: { place: gitStore(ctx).cache.base(repository.id), read: open.read }, repository, commit: id, path };
    const { versions, next } =
      position || maxResults > 1 ? await pageOf(where, position, Math.min(maxResults, MAX_PAGE)) : await newestOf(ctx, where);
    return { revisionDag: versions.map(describe), nextToken: next && ctx.paging.seal(scope, next) };
  },
});

interface Where {
  history: History;
  repository: Repository;
  /** Where the history is looked at from. */
  commit: string;
  path: string;
}

interface Page {
  versions: FileVersion[];
  next: HistoryPosition | undefined;
}

const nothing: Page = { versions: [], next: undefined };

async function pageOf({ history, commit, path }: Where, position: HistoryPosition | undefined, limit: number): Promise<Page> {
  const from = position ?? (await historyOf(history, commit, path));
  return from ? walkHistory(history, from, limit) : nothing;
}

/** What a list of files shows beside each: its last commit. Whoever asks for many files of a folder gets them all from one walk. */
async function newestOf(ctx: RequestContext, where: Where): Promise<Page> {
  const { history, commit, path } = where;
  const change = (await fromFolder(ctx, where)) ?? (await lastChange(history.place, commit, path));
  return change === undefined ? nothing : newestVersion(history, change, path);
}

/** The first entry that was asked about, by folder and commit. */
const asked = new Map<string, string>();

/** Undefined for the first entry of a folder, which may be the only one: all of the folder is looked at from the second on. */
async function fromFolder(ctx: RequestContext, { history, repository, commit, path }: Where): Promise<string | undefined> {
  const slash = path.lastIndexOf('/');
  const folder = path.slice(0, Math.max(0, slash));
  const key = `${repository.id}:${commit}:${folder}`;
  const first = asked.get(key) ?? path;
  if (!asked.has(key)) asked.set(key, path);
  if (asked.size > MAX_ASKED) asked.delete(asked.keys().next().value!);
  if (first === path) return undefined;
  const readFolder = (id: string) => gitStore(ctx).readers.readAt(repository.id, id, folder);
  const changes = await lastChangesOf({ repository: repository.id, place: history.place, folder, readFolder }, commit);
  return changes.get(path.slice(slash + 1));
}

function describe({ id, commit, path, entry, children }: FileVersion): ShapeOf<'codecommit', 'FileVersion'> {
  return {
    commit: describeCommit({ id, commit }),
    // A folder is no blob, and a file that this commit deleted has none.
    blobId: entry && !isTree(entry) && !isSubmodule(entry) ? entry.id : undefined,
    path: fromTreePath(path),
    revisionChildren: children,
  };
}
