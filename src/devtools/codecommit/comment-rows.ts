/** Finding comments by their ids, and telling what they are. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import type { Check, RequestContext, ShapeOf } from '../../platform/service.ts';
import type { CommentPlace } from './comment-places.ts';
import type { Repository } from './repository.ts';
import { onRepository } from './repository.ts';
import type { CommentsTable } from './tables.ts';

export type Comment = Selectable<CommentsTable>;
export type FoundComment = Comment & { repository: Repository };

const COMMENT_ID = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** As on AWS two UUIDs: here the repository's and the comment's own. */
export function commentId(repositoryId: string, { id }: Pick<Comment, 'id'>): string {
  return `${repositoryId}:${id}`;
}

/** The IAM question of an operation on a comment is one on its repository. */
export async function onComment({ commentId: id }: { commentId: string }, ctx: RequestContext): Promise<Check> {
  const found = COMMENT_ID.test(id) ? await lookUp(ctx, id) : undefined;
  return onRepository(ctx, found?.repository.name);
}

/** `InvalidCommentIdException`, or `CommentDoesNotExistException`. */
export async function findComment(ctx: RequestContext, id: string): Promise<FoundComment> {
  if (!COMMENT_ID.test(id)) throw new AwsError('InvalidCommentIdException', `The comment ID is not valid: ${id.slice(0, 100)}`);
  const found = await lookUp(ctx, id);
  if (!found) throw commentMissing(id);
  return found;
}

export function commentMissing(id: string): AwsError {
  return new AwsError('CommentDoesNotExistException', `No comment exists with the ID ${id}`);
}

/** `CommentDeletedException` once the content is gone. */
export function requireContent({ content }: Pick<Comment, 'content'>): void {
  if (content !== null) return;
  throw new AwsError('CommentDeletedException', 'This comment has already been deleted. You cannot edit or delete a deleted comment.');
}

async function lookUp(ctx: RequestContext, id: string): Promise<FoundComment | undefined> {
  const [, repositoryId, ownId] = COMMENT_ID.exec(id)!;
  const comment = await ctx.read
    .selectFrom('codecommit.comments')
    .selectAll()
    .where('id', '=', ownId!)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .executeTakeFirst();
  if (!comment) return undefined;
  const repository = await ctx.read
    .selectFrom('codecommit.repositories as repository')
    .innerJoin('codecommit.comment_places as place', 'place.repository_id', 'repository.id')
    .selectAll('repository')
    .where('place.id', '=', comment.place_id)
    .where('repository.id', '=', repositoryId!)
    .executeTakeFirst();
  return repository && { ...comment, repository };
}

export async function placeOf(reader: Reader, { id, place_id }: Comment): Promise<CommentPlace> {
  const place = await reader.selectFrom('codecommit.comment_places').selectAll().where('id', '=', place_id).executeTakeFirst();
  if (!place) throw commentMissing(id);
  return place;
}

/** As the API shows them, with the reactions of all and those of the caller. */
export async function describeComments(
  ctx: RequestContext,
  repositoryId: string,
  comments: Comment[],
): Promise<ShapeOf<'codecommit', 'Comment'>[]> {
  const reactions = await reactionsTo(ctx, comments);
  return comments.map((comment) => {
    const own = reactions.filter(({ comment_id }) => comment_id === comment.id);
    return {
      commentId: commentId(repositoryId, comment),
      content: comment.content ?? undefined,
      inReplyTo: comment.in_reply_to === null ? undefined : commentId(repositoryId, { id: comment.in_reply_to }),
      creationDate: comment.created_at,
      lastModifiedDate: comment.updated_at,
      authorArn: comment.author,
      deleted: comment.content === null,
      clientRequestToken: comment.client_request_token ?? undefined,
      callerReactions: own.filter(({ mine }) => mine).map(({ reaction }) => reaction),
      reactionCounts: Object.fromEntries(own.map(({ reaction, users }) => [reaction, Number(users)])),
    };
  });
}

async function reactionsTo(ctx: RequestContext, comments: Comment[]) {
  if (comments.length === 0) return [];
  return ctx.read
    .selectFrom('codecommit.comment_reactions')
    .select(['comment_id', 'reaction'])
    .select((eb) => eb.fn.countAll<number>().as('users'))
    .select(sql<boolean>`bool_or(user_arn = ${ctx.principal.arn})`.as('mine'))
    .where(
      'comment_id',
      'in',
      comments.map(({ id }) => id),
    )
    .groupBy(['comment_id', 'reaction'])
    .orderBy('reaction')
    .execute();
}
