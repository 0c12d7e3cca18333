/** Commits, one or many by id. */
import { isObjectId } from '../../git/objects.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import type { ResolvedCommit } from './specifiers.ts';
import { readCommit } from './specifiers.ts';

const MAX_COMMITS = 100;

export const getCommit = operation('codecommit', 'GetCommit', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitId }) {
    const repository = await findRepository(ctx, repositoryName);
    if (!isObjectId(commitId)) throw ctx.error('InvalidCommitIdException', `The commit ID is not valid: ${commitId.slice(0, 100)}`);
    const found = await readCommit(await openRepository(ctx, repository), commitId);
    if (!found) throw ctx.error('CommitIdDoesNotExistException', `The specified commit ID does not exist: ${commitId}`);
    return { commit: describeCommit(found) };
  },
});

export const batchGetCommits = operation('codecommit', 'BatchGetCommits', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitIds }) {
    if (commitIds.length === 0) throw ctx.error('CommitIdsListRequiredException', 'A list of commit IDs is required.');
    if (commitIds.length > MAX_COMMITS) {
      throw ctx.error('CommitIdsLimitExceededException', `The maximum number of commit IDs is ${MAX_COMMITS}.`);
    }
    const open = await openRepository(ctx, await findRepository(ctx, repositoryName));
    const commits: ShapeOf<'codecommit', 'Commit'>[] = [];
    const errors: ShapeOf<'codecommit', 'BatchGetCommitsError'>[] = [];
    for (const commitId of new Set(commitIds)) {
      const found = await readCommit(open, commitId);
      if (found) commits.push(describeCommit(found));
      else if (isObjectId(commitId)) {
        errors.push({
          commitId,
          errorCode: 'CommitIdDoesNotExistException',
          errorMessage: `The specified commit ID does not exist: ${commitId}`,
        });
      } else
        errors.push({
          commitId,
          errorCode: 'InvalidCommitIdException',
          errorMessage: `The commit ID is not valid: ${commitId.slice(0, 100)}`,
        });
    }
    return { commits, errors };
  },
});

export function describeCommit({ id, commit }: ResolvedCommit): ShapeOf<'codecommit', 'Commit'> {
  return {
    commitId: id,
    treeId: commit.tree,
    parents: commit.parents,
    message: commit.message,
    author: commit.author,
    committer: commit.committer,
    additionalData: commit.additionalData,
  };
}
