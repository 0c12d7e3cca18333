/** Makes the result of a merge: the tree, the commit, and its way onto a branch (or onto none). */
import { formatCommit, rawDate } from '../../git/objects.ts';
import { PackWriter } from '../../git/pack-writer.ts';
import { branchRef, describeRef } from '../../git/ref-names.ts';
import { editTree } from '../../git/tree-edit.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { branchMissing, branchTip, checkBranchName } from './branches.ts';
import { callerName, checkAuthor, explainConflict, isTag, withPack } from './commit-writer.ts';
import type { Judged } from './merge-conflicts.ts';
import { Judge } from './merge-conflicts.ts';
import { manualMergeRequired, readDecisions, resolve } from './merge-resolution.ts';
import type { ConflictRules, MergeOption, RelatedTips, Resolution } from './merge-tips.ts';
import { canFastForward, compareTips, isMerged } from './merge-tips.ts';
import { changeReferences } from './references.ts';
import type { Repository } from './repository.ts';

/** How the commit shall be, as callers say it. */
export interface MergeRequest extends ConflictRules {
  authorName?: string;
  email?: string;
  commitMessage?: string;
  keepEmptyFolders?: boolean;
  conflictResolution?: Resolution;
}

export interface MergedCommit {
  commitId: string;
  treeId: string;
}

/** Everything that both sides changed, judged; paths in order. */
export async function judgeAll(tips: RelatedTips, rules: ConflictRules): Promise<Judged[]> {
  const { contested } = await compareTips(tips);
  const judge = new Judge(tips, rules);
  const judged: Judged[] = [];
  for (const each of contested) judged.push(await judge.judge(each));
  return judged;
}

/** Would this merge be made without the caller's help? */
export function isMergeable(judged: Judged[], { conflictResolutionStrategy }: ConflictRules): boolean {
  const settled = conflictResolutionStrategy === 'ACCEPT_SOURCE' || conflictResolutionStrategy === 'ACCEPT_DESTINATION';
  return settled || judged.every(({ conflicts }) => conflicts === 0);
}

/** The merged tree and the commit, in a writer that nothing has stored yet. `ManualMergeRequiredException` when conflicts remain. */
export async function composeMerge(
  ctx: RequestContext,
  tips: RelatedTips,
  option: MergeOption,
  request: MergeRequest,
  defaultMessage: string,
): Promise<MergedCommit & { writer: PackWriter }> {
  checkAuthor({ name: request.authorName, email: request.email, message: request.commitMessage });
  const decisions = readDecisions(request.conflictResolution, request.conflictResolutionStrategy);
  const writer = new PackWriter();
  const { read } = tips.open;
  const tree = tips.destination.commit.tree;
  const { taken: edits } = await compareTips(tips);
  await resolve({ read, writer, rules: request, decisions, tree }, edits, await judgeAll(tips, request));
  const editing = { read, writer, keepEmptyFolders: request.keepEmptyFolders ?? false, submodules: true };
  const treeId = await editTree(editing, tree, edits).catch(explainConflict);

  const person = { name: request.authorName || callerName(ctx), email: request.email ?? '', date: rawDate(ctx.now()) };
  const parents = option === 'SQUASH_MERGE' ? [tips.destination.id] : [tips.destination.id, tips.source.id];
  const message = request.commitMessage || defaultMessage;
  const commitId = writer.add('commit', formatCommit({ tree: treeId, parents, author: person, committer: person, message }));
  return { commitId, treeId, writer };
}

/** What the events of a merge tell beyond those of any change. */
export function mergeDetail(tips: RelatedTips, option: MergeOption, rules: ConflictRules): Record<string, unknown> {
  return {
    baseCommitId: tips.base,
    sourceCommitId: tips.source.id,
    destinationCommitId: tips.destination.id,
    mergeOption: option,
    ...(option === 'FAST_FORWARD_MERGE'
      ? {}
      : {
          conflictDetailsLevel: rules.conflictDetailLevel ?? 'FILE_LEVEL',
          conflictResolutionStrategy: rules.conflictResolutionStrategy ?? 'NONE',
        }),
  };
}

