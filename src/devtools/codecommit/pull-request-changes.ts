/** What happens to pull requests, each with its row of history and its event in the transaction of the cause: made, pushed to, closed, merged. */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { Principal } from '../../platform/principal.ts';
import { callerTags, javaDate } from './event-details.ts';
import type { ReferenceChange } from './references.ts';
import type { Repository } from './repository.ts';
import { repositoryArn } from './repository.ts';
import type { PullRequestsTable } from './tables.ts';

export type PullRequest = Selectable<PullRequestsTable>;
type MergeOption = NonNullable<PullRequest['merge_option']>;

/** The reconciler that closes what pushes have merged; by repository. */
export const MERGED_BY_PUSH = 'codecommit.merged-by-push';

/** 32 bytes in hexadecimal, as the service's own. */
export function newRevision(): string {
  return randomBytes(32).toString('hex');
}

/**
 * Part of every change of references: open pull requests from a branch follow it, and those whose source or destination is deleted are
 * closed, as the user guide's "Close a pull request" says.
 */
export async function followPushes(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  changes: ReferenceChange[],
  caller: string,
): Promise<void> {
  const changed = new Map(changes.map(({ name, newId }) => [name, newId]));
  const names = [...changed.keys()];
  const open = await tx.sql
    .selectFrom('codecommit.pull_requests')
    .selectAll()
    .where('repository_id', '=', repository.id)
    .where('status', '=', 'OPEN')
    .where((eb) => eb.or([eb('source_ref', 'in', names), eb('destination_ref', 'in', names)]))
    .forUpdate()
    .execute();
  for (const pullRequest of open) {
    const { source_ref, destination_ref, source_commit } = pullRequest;
    const isDeleted = [source_ref, destination_ref].some((name) => changed.has(name) && changed.get(name) === undefined);
    const source = changed.get(source_ref);
    if (isDeleted) await followDeletion(platform, tx, repository, pullRequest, caller);
    else if (source !== undefined && source !== source_commit) await followSource(platform, tx, repository, pullRequest, source, caller);
    if (changed.get(destination_ref) !== undefined) await set(tx, pullRequest, { moved_by: caller });
  }
  if (open.length > 0) await tx.reconcile(MERGED_BY_PUSH, repository.id);
}

/** Closes it, unless it has yet to be found out whether it was merged before. */
async function followDeletion(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  open: PullRequest,
  caller: string,
): Promise<void> {
  const destination = await tx.sql
    .selectFrom('codecommit.refs')
    .select('object_id')
    .where('repository_id', '=', repository.id)
    .where('name', '=', open.destination_ref)
    .executeTakeFirst();
  const isChecked = open.checked_source === open.source_commit && open.checked_destination === destination?.object_id;
  if (destination && !isChecked) await set(tx, open, { branch_deleted_by: caller });
  else await close(platform, tx, repository, open, destination?.object_id, caller);
}

async function followSource(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  before: PullRequest,
  source: string,
  caller: string,
): Promise<void> {
  const now = platform.now();
  const after = await set(tx, before, { source_commit: source, revision_id: newRevision(), last_activity_at: now });
  const detail = { beforeCommitId: before.source_commit, afterCommitId: source, destinationCommitId: before.checked_destination };
  await record(tx, after, 'PULL_REQUEST_SOURCE_REFERENCE_UPDATED', caller, now, detail);
  const branch = shortName(after.source_ref);
  const words = `Event: Updated. The user updated the following pull request: ${after.id}. The pull request was updated with one or more commits to the source branch: ${branch}.`;
  await tx.emit(stateChange(platform, repository, after, 'pullRequestSourceBranchUpdated', caller, words));
}

export async function announceCreated(
  ctx: Platform & { principal: Principal },
  tx: Transaction,
  repository: Repository,
  made: PullRequest,
): Promise<void> {
  const detail = { sourceCommitId: made.source_commit, destinationCommitId: made.destination_commit };
  await record(tx, made, 'PULL_REQUEST_CREATED', made.author, made.created_at, detail);
  const words = `Event: Created. The pull request was created with the following information: Pull Request ID as ${made.id} and title as ${made.title}.`;
  await tx.emit(stateChange(ctx, repository, made, 'pullRequestCreated', made.author, words, callerTags(ctx.principal)));
}

/** Closed without a merge. `before` must be locked and open; the event tells `told` beyond the pull request. */
export async function close(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  before: PullRequest,
  destination: string | undefined,
  caller: string,
  told: Record<string, string> = {},
): Promise<void> {
  const now = platform.now();
  const after = await set(tx, before, {
    status: 'CLOSED',
    last_activity_at: now,
    destination_commit: destination ?? before.destination_commit,
  });
  await record(tx, after, 'PULL_REQUEST_STATUS_CHANGED', caller, now, { pullRequestStatus: 'CLOSED' });
  const words = `updated the following PullRequest ${after.id}. The pull request status has been updated. The status is closed.`;
  await tx.emit(stateChange(platform, repository, after, 'pullRequestStatusChanged', caller, words, told));
}

export interface Merge {
  by: string;
  option: MergeOption;
  /** The tip of the destination before. */
  destination: string;
  /** What the merge made of it. */
  commit: string;
  /** More for the event. */
  told?: Record<string, string>;
}

