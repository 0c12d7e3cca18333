/** Merging one commit into a branch (or into nothing yet), and which ways there are. */
import { isObjectId } from '../../git/objects.ts';
import { branchRef } from '../../git/ref-names.ts';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { checkBranchName } from './branches.ts';
import { withPack } from './commit-writer.ts';
import type { MergedCommit, MergeRequest } from './merge-commit.ts';
import { checkTarget, composeMerge, isMergeable, judgeAll, mergeDetail, mergeOnto, rememberMerge, targetBranch } from './merge-commit.ts';
import type { MergeOption, TipsRequest } from './merge-tips.ts';
import { canFastForward, findRelatedTips, findTips, isMerged } from './merge-tips.ts';
import { addUnreferenced } from './references.ts';
import { findRepository, onRepository } from './repository.ts';

type BranchMerge = TipsRequest & MergeRequest & { targetBranch?: string };

function authorizeMerge({ repositoryName, targetBranch: named, destinationCommitSpecifier }: BranchMerge, ctx: RequestContext) {
  return onRepository(ctx, repositoryName, branchRef(targetBranch(named, destinationCommitSpecifier)));
}

async function mergeBranches(ctx: RequestContext, option: MergeOption, input: BranchMerge): Promise<MergedCommit> {
  if (input.targetBranch === undefined && isObjectId(input.destinationCommitSpecifier)) {
    throw new AwsError('BranchNameRequiredException', 'A target branch is required where the destination is named by a commit ID.');
  }
  const branch = targetBranch(input.targetBranch, input.destinationCommitSpecifier);
  if (input.targetBranch !== undefined) checkTargetName(branch);
  else checkBranchName(branch);
  const tips = await findRelatedTips(ctx, input);
  await checkTarget(ctx, tips.repository, branch, tips);
  return mergeOnto(ctx, tips, option, input, { branch });
}

function checkTargetName(branch: string): void {
  try {
    checkBranchName(branch);
  } catch (cause) {
    throw new AwsError('InvalidTargetBranchException', `The specified target branch is not valid: ${branch}`, { cause });
  }
}

export const mergeBranchesByFastForward = operation('codecommit', 'MergeBranchesByFastForward', {
  authorize: authorizeMerge,
  handle: (ctx, input) => mergeBranches(ctx, 'FAST_FORWARD_MERGE', input),
});

export const mergeBranchesBySquash = operation('codecommit', 'MergeBranchesBySquash', {
  authorize: authorizeMerge,
  handle: (ctx, input) => mergeBranches(ctx, 'SQUASH_MERGE', input),
});

export const mergeBranchesByThreeWay = operation('codecommit', 'MergeBranchesByThreeWay', {
  authorize: authorizeMerge,
  handle: (ctx, input) => mergeBranches(ctx, 'THREE_WAY_MERGE', input),
});

export const createUnreferencedMergeCommit = operation('codecommit', 'CreateUnreferencedMergeCommit', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const { mergeOption } = input;
    if (mergeOption === 'FAST_FORWARD_MERGE') {
      throw ctx.error('InvalidMergeOptionException', 'A fast-forward merge makes no commit: use SQUASH_MERGE or THREE_WAY_MERGE.');
    }
    const tips = await findRelatedTips(ctx, input);
    const message = `Merge ${tips.source.id} into ${tips.destination.id}`;
    const { commitId, treeId, writer } = await composeMerge(ctx, tips, mergeOption, input, message);
    await withPack(ctx, tips.repository, writer, (pack, install) =>
      addUnreferenced(ctx, tips.repository, {
        pack,
        install,
        caller: ctx.principal.arn,
        detail: { event: 'unreferencedMergeCommitCreated', commitId, ...mergeDetail(tips, mergeOption, input) },
        also: (tx) => rememberMerge(tx, tips, input, commitId),
      }),
    );
    return { commitId, treeId };
  },
});

export const getMergeOptions = operation('codecommit', 'GetMergeOptions', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const tips = await findRelatedTips(ctx, input);
    const byCommit = isMerged(tips) || isMergeable(await judgeAll(tips, input), input);
    const mergeOptions: MergeOption[] = [
      ...(canFastForward(tips) || isMerged(tips) ? ['FAST_FORWARD_MERGE' as const] : []),
      ...(byCommit ? ['SQUASH_MERGE' as const, 'THREE_WAY_MERGE' as const] : []),
    ];
    return { mergeOptions, sourceCommitId: tips.source.id, destinationCommitId: tips.destination.id, baseCommitId: tips.base };
  },
});

export const getMergeCommit = operation('codecommit', 'GetMergeCommit', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const repository = await findRepository(ctx, input.repositoryName);
    const { source, destination, base } = await findTips(ctx, input);
    const made = await ctx.read
      .selectFrom('codecommit.merges')
      .select('merged_commit')
      .where('repository_id', '=', repository.id)
      .where('source_commit', '=', source.id)
      .where('destination_commit', '=', destination.id)
      .where('conflict_detail_level', '=', input.conflictDetailLevel ?? 'FILE_LEVEL')
      .where('conflict_resolution_strategy', '=', input.conflictResolutionStrategy ?? 'NONE')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst();
    return {
      sourceCommitId: source.id,
      destinationCommitId: destination.id,
      baseCommitId: base,
      mergedCommitId: made?.merged_commit,
    };
  },
});
