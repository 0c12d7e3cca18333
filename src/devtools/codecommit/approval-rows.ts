/** The rows behind a pull request's approval: its rules, who approved which revision, and who set the rules aside. */
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { contentSha256, isSatisfied, readTemplate } from './approval-content.ts';
import type { PullRequest, Review } from './pull-request-changes.ts';
import type { ApprovalRulesTable } from './tables.ts';

export type ApprovalRule = Selectable<ApprovalRulesTable>;
type Key = Pick<PullRequest, 'account' | 'region' | 'id'>;

/** The columns that say which pull request a row belongs to. */
export function keyOf({ account, region, id }: Key) {
  return { account, region, pull_request_id: id };
}

/** The oldest first. */
export async function rulesOf(reader: Reader, { account, region, id }: Key): Promise<ApprovalRule[]> {
  return reader
    .selectFrom('codecommit.approval_rules')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('pull_request_id', '=', id)
    .orderBy('created_at')
    .orderBy('name')
    .execute();
}

export function describeRule(rule: ApprovalRule): ShapeOf<'codecommit', 'ApprovalRule'> {
  return {
    approvalRuleId: rule.id,
    approvalRuleName: rule.name,
    approvalRuleContent: rule.content,
    ruleContentSha256: contentSha256(rule.content),
    lastModifiedDate: rule.updated_at,
    creationDate: rule.created_at,
    lastModifiedUser: rule.updated_by,
    originApprovalRuleTemplate:
      rule.template_id === null
        ? undefined
        : { approvalRuleTemplateId: rule.template_id, approvalRuleTemplateName: rule.template_name ?? undefined },
  };
}

/** For the history and the event of a rule that was made, by hand or by a template. */
export function ruleCreated(rule: ApprovalRule): Review {
  return { type: 'RULE_CREATED', ...aboutRule(rule), words: `An approval rule has been created with the following name: ${rule.name}.` };
}

/** What history and event tell of a rule. */
export function aboutRule({ id, name, content }: ApprovalRule): Pick<Review, 'history' | 'told'> {
  return {
    history: { approvalRuleName: name, approvalRuleId: id, approvalRuleContent: content },
    told: { approvalRuleContentSha256: contentSha256(content), approvalRuleId: id, approvalRuleName: name },
  };
}

/** ARNs of those who approved the revision, the first to do so first. */
export async function approversOf(reader: Reader, { account, region, id }: Key, revision: string): Promise<string[]> {
  const rows = await reader
    .selectFrom('codecommit.approvals')
    .select('user_arn')
    .where('account', '=', account)
    .where('region', '=', region)
    .where('pull_request_id', '=', id)
    .where('revision_id', '=', revision)
    .orderBy('approved_at')
    .orderBy('user_arn')
    .execute();
  return rows.map(({ user_arn }) => user_arn);
}

/** ARN of who set the rules aside for the revision; undefined when they apply. */
export async function overriderOf(reader: Reader, { account, region, id }: Key, revision: string): Promise<string | undefined> {
  const row = await reader
    .selectFrom('codecommit.approval_overrides')
    .select('overrider')
    .where('account', '=', account)
    .where('region', '=', region)
    .where('pull_request_id', '=', id)
    .where('revision_id', '=', revision)
    .executeTakeFirst();
  return row?.overrider;
}

/** How the rules stand for the revision that the row has. */
export async function evaluate(reader: Reader, pullRequest: PullRequest) {
  const rules = await rulesOf(reader, pullRequest);
  const approvers = await approversOf(reader, pullRequest, pullRequest.revision_id);
  const satisfied = rules.filter(({ content }) => isSatisfied(readTemplate(content), approvers));
  const unsatisfied = rules.filter((rule) => !satisfied.includes(rule));
  return {
    approved: unsatisfied.length === 0,
    overridden: (await overriderOf(reader, pullRequest, pullRequest.revision_id)) !== undefined,
    approvalRulesSatisfied: satisfied.map(({ name }) => name),
    approvalRulesNotSatisfied: unsatisfied.map(({ name }) => name),
  };
}

/** `PullRequestApprovalRulesNotSatisfiedException` while a rule stands against a merge and nobody has set the rules aside. */
export async function requireApproval(reader: Reader, pullRequest: PullRequest): Promise<void> {
  const { approved, overridden, approvalRulesNotSatisfied } = await evaluate(reader, pullRequest);
  if (approved || overridden) return;
  throw new AwsError(
    'PullRequestApprovalRulesNotSatisfiedException',
    `The pull request cannot be merged because one or more approval rules have conditions that have not been met: ${approvalRulesNotSatisfied.join(', ')}.`,
  );
}
