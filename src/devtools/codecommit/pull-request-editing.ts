/** Making pull requests and changing what people say of them. */
import { branchRef, isWellFormed } from '../../git/ref-names.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { Input, RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { applyTemplates } from './approval-associations.ts';
import { checkToken, hashRequest, requireSameRequest } from './client-tokens.ts';
import { callerTags } from './event-details.ts';
import type { PullRequest } from './pull-request-changes.ts';
import { announceCreated, close, newRevision, set } from './pull-request-changes.ts';
import { describe, findPullRequest, onPullRequest, pullRequestMissing, tipOf } from './pull-requests.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, repositoryMissing } from './repository.ts';

const MAX_OPEN = 1000;

type CreateInput = Input<'codecommit', 'CreatePullRequest'>;

export const createPullRequest = operation('codecommit', 'CreatePullRequest', {
  authorize: ({ targets }, ctx) => {
    const names = new Set(targets.map(({ repositoryName }) => repositoryName));
    return names.size === 0 ? { resource: '*' } : Promise.all([...names].map((name) => onRepository(ctx, name)));
  },
  async handle(ctx, input) {
    const target = onlyTarget(input);
    checkToken(input.clientRequestToken);
    checkTitle(input.title);
    checkDescription(input.description);
    const repository = await findRepository(ctx, target.repositoryName);
    const made = await ctx.transaction((tx) => create(ctx, tx, repository, input));
    return { pullRequest: await describe(ctx, { ...made, repository }) };
  },
});

export const updatePullRequestTitle = operation('codecommit', 'UpdatePullRequestTitle', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, title }) {
    checkTitle(title);
    return change(ctx, pullRequestId, (tx, open) => set(tx, open, { title, last_activity_at: ctx.now() }));
  },
});

export const updatePullRequestDescription = operation('codecommit', 'UpdatePullRequestDescription', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, description }) {
    checkDescription(description);
    return change(ctx, pullRequestId, (tx, open) => set(tx, open, { description, last_activity_at: ctx.now() }));
  },
});

export const updatePullRequestStatus = operation('codecommit', 'UpdatePullRequestStatus', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, pullRequestStatus }) {
    const found = await findPullRequest(ctx, pullRequestId);
    const destination = await tipOf(ctx, found.repository, found.destination_ref);
    await ctx.transaction(async (tx) => {
      const locked = await lock(tx, found);
      if (locked.status === 'CLOSED' || pullRequestStatus === 'OPEN') {
        throw ctx.error(
          'InvalidPullRequestStatusUpdateException',
          `The pull request cannot become ${pullRequestStatus}: it is ${locked.status}.`,
        );
      }
      await close(ctx, tx, found.repository, locked, destination, ctx.principal.arn, callerTags(ctx.principal));
    });
    return { pullRequest: await describe(ctx, await findPullRequest(ctx, pullRequestId)) };
  },
});

async function change(ctx: RequestContext, pullRequestId: string, make: (tx: Transaction, open: PullRequest) => Promise<unknown>) {
  await changeOpen(ctx, pullRequestId, make);
  return { pullRequest: await describe(ctx, await findPullRequest(ctx, pullRequestId)) };
}

/** One transaction on a pull request, which is open and which nobody else changes meanwhile; else `PullRequestAlreadyClosedException`. */
export async function changeOpen<T>(
  ctx: RequestContext,
  pullRequestId: string,
  make: (tx: Transaction, open: PullRequest, repository: Repository) => Promise<T>,
): Promise<T> {
  const found = await findPullRequest(ctx, pullRequestId);
  return ctx.transaction(async (tx) => {
    const locked = await lock(tx, found);
    if (locked.status === 'CLOSED') throw alreadyClosed(locked.id);
    return make(tx, locked, found.repository);
  });
}

export function alreadyClosed(id: number): AwsError {
  return new AwsError('PullRequestAlreadyClosedException', `Pull request ${id} is already closed`);
}

/** The row, which nobody else changes until the transaction ends. */
export async function lock(tx: Transaction, { account, region, id }: Pick<PullRequest, 'account' | 'region' | 'id'>): Promise<PullRequest> {
  const row = await tx.sql
    .selectFrom('codecommit.pull_requests')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!row) throw pullRequestMissing(id);
  return row;
}

function onlyTarget({ targets }: CreateInput): CreateInput['targets'][number] {
  const [target] = targets;
  if (!target) throw new AwsError('TargetsRequiredException', 'An array of target objects is required. It cannot be empty or null.');
  if (new Set(targets.map(({ repositoryName }) => repositoryName)).size > 1) {
    throw new AwsError('MultipleRepositoriesInPullRequestException', 'A pull request can be in one repository only.');
  }
  if (targets.length > 1) throw new AwsError('InvalidTargetsException', 'A pull request can have one target only.');
  return target;
}

function checkTitle(title: string): void {
  if (title.trim() === '') throw new AwsError('TitleRequiredException', 'A pull request title is required. It cannot be empty or null.');
  if (title.includes('\0'))
    throw new AwsError('InvalidTitleException', 'The pull request title is not valid: it contains the character NUL.');
}