/** Merged, and closed by that. `before` must be locked and open. */
export async function closeMerged(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  before: PullRequest,
  merge: Merge,
): Promise<void> {
  const now = platform.now();
  const after = await set(tx, before, {
    status: 'CLOSED',
    last_activity_at: now,
    destination_commit: merge.destination,
    merged_by: merge.by,
    merge_commit: merge.commit,
    merge_option: merge.option,
  });
  const detail = { mergedBy: merge.by, mergeCommitId: merge.commit, mergeOption: merge.option };
  await record(tx, after, 'PULL_REQUEST_MERGE_STATE_CHANGED', merge.by, now, detail);
  await record(tx, after, 'PULL_REQUEST_STATUS_CHANGED', merge.by, now, { pullRequestStatus: 'CLOSED' });
  const words = `updated the following PullRequest ${after.id}. The pull request merge status has been updated. The status is merged.`;
  await tx.emit(stateChange(platform, repository, after, 'pullRequestMergeStatusUpdated', merge.by, words, merge.told));
}

/** What happened to the approval of a pull request: its rules, who approved, whether the rules apply. */
export interface Review {
  type: 'RULE_CREATED' | 'RULE_UPDATED' | 'RULE_DELETED' | 'RULE_OVERRIDDEN' | 'STATE_CHANGED';
  /** For DescribePullRequestEvents. */
  history: Record<string, string>;
  /** What the event tells beyond the pull request. */
  told: Record<string, string>;
  words: string;
}

const reviewEvents: Record<Review['type'], string> = {
  RULE_CREATED: 'pullRequestApprovalRuleCreated',
  RULE_UPDATED: 'pullRequestApprovalRuleUpdated',
  RULE_DELETED: 'pullRequestApprovalRuleDeleted',
  RULE_OVERRIDDEN: 'pullRequestApprovalRuleOverridden',
  STATE_CHANGED: 'pullRequestApprovalStateChanged',
};

export async function announceReview(
  ctx: Platform & { principal: Principal },
  tx: Transaction,
  repository: Repository,
  before: PullRequest,
  { type, history, told, words }: Review,
): Promise<void> {
  const now = ctx.now();
  const caller = ctx.principal.arn;
  const after = await set(tx, before, { last_activity_at: now });
  await record(tx, after, `PULL_REQUEST_APPROVAL_${type}`, caller, now, history);
  const all = `Event: Updated. Pull request: ${after.id}. Additional information: ${words}`;
  const more = { ...told, ...callerTags(ctx.principal) };
  await tx.emit(stateChange(ctx, repository, after, reviewEvents[type], caller, all, more));
}

/** Changes the row; gives it back as it is then. */
export async function set(
  tx: Transaction,
  { account, region, id }: Pick<PullRequest, 'account' | 'region' | 'id'>,
  values: Partial<PullRequest>,
): Promise<PullRequest> {
  return tx.sql
    .updateTable('codecommit.pull_requests')
    .set(values)
    .where('account', '=', account)
    .where('region', '=', region)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function record(
  tx: Transaction,
  { account, region, id }: PullRequest,
  type: string,
  actor: string,
  at: Date,
  detail: Record<string, string>,
): Promise<void> {
  const row = { account, region, pull_request_id: id, type, actor, at, detail: JSON.stringify(detail) };
  await tx.sql.insertInto('codecommit.pull_request_events').values(row).execute();
}

/** The event "CodeCommit Pull Request State Change", as in the user guide's "Monitoring CodeCommit events". */
function stateChange(
  platform: Platform,
  repository: Repository,
  pullRequest: PullRequest,
  event: string,
  caller: string,
  words: string,
  more: Record<string, string> = {},
) {
  const { account, region, merge_option } = pullRequest;
  return {
    account,
    region,
    source: 'aws.codecommit',
    detailType: 'CodeCommit Pull Request State Change',
    resources: [repositoryArn(repository, repository.name)],
    time: platform.now(),
    detail: {
      ...more,
      author: pullRequest.author,
      callerUserArn: caller,
      creationDate: javaDate(pullRequest.created_at),
      ...(pullRequest.description === null ? {} : { description: pullRequest.description }),
      destinationCommit: pullRequest.destination_commit,
      destinationReference: pullRequest.destination_ref,
      event,
      isMerged: merge_option ? 'True' : 'False',
      lastModifiedDate: javaDate(pullRequest.last_activity_at),
      ...(merge_option ? { mergeOption: merge_option } : {}),
      notificationBody: `A pull request event occurred in the following AWS CodeCommit repository: ${repository.name}. User: ${caller}. ${words}`,
      pullRequestId: String(pullRequest.id),
      pullRequestStatus: pullRequest.status === 'OPEN' ? 'Open' : 'Closed',
      repositoryNames: [repository.name],
      revisionId: pullRequest.revision_id,
      sourceCommit: pullRequest.source_commit,
      sourceReference: pullRequest.source_ref,
      title: pullRequest.title,
    },
  };
}

function shortName(reference: string): string {
  return reference.replace(/^refs\/heads\//, '');
}
