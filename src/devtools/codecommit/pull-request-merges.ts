/** Merging pull requests, by this API or by a push that anybody made of the merged branch. */
import { mergeBase } from '../../git/history.ts';
import { isObjectId } from '../../git/objects.ts';
import { describeRef } from '../../git/ref-names.ts';
import { gitStore } from '../../git/store.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { Reconciler, RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { requireApproval } from './approval-rows.ts';
import { callerTags } from './event-details.ts';
import type { MergeRequest } from './merge-commit.ts';
import { mergeOnto, movedMeanwhile } from './merge-commit.ts';
import type { MergeOption } from './merge-tips.ts';
import { findRelatedTips } from './merge-tips.ts';
import type { PullRequest } from './pull-request-changes.ts';
import { close, closeMerged, set } from './pull-request-changes.ts';
import { alreadyClosed, lock, referenceMissing } from './pull-request-editing.ts';
import type { FoundPullRequest } from './pull-requests.ts';
import { describe, findPullRequest, onPullRequest, tipOf } from './pull-requests.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import { isClosed } from './repository-keys.ts';

interface PullRequestMerge extends MergeRequest {
  pullRequestId: string;
  repositoryName: string;
  sourceCommitId?: string;
}

export const mergePullRequestByFastForward = operation('codecommit', 'MergePullRequestByFastForward', {
  authorize: authorizeMerge,
  handle: (ctx, input) => merge(ctx, 'FAST_FORWARD_MERGE', input),
});

export const mergePullRequestBySquash = operation('codecommit', 'MergePullRequestBySquash', {
  authorize: authorizeMerge,
  handle: (ctx, input) => merge(ctx, 'SQUASH_MERGE', input),
});

export const mergePullRequestByThreeWay = operation('codecommit', 'MergePullRequestByThreeWay', {
  authorize: authorizeMerge,
  handle: (ctx, input) => merge(ctx, 'THREE_WAY_MERGE', input),
});

/** The branch that the merge changes is the condition of branch protection. */
async function authorizeMerge({ pullRequestId }: PullRequestMerge, ctx: RequestContext) {
  const found = await findPullRequest(ctx, pullRequestId).catch((error: unknown) => {
    // Only "there is none": after any other failure the branch is unknown, and its protection must not be passed by.
    if (error instanceof AwsError) return undefined;
    throw error;
  });
  return found ? onRepository(ctx, found.repository.name, found.destination_ref) : onPullRequest({ pullRequestId }, ctx);
}

async function merge(ctx: RequestContext, option: MergeOption, input: PullRequestMerge) {
  const found = await findPullRequest(ctx, input.pullRequestId);
  const repository = await findRepository(ctx, input.repositoryName);
  if (repository.id !== found.repository_id) {
    throw new AwsError(
      'RepositoryNotAssociatedWithPullRequestException',
      `Pull request ${found.id} is not in the repository ${repository.name}.`,
    );
  }
  if (found.status === 'CLOSED') throw alreadyClosed(found.id);
  checkSource(found, input.sourceCommitId);
  await requireApproval(ctx.read, found);
  const { source, destination } = await findCommits(ctx, found);
  const branch = describeRef(found.destination_ref).shortName;
  const tips = await findRelatedTips(ctx, {
    repositoryName: repository.name,
    sourceCommitSpecifier: source,
    destinationCommitSpecifier: destination,
  });
  const also = async (tx: Transaction, commit: string) => {
    const locked = await lock(tx, found);
    if (locked.status === 'CLOSED') throw alreadyClosed(locked.id);
    if (locked.source_commit !== source) throw sourceMoved(locked);
    // Once more, now that nobody can take an approval back.
    await requireApproval(tx.sql, locked);
    await closeMerged(ctx, tx, repository, locked, { by: ctx.principal.arn, option, destination, commit, told: callerTags(ctx.principal) });
  };
  const commitMessage = input.commitMessage || `Merge pull request ${found.id}: ${found.title}`;
  await mergeOnto(ctx, tips, option, { ...input, commitMessage }, { branch, also });
  return { pullRequest: await describe(ctx, await findPullRequest(ctx, input.pullRequestId)) };
}

