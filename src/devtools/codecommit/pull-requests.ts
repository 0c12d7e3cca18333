/** Finding pull requests and telling what they are. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Check, RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { describeRule, rulesOf } from './approval-rows.ts';
import { isArn, requireIdentity } from './identities.ts';
import { baseOf } from './merge-bases.ts';
import { openToken, pageOf, pageSize } from './pages.ts';
import type { PullRequest } from './pull-request-changes.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository } from './repository.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const MAX_EVENTS = 100;

export const getPullRequest = operation('codecommit', 'GetPullRequest', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId }) {
    return { pullRequest: await describe(ctx, await findPullRequest(ctx, pullRequestId)) };
  },
});

export const listPullRequests = operation('codecommit', 'ListPullRequests', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, authorArn, pullRequestStatus, nextToken, maxResults }) {
    const repository = await findRepository(ctx, repositoryName);
    if (authorArn !== undefined && !isArn(authorArn)) {
      throw ctx.error('InvalidAuthorArnException', `The Amazon Resource Name (ARN) is not valid: ${authorArn.slice(0, 200)}`);
    }
    const limit = pageSize(maxResults, DEFAULT_PAGE, MAX_PAGE);
    const scope = `codecommit:ListPullRequests:${repository.id}:${authorArn}:${pullRequestStatus}`;
    const before = openToken<{ at: string; id: number }>(ctx, scope, nextToken);
    // "Pull request IDs are displayed in the order of most recent activity."
    const rows = await ctx.read
      .selectFrom('codecommit.pull_requests')
      .select(['id', 'last_activity_at'])
      .where('repository_id', '=', repository.id)
      .$if(pullRequestStatus !== undefined, (query) => query.where('status', '=', pullRequestStatus!))
      .$if(authorArn !== undefined, (query) => query.where('author', '=', authorArn!))
      .$if(before !== undefined, (query) =>
        query.where((eb) => eb(eb.refTuple('last_activity_at', 'id'), '<', eb.tuple(new Date(before!.at), before!.id))),
      )
      .orderBy('last_activity_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    if (authorArn !== undefined && rows.length === 0) await requireIdentity(ctx, authorArn, 'AuthorDoesNotExistException');
    const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ id, last_activity_at: at }) => ({ at, id }));
    return { pullRequestIds: page.map(({ id }) => String(id)), nextToken: next };
  },
});

export const describePullRequestEvents = operation('codecommit', 'DescribePullRequestEvents', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, pullRequestEventType, actorArn, nextToken, maxResults }) {
    const pullRequest = await findPullRequest(ctx, pullRequestId);
    const { repository } = pullRequest;
    if (actorArn !== undefined && !isArn(actorArn)) {
      throw ctx.error('InvalidActorArnException', `The Amazon Resource Name (ARN) is not valid: ${actorArn.slice(0, 200)}`);
    }
    const limit = pageSize(maxResults, MAX_EVENTS);
    const scope = `codecommit:DescribePullRequestEvents:${repository.id}:${pullRequest.id}:${pullRequestEventType}:${actorArn}`;
    const after = openToken<number>(ctx, scope, nextToken);
    const rows = await ctx.read
      .selectFrom('codecommit.pull_request_events')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('pull_request_id', '=', pullRequest.id)
      .$if(pullRequestEventType !== undefined, (query) => query.where('type', '=', pullRequestEventType!))
      .$if(actorArn !== undefined, (query) => query.where('actor', '=', actorArn!))
      .$if(after !== undefined, (query) => query.where('id', '>', after!))
      .orderBy('id')
      .limit(limit + 1)
      .execute();
    if (actorArn !== undefined && rows.length === 0) await requireIdentity(ctx, actorArn, 'ActorDoesNotExistException');
    const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ id }) => id);
    const pullRequestEvents = await Promise.all(
      page.map(async ({ type, actor, at, detail }) => ({
        pullRequestId,
        eventDate: at,
        pullRequestEventType: type as EventType,
        actorArn: actor,
        ...(await eventMetadata(ctx, pullRequest, type, detail)),
      })),
    );
    return { pullRequestEvents, nextToken: next };
  },
});

type PullRequestEvent = ShapeOf<'codecommit', 'PullRequestEvent'>;
type EventType = NonNullable<PullRequestEvent['pullRequestEventType']>;

async function eventMetadata(
  ctx: RequestContext,
  { repository, destination_ref }: FoundPullRequest,
  type: string,
  detail: Record<string, string>,
): Promise<Partial<PullRequestEvent>> {
  const repositoryName = repository.name;
  const { destinationCommitId } = detail;
  switch (type) {
    case 'PULL_REQUEST_CREATED': {
      const base = await baseOf(ctx, repository, detail.sourceCommitId!, destinationCommitId!);
      const { sourceCommitId } = detail;
      return { pullRequestCreatedEventMetadata: { repositoryName, sourceCommitId, destinationCommitId, mergeBase: base } };
    }
    case 'PULL_REQUEST_SOURCE_REFERENCE_UPDATED': {
      const { beforeCommitId, afterCommitId } = detail;
      const base = await baseOf(ctx, repository, afterCommitId!, destinationCommitId!);
      return { pullRequestSourceReferenceUpdatedEventMetadata: { repositoryName, beforeCommitId, afterCommitId, mergeBase: base } };
    }
    case 'PULL_REQUEST_MERGE_STATE_CHANGED': {
      const { mergedBy, mergeCommitId } = detail;
      const mergeOption = detail.mergeOption as NonNullable<PullRequest['merge_option']>;
      const mergeMetadata = { isMerged: true, mergedBy, mergeCommitId, mergeOption };
      return { pullRequestMergedStateChangedEventMetadata: { repositoryName, destinationReference: destination_ref, mergeMetadata } };
    }
    case 'PULL_REQUEST_APPROVAL_RULE_CREATED':
    case 'PULL_REQUEST_APPROVAL_RULE_UPDATED':
    case 'PULL_REQUEST_APPROVAL_RULE_DELETED':
      return { approvalRuleEventMetadata: detail };
    case 'PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN':
      return { approvalRuleOverriddenEventMetadata: detail };
    case 'PULL_REQUEST_APPROVAL_STATE_CHANGED':
      return { approvalStateChangedEventMetadata: detail };
    default:
      return { pullRequestStatusChangedEventMetadata: { pullRequestStatus: detail.pullRequestStatus as PullRequest['status'] } };
  }
}

export type FoundPullRequest = PullRequest & { repository: Repository };

/** The IAM question of an operation on a pull request is one on its repository. */
export async function onPullRequest({ pullRequestId }: { pullRequestId: string }, ctx: RequestContext): Promise<Check> {
  const found = isNumber(pullRequestId) ? await lookUp(ctx, Number(pullRequestId)) : undefined;
  return onRepository(ctx, found?.repository.name);
}

