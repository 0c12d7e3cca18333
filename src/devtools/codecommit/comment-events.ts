/** The events "CodeCommit Comment on Commit", "… on Pull Request" and "… Reaction Change", as in the user guide's "Monitoring CodeCommit events". */
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import type { CommentPlace } from './comment-places.ts';
import type { Comment } from './comment-rows.ts';
import { commentId } from './comment-rows.ts';
import { callerTags } from './event-details.ts';
import type { Repository } from './repository.ts';
import { repositoryArn } from './repository.ts';

/** A reply is a comment that was made. That contents were deleted is told by no event. */
export async function announceComment(
  ctx: RequestContext,
  tx: Transaction,
  repository: Repository,
  place: CommentPlace,
  comment: Comment,
  what: 'Created' | 'Updated',
): Promise<void> {
  const { pull_request_id: pullRequest, before_commit, after_commit } = place;
  const id = commentId(repository.id, comment);
  const on = pullRequest === null ? 'Commit' : 'PullRequest';
  const did = what === 'Created' ? 'made a comment' : 'updated a comment or replied to a comment';
  const where = pullRequest === null ? `comment ID: ${id}` : `Pull Request: ${pullRequest}`;
  await emit(ctx, tx, repository, pullRequest === null ? 'CodeCommit Comment on Commit' : 'CodeCommit Comment on Pull Request', {
    afterCommitId: after_commit,
    ...(before_commit === null ? {} : { beforeCommitId: before_commit }),
    commentId: id,
    event: `commentOn${on}${what}`,
    ...(comment.in_reply_to === null ? {} : { inReplyTo: commentId(repository.id, { id: comment.in_reply_to }) }),
    notificationBody:
      `A comment event occurred in the following AWS CodeCommit repository: ${repository.name}. ` +
      `The user ${ctx.principal.arn} ${did}. The comment was made on the following ${where}.`,
    ...(pullRequest === null ? {} : { pullRequestId: String(pullRequest) }),
  });
}

/** Without a reaction: it was taken back. */
export async function announceReaction(
  ctx: RequestContext,
  tx: Transaction,
  repository: Repository,
  comment: Comment,
  what: 'Created' | 'Updated',
  reaction: { emoji: string; shortCode: string; unicode: string } | undefined,
): Promise<void> {
  const id = commentId(repository.id, comment);
  const did = what === 'Created' ? 'made a comment reaction' : 'updated a reaction';
  await emit(ctx, tx, repository, 'CodeCommit Comment Reaction Change', {
    commentId: id,
    event: `commentReaction${what}`,
    notificationBody:
      `A comment reaction event occurred in the following AWS CodeCommit Repository: ${repository.name}. ` +
      `The user: ${ctx.principal.arn} ${did} ${reaction ? `:${reaction.shortCode}:` : 'none'} to the comment with comment ID: ${id}`,
    reactionEmojis: reaction ? [reaction.emoji] : [],
    reactionShortcodes: reaction ? [`:${reaction.shortCode}:`] : [],
    reactionUnicodes: reaction ? [reaction.unicode] : [],
  });
}

async function emit(
  ctx: RequestContext,
  tx: Transaction,
  repository: Repository,
  detailType: string,
  detail: Record<string, unknown>,
): Promise<void> {
  await tx.emit({
    account: repository.account,
    region: repository.region,
    source: 'aws.codecommit',
    detailType,
    resources: [repositoryArn(repository, repository.name)],
    time: ctx.now(),
    detail: {
      ...detail,
      ...callerTags(ctx.principal),
      callerUserArn: ctx.principal.arn,
      repositoryId: repository.id,
      repositoryName: repository.name,
    },
  });
}