function checkSource(pullRequest: PullRequest, sourceCommitId: string | undefined): void {
  if (sourceCommitId === undefined) return;
  if (!isObjectId(sourceCommitId)) {
    throw new AwsError('InvalidCommitIdException', `The commit ID is not valid: ${sourceCommitId.slice(0, 100)}`);
  }
  if (sourceCommitId !== pullRequest.source_commit) throw sourceMoved(pullRequest);
}

function sourceMoved({ source_ref }: PullRequest): AwsError {
  return new AwsError(
    'TipOfSourceReferenceIsDifferentException',
    `The tip of the source branch ${source_ref} is not the commit that was specified. The branch has been updated.`,
  );
}

/** Both branches must still be there. */
async function findCommits(ctx: RequestContext, found: FoundPullRequest): Promise<{ source: string; destination: string }> {
  const [source, destination] = await Promise.all(
    [found.source_ref, found.destination_ref].map((name) => tipOf(ctx, found.repository, name)),
  );
  if (source === undefined) throw referenceMissing(found.source_ref);
  if (destination === undefined) throw referenceMissing(found.destination_ref);
  if (source !== found.source_commit) throw movedMeanwhile(found.source_ref);
  return { source, destination };
}

/** Closes open pull requests whose source has come into the destination by a push; by repository. */
export const closeMergedByPush: Reconciler = {
  async pending(platform) {
    const rows = await unchecked(platform).select('request.repository_id').distinct().execute();
    return rows.map((row) => row.repository_id);
  },
  async run(platform, repositoryId, signal) {
    const rows = await unchecked(platform)
      .selectAll('request')
      .select('ref.object_id as tip')
      .where('request.repository_id', '=', repositoryId)
      .execute();
    const repository = rows.length === 0 ? undefined : await repositoryOf(platform, repositoryId);
    if (!repository || (await isClosed(platform, repository))) return;
    await openRepository(platform, repository);
    for (const { tip, ...pullRequest } of rows) {
      signal.throwIfAborted();
      await settle(platform, repository, pullRequest, tip, await cameIn(platform, pullRequest, tip));
    }
  },
};

/** The destination has the source now and had it not before. A source that was set back to an old commit is merged by nobody. */
async function cameIn(
  platform: Platform,
  { repository_id, source_commit, checked_destination }: PullRequest,
  tip: string,
): Promise<boolean> {
  const place = gitStore(platform).cache.base(repository_id);
  const has = async (destination: string) => (await mergeBase(place, source_commit, destination)) === source_commit;
  return (await has(tip)) && !(await has(checked_destination));
}

/** Open ones of which a branch has moved or gone since they were looked at. */
function unchecked(platform: Platform) {
  return platform.read
    .selectFrom('codecommit.pull_requests as request')
    .innerJoin('codecommit.refs as ref', (join) =>
      join.onRef('ref.repository_id', '=', 'request.repository_id').onRef('ref.name', '=', 'request.destination_ref'),
    )
    .where('request.status', '=', 'OPEN')
    .where((eb) =>
      eb.or([
        eb('request.checked_source', '!=', eb.ref('request.source_commit')),
        eb('request.checked_destination', '!=', eb.ref('ref.object_id')),
        eb('request.branch_deleted_by', 'is not', null),
      ]),
    );
}

async function repositoryOf(platform: Platform, id: string): Promise<Repository | undefined> {
  return platform.read.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).executeTakeFirst();
}

async function settle(platform: Platform, repository: Repository, seen: PullRequest, tip: string, merged: boolean): Promise<void> {
  await platform.transaction(async (tx) => {
    const locked = await lock(tx, seen);
    // Closed or pushed to meanwhile; the push has asked for another look.
    if (locked.status === 'CLOSED' || locked.source_commit !== seen.source_commit) return;
    const checked = await set(tx, locked, { checked_source: seen.source_commit, checked_destination: tip });
    if (!merged) {
      // The source branch is gone, and has not come into the destination before that.
      if (checked.branch_deleted_by !== null) await close(platform, tx, repository, checked, tip, checked.branch_deleted_by);
      return;
    }
    const option = tip === seen.source_commit ? 'FAST_FORWARD_MERGE' : 'THREE_WAY_MERGE';
    const by = checked.moved_by ?? checked.author;
    await closeMerged(platform, tx, repository, checked, { by, option, destination: seen.checked_destination, commit: tip });
  });
}