/** `InvalidPullRequestIdException`, or `PullRequestDoesNotExistException`. */
export async function findPullRequest(ctx: RequestContext, pullRequestId: string): Promise<FoundPullRequest> {
  if (!isNumber(pullRequestId)) {
    throw new AwsError('InvalidPullRequestIdException', `The pull request ID is not valid: ${pullRequestId.slice(0, 100)}`);
  }
  const found = await lookUp(ctx, Number(pullRequestId));
  if (!found) throw pullRequestMissing(pullRequestId);
  return found;
}

export function pullRequestMissing(id: string | number): AwsError {
  return new AwsError('PullRequestDoesNotExistException', `Could not find pull request with ID ${id}`);
}

function isNumber(id: string): boolean {
  return /^[1-9]\d{0,14}$/.test(id);
}

async function lookUp(ctx: RequestContext, id: number): Promise<FoundPullRequest | undefined> {
  const row = await ctx.read
    .selectFrom('codecommit.pull_requests')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('id', '=', id)
    .executeTakeFirst();
  if (!row) return undefined;
  const repository = await ctx.read
    .selectFrom('codecommit.repositories')
    .selectAll()
    .where('id', '=', row.repository_id)
    .executeTakeFirst();
  return repository && { ...row, repository };
}

/** The tip of a reference by its full name; undefined when there is none. */
export async function tipOf(
  platform: Pick<Platform, 'read'>,
  repository: Pick<Repository, 'id'>,
  name: string,
): Promise<string | undefined> {
  const row = await platform.read
    .selectFrom('codecommit.refs')
    .select('object_id')
    .where('repository_id', '=', repository.id)
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.object_id;
}

/** As the API shows it. While it is open its destination is where the branch is now. */
export async function describe(ctx: RequestContext, found: FoundPullRequest): Promise<ShapeOf<'codecommit', 'PullRequest'>> {
  const { repository } = found;
  const tip = found.status === 'OPEN' ? await tipOf(ctx, repository, found.destination_ref) : undefined;
  const destinationCommit = tip ?? found.destination_commit;
  return {
    pullRequestId: String(found.id),
    title: found.title,
    description: found.description ?? undefined,
    lastActivityDate: found.last_activity_at,
    creationDate: found.created_at,
    pullRequestStatus: found.status,
    authorArn: found.author,
    clientRequestToken: found.client_request_token ?? undefined,
    revisionId: found.revision_id,
    approvalRules: (await rulesOf(ctx.read, found)).map(describeRule),
    pullRequestTargets: [
      {
        repositoryName: repository.name,
        sourceReference: found.source_ref,
        destinationReference: found.destination_ref,
        sourceCommit: found.source_commit,
        destinationCommit,
        mergeBase: await baseOf(ctx, repository, found.source_commit, destinationCommit),
        mergeMetadata: {
          isMerged: found.merge_option !== null,
          mergedBy: found.merged_by ?? undefined,
          mergeCommitId: found.merge_commit ?? undefined,
          mergeOption: found.merge_option ?? undefined,
        },
      },
    ],
  };
}