function checkDescription(description: string | undefined): void {
  if (!description?.includes('\0')) return;
  throw new AwsError('InvalidDescriptionException', 'The pull request description is not valid: it contains the character NUL.');
}

async function create(ctx: RequestContext, tx: Transaction, { id, name }: Repository, input: CreateInput): Promise<PullRequest> {
  // No push comes between what the references are found to be and the row that follows them.
  const repository = await tx.sql.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!repository) throw repositoryMissing(name);
  const requestHash = hashOf(input);
  const before = await madeBefore(ctx, tx, input.clientRequestToken, requestHash);
  if (before) return before;
  const references = await findReferences(tx, repository, input.targets[0]!);
  await checkOpen(tx, repository);
  const now = ctx.now();
  const made = await tx.sql
    .insertInto('codecommit.pull_requests')
    .values({
      account: ctx.account,
      region: ctx.region,
      id: await nextNumber(tx, ctx),
      repository_id: id,
      title: input.title,
      description: input.description ?? null,
      status: 'OPEN',
      author: ctx.principal.arn,
      ...references,
      checked_source: references.source_commit,
      checked_destination: references.destination_commit,
      revision_id: newRevision(),
      client_request_token: input.clientRequestToken ?? null,
      request_hash: requestHash,
      created_at: now,
      last_activity_at: now,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await announceCreated(ctx, tx, repository, made);
  await applyTemplates(ctx, tx, repository, made);
  return lock(tx, made);
}

function hashOf({ title, description, targets }: CreateInput): string {
  const said = targets.map(({ repositoryName, sourceReference, destinationReference }) => [
    repositoryName,
    sourceReference,
    destinationReference ?? null,
  ]);
  return hashRequest([title, description, said]);
}

/** The answer to the same request sent before. `IdempotencyParameterMismatchException` when the token was for another one. */
async function madeBefore(
  { account, region }: RequestContext,
  tx: Transaction,
  token: string | undefined,
  requestHash: string,
): Promise<PullRequest | undefined> {
  if (token === undefined) return undefined;
  const before = await tx.sql
    .selectFrom('codecommit.pull_requests')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('client_request_token', '=', token)
    .executeTakeFirst();
  if (before) requireSameRequest(before, requestHash);
  return before;
}

async function findReferences(
  tx: Transaction,
  repository: Repository,
  { sourceReference, destinationReference }: CreateInput['targets'][number],
) {
  const source = await resolveReference(tx, repository, sourceReference);
  const destination = await resolveReference(tx, repository, destinationReference ?? repository.default_branch ?? 'main');
  if (source.name === destination.name) {
    throw new AwsError(
      'SourceAndDestinationAreSameException',
      'The source branch and destination branch for the pull request are the same.',
    );
  }
  return {
    source_ref: source.name,
    source_commit: source.objectId,
    destination_ref: destination.name,
    destination_commit: destination.objectId,
  };
}

async function resolveReference(tx: Transaction, { id }: Repository, reference: string): Promise<{ name: string; objectId: string }> {
  if (reference === '') throw new AwsError('ReferenceNameRequiredException', 'A reference name is required.');
  const full = reference.startsWith('refs/') ? reference : branchRef(reference);
  if (!isWellFormed(full))
    throw new AwsError('InvalidReferenceNameException', `The reference name is not valid: ${reference.slice(0, 300)}`);
  const rows = await tx.sql
    .selectFrom('codecommit.refs')
    .select(['name', 'object_id'])
    .where('repository_id', '=', id)
    .where('name', 'in', [full, `refs/tags/${reference}`])
    .execute();
  const branch = rows.find(({ name }) => name === full);
  if (branch?.name.startsWith('refs/heads/')) return { name: branch.name, objectId: branch.object_id };
  if (rows.length > 0) {
    throw new AwsError('ReferenceTypeNotSupportedException', `The reference ${reference} is not a branch: only branches can be used.`);
  }
  throw referenceMissing(reference);
}

export function referenceMissing(reference: string): AwsError {
  return new AwsError('ReferenceDoesNotExistException', `The specified reference does not exist: ${reference}`);
}

async function checkOpen(tx: Transaction, { id }: Repository): Promise<void> {
  const { open } = await tx.sql
    .selectFrom('codecommit.pull_requests')
    .select((eb) => eb.fn.countAll<number>().as('open'))
    .where('repository_id', '=', id)
    .where('status', '=', 'OPEN')
    .executeTakeFirstOrThrow();
  if (Number(open) < MAX_OPEN) return;
  throw new AwsError('MaximumOpenPullRequestsExceededException', `The repository has the maximum of ${MAX_OPEN} open pull requests.`);
}

/** Numbers count up over all repositories of an account in a region. */
async function nextNumber(tx: Transaction, { account, region }: Pick<RequestContext, 'account' | 'region'>): Promise<number> {
  const { last } = await tx.sql
    .insertInto('codecommit.pull_request_numbers')
    .values({ account, region, last: 1 })
    .onConflict((conflict) =>
      conflict.columns(['account', 'region']).doUpdateSet((eb) => ({ last: eb('codecommit.pull_request_numbers.last', '+', 1) })),
    )
    .returning('last')
    .executeTakeFirstOrThrow();
  return last;
}
