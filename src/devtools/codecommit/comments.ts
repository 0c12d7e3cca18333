/** Comments on pull requests, on comparisons of commits, and on other comments. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { checkToken, hashRequest, requireSameRequest } from './client-tokens.ts';
import { announceComment } from './comment-events.ts';
import { type CommentPlace, checkPlace, describePlace, keepPlace } from './comment-places.ts';
import type { Comment } from './comment-rows.ts';
import { describeComments, findComment, onComment, placeOf } from './comment-rows.ts';
import { set } from './pull-request-changes.ts';
import { lock } from './pull-request-editing.ts';
import { findPullRequest, onPullRequest } from './pull-requests.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, repositoryMissing } from './repository.ts';

const MAX_CONTENT = 10_240;

export const postCommentForPullRequest = operation('codecommit', 'PostCommentForPullRequest', {
  authorize: onPullRequest,
  async handle(ctx, input) {
    const { pullRequestId, repositoryName, content, clientRequestToken: token } = input;
    checkToken(token);
    checkContent(content);
    const found = await findPullRequest(ctx, pullRequestId);
    const repository = await findRepository(ctx, repositoryName);
    if (repository.id !== found.repository_id) {
      throw ctx.error(
        'RepositoryNotAssociatedWithPullRequestException',
        `Pull request ${found.id} is not in the repository ${repository.name}.`,
      );
    }
    const place = await checkPlace(ctx, repository, { ...input, pullRequestId: found.id });
    const posted = await ctx.transaction(async (tx) => {
      const locked = await lock(tx, found);
      await set(tx, locked, { last_activity_at: ctx.now() });
      return post(ctx, tx, repository, { place: await keepPlace(tx, place), content, token });
    });
    const [comment] = await describeComments(ctx, repository.id, [posted.comment]);
    return { pullRequestId, ...describePlace(repository.name, posted.place), comment };
  },
});

export const postCommentForComparedCommit = operation('codecommit', 'PostCommentForComparedCommit', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const { repositoryName, content, clientRequestToken: token } = input;
    checkToken(token);
    checkContent(content);
    const repository = await findRepository(ctx, repositoryName);
    const { beforeCommitId, afterCommitId, location } = input;
    const place = await checkPlace(ctx, repository, { beforeCommitId, afterCommitId, location });
    const posted = await ctx.transaction(async (tx) => {
      await holdRepository(tx, repository);
      return post(ctx, tx, repository, { place: await keepPlace(tx, place), content, token });
    });
    const [comment] = await describeComments(ctx, repository.id, [posted.comment]);
    return { ...describePlace(repository.name, posted.place), comment };
  },
});

export const postCommentReply = operation('codecommit', 'PostCommentReply', {
  authorize: ({ inReplyTo }, ctx) => onComment({ commentId: inReplyTo }, ctx),
  async handle(ctx, { inReplyTo, content, clientRequestToken: token }) {
    checkToken(token);
    checkContent(content);
    const { repository, ...parent } = await findComment(ctx, inReplyTo);
    const posted = await ctx.transaction(async (tx) => {
      await holdRepository(tx, repository);
      const place = await placeOf(tx.sql, parent);
      if (place.pull_request_id !== null) await set(tx, { ...place, id: place.pull_request_id }, { last_activity_at: ctx.now() });
      return post(ctx, tx, repository, { place, content, token, inReplyTo: parent.id });
    });
    const [comment] = await describeComments(ctx, repository.id, [posted.comment]);
    return { comment };
  },
});

interface NewComment {
  place: CommentPlace;
  content: string;
  token: string | undefined;
  inReplyTo?: string;
}

/** The comment with its event; when the token has been seen, what it stood for. */
async function post(
  ctx: RequestContext,
  tx: Transaction,
  repository: Repository,
  { place, content, token, inReplyTo }: NewComment,
): Promise<{ comment: Comment; place: CommentPlace }> {
  const now = ctx.now();
  const { account, region } = repository;
  const author = ctx.principal.arn;
  const requestHash = hashRequest([repository.id, place.key, author, content, inReplyTo]);
  const comment = await tx.sql
    .insertInto('codecommit.comments')
    .values({
      id: randomUUID(),
      place_id: place.id,
      account,
      region,
      content,
      in_reply_to: inReplyTo ?? null,
      author,
      created_at: now,
      updated_at: now,
      client_request_token: token ?? null,
      request_hash: requestHash,
    })
    .onConflict((conflict) => conflict.columns(['account', 'region', 'client_request_token']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (comment) {
    await announceComment(ctx, tx, repository, place, comment, 'Created');
    return { comment, place };
  }
  const before = await tx.sql
    .selectFrom('codecommit.comments')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('client_request_token', '=', token!)
    .executeTakeFirstOrThrow();
  requireSameRequest(before, requestHash);
  return { comment: before, place };
}

/** Keeps the repository from being deleted until the transaction ends. */
async function holdRepository(tx: Transaction, { id, name }: Repository): Promise<void> {
  const row = await tx.sql.selectFrom('codecommit.repositories').select('id').where('id', '=', id).forKeyShare().executeTakeFirst();
  if (!row) throw repositoryMissing(name);
}

/** `CommentContentRequiredException`, or `CommentContentSizeLimitExceededException`. */
export function checkContent(content: string): void {
  // PostgreSQL's texts cannot hold NUL, and nobody means it.
  if (content.replaceAll('\0', '').trim() === '' || content.includes('\0')) {
    throw new AwsError(
      'CommentContentRequiredException',
      'The comment is empty, or contains the character NUL. You must provide some content.',
    );
  }
  if (content.length <= MAX_CONTENT) return;
  throw new AwsError(
    'CommentContentSizeLimitExceededException',
    `The comment is too large. Comments are limited to ${MAX_CONTENT} characters.`,
  );
}
