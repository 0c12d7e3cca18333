/** Approval rules of single pull requests. What templates made can neither be edited nor deleted, only set aside with all others. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { checkSha256, isRuleName, NAME_RULE, readRule } from './approval-content.ts';
import type { ApprovalRule } from './approval-rows.ts';
import { aboutRule, describeRule, keyOf, ruleCreated, rulesOf } from './approval-rows.ts';
import type { PullRequest } from './pull-request-changes.ts';
import { announceReview } from './pull-request-changes.ts';
import { changeOpen } from './pull-request-editing.ts';
import { onPullRequest } from './pull-requests.ts';

const MAX_RULES = 30;

export const createPullRequestApprovalRule = operation('codecommit', 'CreatePullRequestApprovalRule', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, approvalRuleName: name, approvalRuleContent: content }) {
    checkRuleName(name);
    readRule(content);
    const rule = await changeOpen(ctx, pullRequestId, async (tx, open, repository) => {
      const rules = await rulesOf(tx.sql, open);
      if (rules.some((other) => other.name === name)) {
        throw ctx.error('ApprovalRuleNameAlreadyExistsException', `The pull request has an approval rule with the name ${name} already.`);
      }
      if (rules.length >= MAX_RULES) {
        throw ctx.error('NumberOfRulesExceededException', `The pull request has the maximum of ${MAX_RULES} approval rules.`);
      }
      const now = ctx.now();
      const made = await tx.sql
        .insertInto('codecommit.approval_rules')
        .values({
          ...keyOf(open),
          id: randomUUID(),
          name,
          content,
          template_id: null,
          template_name: null,
          created_at: now,
          updated_at: now,
          updated_by: ctx.principal.arn,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      await announceReview(ctx, tx, repository, open, ruleCreated(made));
      return made;
    });
    return { approvalRule: describeRule(rule) };
  },
});

export const updatePullRequestApprovalRuleContent = operation('codecommit', 'UpdatePullRequestApprovalRuleContent', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, approvalRuleName, existingRuleContentSha256, newRuleContent }) {
    checkRuleName(approvalRuleName);
    readRule(newRuleContent);
    const rule = await changeOpen(ctx, pullRequestId, async (tx, open, repository) => {
      const before = await ruleNamed(tx, open, approvalRuleName);
      if (!before) throw ctx.error('ApprovalRuleDoesNotExistException', `The pull request has no approval rule ${approvalRuleName}.`);
      if (before.template_id !== null) {
        throw ctx.error(
          'CannotModifyApprovalRuleFromTemplateException',
          `The approval rule ${before.name} cannot be modified because it was created by the approval rule template ${before.template_name}.`,
        );
      }
      checkSha256(before.content, existingRuleContentSha256);
      const after = await tx.sql
        .updateTable('codecommit.approval_rules')
        .set({ content: newRuleContent, updated_at: ctx.now(), updated_by: ctx.principal.arn })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const words = `The content of an approval rule has been updated for the pull request. The name of the updated rule is: ${after.name}.`;
      await announceReview(ctx, tx, repository, open, { type: 'RULE_UPDATED', ...aboutRule(after), words });
      return after;
    });
    return { approvalRule: describeRule(rule) };
  },
});

export const deletePullRequestApprovalRule = operation('codecommit', 'DeletePullRequestApprovalRule', {
  authorize: onPullRequest,
  async handle(ctx, { pullRequestId, approvalRuleName }) {
    checkRuleName(approvalRuleName);
    const deleted = await changeOpen(ctx, pullRequestId, async (tx, open, repository) => {
      const rule = await ruleNamed(tx, open, approvalRuleName);
      if (!rule) return undefined;
      if (rule.template_id !== null) {
        throw ctx.error(
          'CannotDeleteApprovalRuleFromTemplateException',
          `The approval rule ${rule.name} cannot be deleted because it was created by the approval rule template ${rule.template_name}.`,
        );
      }
      await tx.sql.deleteFrom('codecommit.approval_rules').where('id', '=', rule.id).execute();
      const words = `An approval rule has been deleted: ${rule.name} was deleted.`;
      await announceReview(ctx, tx, repository, open, { type: 'RULE_DELETED', ...aboutRule(rule), words });
      return rule.id;
    });
    // "If the approval rule was deleted in an earlier API call, the response is 200 OK without content."
    return { approvalRuleId: deleted as string };
  },
});

async function ruleNamed(tx: Transaction, pullRequest: PullRequest, name: string): Promise<ApprovalRule | undefined> {
  return (await rulesOf(tx.sql, pullRequest)).find((rule) => rule.name === name);
}

function checkRuleName(name: string): void {
  if (isRuleName(name)) return;
  throw new AwsError(
    'InvalidApprovalRuleNameException',
    `The name of the approval rule is not valid: ${JSON.stringify(name)}. ${NAME_RULE}`,
  );
}
