/** Reactions to comments: one of each user for each comment, which a new one replaces. */
import { AwsError } from '../../platform/errors.ts';
import { operation } from '../../platform/service.ts';
import { lockComment } from './comment-editing.ts';
import { announceReaction } from './comment-events.ts';
import { findComment, onComment, requireContent } from './comment-rows.ts';
import { deletedOf, isArn } from './identities.ts';
import { openToken, pageOf, pageSize } from './pages.ts';
import { reactionNamed, readReaction } from './reaction-values.ts';

const MAX_PAGE = 1000;

export const putCommentReaction = operation('codecommit', 'PutCommentReaction', {
  authorize: onComment,
  async handle(ctx, { commentId, reactionValue }) {
    const isNone = /^(?:\s*|none)$/i.test(reactionValue);
    const reaction = isNone ? undefined : readReaction(reactionValue);
    if (!isNone && !reaction) {
      throw ctx.error('InvalidReactionValueException', `The value of the reaction is not valid: ${reactionValue.slice(0, 100)}`);
    }
    const { repository, ...found } = await findComment(ctx, commentId);
    const user_arn = ctx.principal.arn;
    await ctx.transaction(async (tx) => {
      const comment = await lockComment(tx, found);
      requireContent(comment);
      const before = await tx.sql
        .selectFrom('codecommit.comment_reactions')
        .select('reaction')
        .where('comment_id', '=', comment.id)
        .where('user_arn', '=', user_arn)
        .executeTakeFirst();
      if (before?.reaction === reaction?.name) return;
      if (reaction) {
        await tx.sql
          .insertInto('codecommit.comment_reactions')
          .values({ comment_id: comment.id, user_arn, reaction: reaction.name })
          .onConflict((conflict) => conflict.columns(['comment_id', 'user_arn']).doUpdateSet({ reaction: reaction.name }))
          .execute();
      } else {
        await tx.sql
          .deleteFrom('codecommit.comment_reactions')
          .where('comment_id', '=', comment.id)
          .where('user_arn', '=', user_arn)
          .execute();
      }
      await announceReaction(ctx, tx, repository, comment, before ? 'Updated' : 'Created', reaction);
    });
    return {};
  },
});

export const getCommentReactions = operation('codecommit', 'GetCommentReactions', {
  authorize: onComment,
  async handle(ctx, { commentId, reactionUserArn, nextToken, maxResults }) {
    if (reactionUserArn !== undefined && !isArn(reactionUserArn)) {
      throw new AwsError('InvalidReactionUserArnException', `The ARN of the user is not valid: ${reactionUserArn.slice(0, 200)}`);
    }
    const limit = pageSize(maxResults, MAX_PAGE);
    const comment = await findComment(ctx, commentId);
    requireContent(comment);
    const scope = `codecommit:GetCommentReactions:${comment.id}:${reactionUserArn}`;
    const after = openToken<{ reaction: string; seq: number }>(ctx, scope, nextToken);
    const rows = await ctx.read
      .selectFrom('codecommit.comment_reactions')
      .select(['reaction', 'seq', 'user_arn'])
      .where('comment_id', '=', comment.id)
      .$if(reactionUserArn !== undefined, (query) => query.where('user_arn', '=', reactionUserArn!))
      .$if(after !== undefined, (query) =>
        query.where((eb) => eb(eb.refTuple('reaction', 'seq'), '>', eb.tuple(after!.reaction, after!.seq))),
      )
      .orderBy('reaction')
      .orderBy('seq')
      .limit(limit + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ reaction, seq }) => ({ reaction, seq }));
    const deleted = await deletedOf(
      ctx,
      page.map(({ user_arn }) => user_arn),
    );
    const users = Map.groupBy(page, ({ reaction }) => reaction);
    const reactionsForComment = [...users].map(([name, reacted]) => {
      const { emoji, shortCode, unicode } = reactionNamed(name)!;
      const reactionUsers = reacted.flatMap(({ user_arn }) => (deleted.has(user_arn) ? [] : user_arn));
      const gone = reacted.length - reactionUsers.length;
      return { reaction: { emoji, shortCode, unicode }, reactionUsers, reactionsFromDeletedUsersCount: gone || undefined };
    });
    return { reactionsForComment, nextToken: next };
  },
});
