/** Who approved a revision of a pull request, whether its rules were set aside, and how they stand. */

import { AwsError } from '../../platform/errors.ts';
import { operation } from '../../platform/service.ts';
import { MAX_APPROVALS } from './approval-content.ts';
import { approversOf, evaluate, keyOf, overriderOf } from './approval-rows.ts';
import type { PullRequest } from './pull-request-changes.ts';
import { announceReview } from './pull-request-changes.ts';
import { changeOpen } from './pull-request-editing.ts';
import { findPullRequest, onPullRequest } from './pull-requests.ts';

export const updatePullRequestApprovalState = operation('codecommit', 'UpdatePullRequestApprovalState', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, revisionId, approvalState }) {
    checkRevisionId(revisionId);
    await changeOpen(ctx, pullRequestId, async (tx, open, repository) => {
      requireCurrent(open, revisionId);
      const user = ctx.principal.arn;
      if (user === open.author && approvalState === 'APPROVE') {
        throw ctx.error('PullRequestCannotBeApprovedByAuthorException', 'You cannot approve a pull request that you created.');
      }
      const approvers = await approversOf(tx.sql, open, revisionId);
      // Whoever says again what he said before changes nothing.
      if (approvers.includes(user) === (approvalState === 'APPROVE')) return;
      if (approvalState === 'APPROVE') {
        if (approvers.length >= MAX_APPROVALS) {
          throw ctx.error('MaximumNumberOfApprovalsExceededException', `The pull request has the maximum of ${MAX_APPROVALS} approvals.`);
        }
        const row = { ...keyOf(open), revision_id: revisionId, user_arn: user, approved_at: ctx.now() };
        await tx.sql.insertInto('codecommit.approvals').values(row).execute();
      } else {
        await tx.sql
          .deleteFrom('codecommit.approvals')
          .where('account', '=', open.account)
          .where('region', '=', open.region)
          .where('pull_request_id', '=', open.id)
          .where('revision_id', '=', revisionId)
          .where('user_arn', '=', user)
          .execute();
      }
      await announceReview(ctx, tx, repository, open, {
        type: 'STATE_CHANGED',
        history: { revisionId, approvalStatus: approvalState },
        told: { approvalStatus: approvalState },
        words: `A user has changed their approval state for the pull request. State change: ${approvalState}.`,
      });
    });
    return {};
  },
});

export const getPullRequestApprovalStates = operation('codecommit', 'GetPullRequestApprovalStates', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, revisionId }) {
    const pullRequest = await findPullRequest(ctx, pullRequestId);
    checkRevisionId(revisionId);
    const approvers = await approversOf(ctx.read, pullRequest, revisionId);
    return { approvals: approvers.map((userArn) => ({ userArn, approvalState: 'APPROVE' as const })) };
  },
});

export const overridePullRequestApprovalRules = operation('codecommit', 'OverridePullRequestApprovalRules', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, revisionId, overrideStatus }) {
    checkRevisionId(revisionId);
    await changeOpen(ctx, pullRequestId, async (tx, open, repository) => {
      requireCurrent(open, revisionId);
      const overrider = await overriderOf(tx.sql, open, revisionId);
      if (overrideStatus === 'OVERRIDE') {
        if (overrider !== undefined) {
          throw ctx.error(
            'OverrideAlreadySetException',
            `The approval rules of the pull request have been overridden by ${overrider} already.`,
          );
        }
        const row = { ...keyOf(open), revision_id: revisionId, overrider: ctx.principal.arn };
        await tx.sql.insertInto('codecommit.approval_overrides').values(row).execute();
      } else {
        // Nothing to take back.
        if (overrider === undefined) return;
        await tx.sql
          .deleteFrom('codecommit.approval_overrides')
          .where('account', '=', open.account)
          .where('region', '=', open.region)
          .where('pull_request_id', '=', open.id)
          .where('revision_id', '=', revisionId)
          .execute();
      }
      await announceReview(ctx, tx, repository, open, {
        type: 'RULE_OVERRIDDEN',
        history: { revisionId, overrideStatus },
        told: { overrideStatus },
        words: `An override event has occurred for the approval rules for this pull request. Override status: ${overrideStatus}.`,
      });
    });
    return {};
  },
});

export const getPullRequestOverrideState = operation('codecommit', 'GetPullRequestOverrideState', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, revisionId }) {
    const pullRequest = await findPullRequest(ctx, pullRequestId);
    checkRevisionId(revisionId);
    const overrider = await overriderOf(ctx.read, pullRequest, revisionId);
    return { overridden: overrider !== undefined, overrider };
  },
});

export const evaluatePullRequestApprovalRules = operation('codecommit', 'EvaluatePullRequestApprovalRules', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, revisionId }) {
    const pullRequest = await findPullRequest(ctx, pullRequestId);
    checkRevisionId(revisionId);
    requireCurrent(pullRequest, revisionId);
    return { evaluation: await evaluate(ctx.read, pullRequest) };
  },
});

function checkRevisionId(id: string): void {
  if (/^[0-9a-f]{64}$/.test(id)) return;
  throw new AwsError('InvalidRevisionIdException', `The revision ID is not valid: ${id.slice(0, 100)}`);
}

function requireCurrent({ revision_id }: PullRequest, id: string): void {
  if (id === revision_id) return;
  throw new AwsError(
    'RevisionNotCurrentException',
    'The revision ID provided in the request does not match the current revision ID. Use GetPullRequest to retrieve the current revision ID.',
  );
}
