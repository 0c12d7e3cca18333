/** Single comments: read, edited by their authors, emptied by whoever may. */
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { announceComment } from './comment-events.ts';
import type { Comment, FoundComment } from './comment-rows.ts';
import { commentMissing, describeComments, findComment, onComment, placeOf, requireContent } from './comment-rows.ts';
import { checkContent } from './comments.ts';

export const getComment = operation('codecommit', 'GetComment', {
  authorize: onComment,
  async handle(ctx, { commentId }) {
    const { repository, ...found } = await findComment(ctx, commentId);
    requireContent(found);
    const [comment] = await describeComments(ctx, repository.id, [found]);
    return { comment };
  },
});

export const updateComment = operation('codecommit', 'UpdateComment', {
  authorize: onComment,
  async handle(ctx, { commentId, content }) {
    checkContent(content);
    const found = await findComment(ctx, commentId);
    return change(ctx, found, content, async (tx, before) => {
      if (before.author !== ctx.principal.arn) {
        throw ctx.error(
          'CommentNotCreatedByCallerException',
          'You cannot modify this comment. Only comment authors can modify their comments.',
        );
      }
      await announceComment(ctx, tx, found.repository, await placeOf(tx.sql, before), before, 'Updated');
    });
  },
});

/** "You can only delete the content of a comment if you have the DeleteCommentContent permission": authorship is not asked for. */
export const deleteCommentContent = operation('codecommit', 'DeleteCommentContent', {
  authorize: onComment,
  handle: async (ctx, { commentId }) => change(ctx, await findComment(ctx, commentId), null),
});

async function change(
  ctx: RequestContext,
  found: FoundComment,
  content: string | null,
  also?: (tx: Transaction, before: Comment) => Promise<void>,
) {
  const changed = await ctx.transaction(async (tx) => {
    const before = await lockComment(tx, found);
    requireContent(before);
    await also?.(tx, before);
    return tx.sql
      .updateTable('codecommit.comments')
      .set({ content, updated_at: ctx.now() })
      .where('id', '=', before.id)
      .returningAll()
      .executeTakeFirstOrThrow();
  });
  const [comment] = await describeComments(ctx, found.repository.id, [changed]);
  return { comment };
}

/** The row, which nobody else changes until the transaction ends. */
export async function lockComment(tx: Transaction, { id }: Comment): Promise<Comment> {
  const comment = await tx.sql.selectFrom('codecommit.comments').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!comment) throw commentMissing(id);
  return comment;
}
