/** The comments of a pull request, or of a comparison of two commits, by place. Pages count comments, so one place may go on in the next page. */
import { AwsError } from '../../platform/errors.ts';
import type { Input, RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import type { CommentPlace } from './comment-places.ts';
import { describePlace, requireCommits } from './comment-places.ts';
import { describeComments } from './comment-rows.ts';
import { openToken, pageOf, pageSize } from './pages.ts';
import { findPullRequest, onPullRequest } from './pull-requests.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository } from './repository.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 500;

export const getCommentsForPullRequest = operation('codecommit', 'GetCommentsForPullRequest', {
  authorize: onPullRequest,
  async handle(ctx, input) {
    const { pullRequestId, repositoryName, beforeCommitId, afterCommitId } = input;
    checkTogether(input);
    const { repository, id } = await findPullRequest(ctx, pullRequestId);
    if (repositoryName !== undefined && (await findRepository(ctx, repositoryName)).id !== repository.id) {
      throw ctx.error('RepositoryNotAssociatedWithPullRequestException', `Pull request ${id} is not in the repository ${repositoryName}.`);
    }
    if (repositoryName !== undefined) await requireCommits(ctx, repository, [beforeCommitId!, afterCommitId!]);
    const { groups, nextToken } = await list(ctx, repository, { pullRequest: id, beforeCommitId, afterCommitId, ...input });
    return { commentsForPullRequestData: groups.map((group) => ({ pullRequestId, ...group })), nextToken };
  },
});

export const getCommentsForComparedCommit = operation('codecommit', 'GetCommentsForComparedCommit', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const { repositoryName, beforeCommitId = null, afterCommitId } = input;
    const repository = await findRepository(ctx, repositoryName);
    await requireCommits(ctx, repository, beforeCommitId === null ? [afterCommitId] : [beforeCommitId, afterCommitId]);
    const { groups, nextToken } = await list(ctx, repository, { ...input, beforeCommitId, pullRequest: null });
    return { commentsForComparedCommitData: groups, nextToken };
  },
});

/** "Requirement is conditional": repository and both commits go together. */
function checkTogether({ repositoryName, beforeCommitId, afterCommitId }: Input<'codecommit', 'GetCommentsForPullRequest'>): void {
  const commits = [beforeCommitId, afterCommitId].filter((id) => id !== undefined).length;
  if (repositoryName === undefined && commits > 0) {
    throw new AwsError('RepositoryNameRequiredException', 'A repository name is required when commit IDs are specified.');
  }
  if (repositoryName === undefined || commits === 2) return;
  throw new AwsError('CommitIdRequiredException', 'The before and the after commit ID are required when a repository name is specified.');
}

interface Wanted {
  /** Null: comments that belong to none. */
  pullRequest: number | null;
  /** Undefined: any; null: the first commit, compared with nothing. */
  beforeCommitId: string | null | undefined;
  afterCommitId: string | undefined;
  nextToken?: string;
  maxResults?: number;
}

async function list(ctx: RequestContext, repository: Repository, wanted: Wanted) {
  const { pullRequest, beforeCommitId: before, afterCommitId: afterCommit } = wanted;
  const limit = pageSize(wanted.maxResults, DEFAULT_PAGE, MAX_PAGE);
  const scope = `codecommit:GetComments:${repository.id}:${pullRequest}:${before}:${afterCommit}`;
  const after = openToken<{ place: number; seq: number }>(ctx, scope, wanted.nextToken);
  const rows = await ctx.read
    .selectFrom('codecommit.comments as comment')
    .innerJoin('codecommit.comment_places as place', 'place.id', 'comment.place_id')
    .selectAll('comment')
    .where('place.repository_id', '=', repository.id)
    .where('place.pull_request_id', pullRequest === null ? 'is' : '=', pullRequest)
    .$if(before !== undefined, (query) => query.where('place.before_commit', before === null ? 'is' : '=', before!))
    .$if(afterCommit !== undefined, (query) => query.where('place.after_commit', '=', afterCommit!))
    .$if(after !== undefined, (query) =>
      query.where((eb) => eb(eb.refTuple('comment.place_id', 'comment.seq'), '>', eb.tuple(after!.place, after!.seq))),
    )
    .orderBy('comment.place_id')
    .orderBy('comment.seq')
    .limit(limit + 1)
    .execute();
  const { page, nextToken } = pageOf(ctx, scope, rows, limit, ({ place_id, seq }) => ({ place: place_id, seq }));
  const described = await describeComments(ctx, repository.id, page);
  const byPlace = Map.groupBy(described.keys(), (index) => page[index]!.place_id);
  const places = await placesOf(ctx, [...byPlace.keys()]);
  const groups = places.map((place) => ({
    ...describePlace(repository.name, place),
    comments: byPlace.get(place.id)!.map((index) => described[index]!),
  }));
  return { groups, nextToken };
}

async function placesOf(ctx: RequestContext, ids: number[]): Promise<CommentPlace[]> {
  if (ids.length === 0) return [];
  return ctx.read.selectFrom('codecommit.comment_places').selectAll().where('id', 'in', ids).orderBy('id').execute();
}