/** Keeps in the merge's transaction which commit it made, for GetMergeCommit. */
export async function rememberMerge(tx: Transaction, tips: RelatedTips, rules: ConflictRules, commitId: string): Promise<void> {
  await tx.sql
    .insertInto('codecommit.merges')
    .values({
      repository_id: tips.repository.id,
      source_commit: tips.source.id,
      destination_commit: tips.destination.id,
      merged_commit: commitId,
      conflict_detail_level: rules.conflictDetailLevel ?? 'FILE_LEVEL',
      conflict_resolution_strategy: rules.conflictResolutionStrategy ?? 'NONE',
    })
    .execute();
}

/** The branch that a merge goes to; it must still be where the destination was found. */
export interface Target {
  branch: string;
  /** Further writes of the merge's transaction. */
  also?: (tx: Transaction, commitId: string) => Promise<void>;
}

/**
 * Merges and moves the branch, whole or not at all. Of several merges at once exactly one wins, the others get
 * ConcurrentReferenceUpdateException. A branch that has everything already stays as it is.
 */
export async function mergeOnto(
  ctx: RequestContext,
  tips: RelatedTips,
  option: MergeOption,
  request: MergeRequest,
  target: Target,
): Promise<MergedCommit> {
  const detail = mergeDetail(tips, option, request);
  const change = { name: branchRef(target.branch), oldId: tips.destination.id };
  if (isMerged(tips)) {
    await ctx.transaction(async (tx) => target.also?.(tx, tips.destination.id));
    return { commitId: tips.destination.id, treeId: tips.destination.commit.tree };
  }
  if (option === 'FAST_FORWARD_MERGE') {
    if (!canFastForward(tips)) throw manualMergeRequired();
    const also = async (tx: Transaction) => target.also?.(tx, tips.source.id);
    const options = { caller: ctx.principal.arn, detail, also };
    const [result] = await changeReferences(ctx, tips.repository, [{ ...change, newId: tips.source.id }], options);
    if (result?.error !== undefined) throw movedMeanwhile(target.branch);
    return { commitId: tips.source.id, treeId: tips.source.commit.tree };
  }
  const message = `Merge ${tips.source.id} into ${target.branch}`;
  const { commitId, treeId, writer } = await composeMerge(ctx, tips, option, request, message);
  const also = async (tx: Transaction) => {
    await rememberMerge(tx, tips, request, commitId);
    await target.also?.(tx, commitId);
  };
  const [result] = await withPack(ctx, tips.repository, writer, (pack, install) =>
    changeReferences(ctx, tips.repository, [{ ...change, newId: commitId }], { caller: ctx.principal.arn, pack, install, detail, also }),
  );
  if (result?.error !== undefined) throw movedMeanwhile(target.branch);
  return { commitId, treeId };
}

export function movedMeanwhile(branch: string): AwsError {
  return new AwsError(
    'ConcurrentReferenceUpdateException',
    `The merge cannot be completed because the branch ${branch} has been modified. Another user might have modified it while the merge was in progress. Wait a few minutes, and then try again.`,
  );
}

/** The short name of the branch that a merge is meant for: the one named, else the destination itself. */
export function targetBranch(named: string | undefined, destination: string): string {
  const name = named ?? destination;
  const { type, shortName } = describeRef(name);
  return type === 'branch' ? shortName : name;
}

/** The branch must exist and be where the destination is. */
export async function checkTarget(ctx: RequestContext, repository: Repository, branch: string, tips: RelatedTips): Promise<void> {
  checkBranchName(branch);
  const tip = await branchTip(ctx, repository, branch);
  if (tip === undefined) {
    if (await isTag(ctx, repository, branch)) {
      throw new AwsError('BranchNameIsTagNameException', `The branch name ${branch} is not valid because it is a tag name.`);
    }
    throw branchMissing(branch);
  }
  if (tip !== tips.destination.id) throw movedMeanwhile(branch);
}
