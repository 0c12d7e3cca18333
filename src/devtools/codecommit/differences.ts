/** GetDifferences: which files two commits differ in. No renames: a moved file is deleted here and added there. */
import type { TreeEntry } from '../../git/objects.ts';
import { modes } from '../../git/objects.ts';
import { differences, entryAt } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { fromTreePath, toTreePath } from './paths.ts';
import type { OpenRepository } from './repository.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import { resolveCommit } from './specifiers.ts';

const DEFAULT_PAGE = 400;
const MAX_PAGE = 1000;

export const getDifferences = operation('codecommit', 'GetDifferences', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const { repositoryName, beforeCommitSpecifier, afterCommitSpecifier, MaxResults = DEFAULT_PAGE, NextToken } = input;
    if (MaxResults < 1)
      throw ctx.error('InvalidMaxResultsException', `The specified number of maximum results is not valid: ${MaxResults}`);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const after = await resolveCommit(ctx, repository, open, afterCommitSpecifier);
    const before = beforeCommitSpecifier === undefined ? undefined : await resolveCommit(ctx, repository, open, beforeCommitSpecifier);
    // A path of one side that the other does not name is meant for both.
    const afterPath = toTreePath(input.afterPath ?? input.beforePath ?? '');
    const beforePath = toTreePath(input.beforePath ?? input.afterPath ?? '');
    const [old, now] = await Promise.all([rootOf(open, before?.commit.tree, beforePath), rootOf(open, after.commit.tree, afterPath)]);
    if (!old && !now)
      throw new AwsError('PathDoesNotExistException', `The specified path does not exist: ${input.afterPath ?? input.beforePath}`);

    const scope = `codecommit:GetDifferences:${repository.id}:${before?.id}:${after.id}:${beforePath}:${afterPath}`;
    const from = NextToken === undefined ? undefined : ctx.paging.open<string>(scope, NextToken);
    if (NextToken !== undefined && from === undefined) {
      throw ctx.error('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
    }
    const limit = Math.min(MaxResults, MAX_PAGE);
    const page: ShapeOf<'codecommit', 'Difference'>[] = [];
    let last: string | undefined;
    for await (const difference of differences(open.read, old, now, from)) {
      if (page.length === limit) return { differences: page, NextToken: ctx.paging.seal(scope, last) };
      last = difference.path;
      page.push({
        beforeBlob: describe(difference.before, beforePath, difference.path),
        afterBlob: describe(difference.after, afterPath, difference.path),
        changeType: difference.before && difference.after ? 'M' : difference.after ? 'A' : 'D',
      });
    }
    return { differences: page };
  },
});

async function rootOf(open: OpenRepository, tree: string | undefined, path: string): Promise<TreeEntry | undefined> {
  return tree === undefined ? undefined : entryAt(open.read, tree, path);
}

function describe(entry: TreeEntry | undefined, root: string, path: string): ShapeOf<'codecommit', 'BlobMetadata'> | undefined {
  if (!entry) return undefined;
  const full = [root, path].filter((part) => part !== '').join('/');
  const mode = Object.values(modes).find((known) => known === entry.mode) ?? modes.file;
  return { blobId: entry.id, path: fromTreePath(full), mode };
}
