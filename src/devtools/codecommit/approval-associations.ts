/** Which templates are for which repositories, and the rules that new pull requests get by that. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { isForDestination, readTemplate } from './approval-content.ts';
import { keyOf, ruleCreated } from './approval-rows.ts';
import type { ApprovalRuleTemplate } from './approval-templates.ts';
import { announceTemplate, checkTemplateName, findTemplate, lockTemplate, TEMPLATES_PAGE, templateMissing } from './approval-templates.ts';
import { openToken, pageOf, pageSize } from './pages.ts';
import type { PullRequest } from './pull-request-changes.ts';
import { announceReview } from './pull-request-changes.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, repositoryMissing } from './repository.ts';

/** "You cannot associate more than 25 approval rule templates with a repository." */
const MAX_ASSOCIATED = 25;
const MAX_NAMES = 100;

export const associateApprovalRuleTemplateWithRepository = operation('codecommit', 'AssociateApprovalRuleTemplateWithRepository', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { approvalRuleTemplateName, repositoryName }) {
    await changeAssociations(ctx, approvalRuleTemplateName, async (tx, template) => {
      const repository = await lockRepository(ctx, tx, repositoryName);
      if (!(await associate(tx, template, repository))) return;
      const words = `An approval rule template has been associated with the following repository: [${repositoryName}].`;
      await announceTemplate(ctx, tx, template, 'approvalRuleTemplateAssociatedWithRepository', words, [repository]);
    });
    return {};
  },
});

export const disassociateApprovalRuleTemplateFromRepository = operation('codecommit', 'DisassociateApprovalRuleTemplateFromRepository', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { approvalRuleTemplateName, repositoryName }) {
    await changeAssociations(ctx, approvalRuleTemplateName, async (tx, template) => {
      const repository = await lockRepository(ctx, tx, repositoryName);
      if (!(await disassociate(tx, template, repository))) return;
      const words = `An approval rule template has been disassociated from the following repository: [${repositoryName}].`;
      await announceTemplate(ctx, tx, template, 'approvalRuleTemplateDisassociatedFromRepository', words, [repository]);
    });
    return {};
  },
});

export const batchAssociateApprovalRuleTemplateWithRepositories = operation(
  'codecommit',
  'BatchAssociateApprovalRuleTemplateWithRepositories',
  {
    authorize: ({ repositoryNames }, ctx) => onRepositories(ctx, repositoryNames),
    async handle(ctx, { approvalRuleTemplateName, repositoryNames }) {
      const { done, errors } = await changeMany(ctx, approvalRuleTemplateName, repositoryNames, associate, {
        event: 'batchAssociateApprovalRuleTemplateWithRepositories',
        words: 'batch associated with the following repository names',
      });
      return { associatedRepositoryNames: done, errors };
    },
  },
);

export const batchDisassociateApprovalRuleTemplateFromRepositories = operation(
  'codecommit',
  'BatchDisassociateApprovalRuleTemplateFromRepositories',
  {
    authorize: ({ repositoryNames }, ctx) => onRepositories(ctx, repositoryNames),
    async handle(ctx, { approvalRuleTemplateName, repositoryNames }) {
      const { done, errors } = await changeMany(ctx, approvalRuleTemplateName, repositoryNames, disassociate, {
        event: 'batchDisassociateApprovalRuleTemplateFromRepositories',
        words: 'batch disassociated from the following repository names',
      });
      return { disassociatedRepositoryNames: done, errors };
    },
  },
);

export const listAssociatedApprovalRuleTemplatesForRepository = operation(
  'codecommit',
  'ListAssociatedApprovalRuleTemplatesForRepository',
  {
    authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
    async handle(ctx, { repositoryName, nextToken, maxResults }) {
      const { id } = await findRepository(ctx, repositoryName);
      const limit = pageSize(maxResults, TEMPLATES_PAGE);
      const scope = `codecommit:ListAssociatedApprovalRuleTemplatesForRepository:${id}`;
      const after = openToken<string>(ctx, scope, nextToken);
      const rows = await ctx.read
        .selectFrom('codecommit.approval_rule_associations as association')
        .innerJoin('codecommit.approval_rule_templates as template', 'template.id', 'association.template_id')
        .select('template.name')
        .where('association.repository_id', '=', id)
        .$if(after !== undefined, (query) => query.where('template.name', '>', after!))
        .orderBy('template.name')
        .limit(limit + 1)
        .execute();
      const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ name }) => name);
      return { approvalRuleTemplateNames: page.map(({ name }) => name), nextToken: next };
    },
  },
);

export const listRepositoriesForApprovalRuleTemplate = operation('codecommit', 'ListRepositoriesForApprovalRuleTemplate', {
  authorize: () => '*',
  async handle(ctx, { approvalRuleTemplateName, nextToken, maxResults }) {
    checkTemplateName(approvalRuleTemplateName);
    const { id } = await findTemplate(ctx, approvalRuleTemplateName);
    const limit = pageSize(maxResults, TEMPLATES_PAGE);
    const scope = `codecommit:ListRepositoriesForApprovalRuleTemplate:${id}`;
    const after = openToken<string>(ctx, scope, nextToken);
    const rows = await ctx.read
      .selectFrom('codecommit.approval_rule_associations as association')
      .innerJoin('codecommit.repositories as repository', 'repository.id', 'association.repository_id')
      .select('repository.name')
      .where('association.template_id', '=', id)
      .$if(after !== undefined, (query) => query.where('repository.name', '>', after!))
      .orderBy('repository.name')
      .limit(limit + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ name }) => name);
    return { repositoryNames: page.map(({ name }) => name), nextToken: next };
  },
});

function onRepositories(ctx: RequestContext, names: string[]) {
  return Promise.all([...new Set(names.slice(0, MAX_NAMES))].map((name) => onRepository(ctx, name)));
}

/** One transaction in which nobody else changes the template. */
async function changeAssociations<T>(
  ctx: RequestContext,
  name: string,
  work: (tx: Transaction, template: ApprovalRuleTemplate) => Promise<T>,
): Promise<T> {
  checkTemplateName(name);
  return ctx.transaction(async (tx) => {
    const template = await lockTemplate(ctx, tx, name);
    if (!template) throw templateMissing(name);
    return work(tx, template);
  });
}

/** False when there was nothing to do. */
type Change = (tx: Transaction, template: ApprovalRuleTemplate, repository: Repository) => Promise<boolean>;

/** What works is done, for the rest the errors are told. */
async function changeMany(
  ctx: RequestContext,
  templateName: string,
  repositoryNames: string[],
  change: Change,
  { event, words }: { event: string; words: string },
) {
  if (repositoryNames.length === 0) throw new AwsError('RepositoryNamesRequiredException', 'A list of repository names is required.');
  if (repositoryNames.length > MAX_NAMES) {
    throw new AwsError('MaximumRepositoryNamesExceededException', `The maximum number of repository names is ${MAX_NAMES}.`);
  }
  return changeAssociations(ctx, templateName, async (tx, template) => {
    const done: string[] = [];
    const errors: { repositoryName: string; errorCode: string; errorMessage: string }[] = [];
    const changed: Repository[] = [];
    // In one order for all, so that two of these calls never wait for each other.
    for (const repositoryName of [...new Set(repositoryNames)].sort()) {
      try {
        const repository = await lockRepository(ctx, tx, repositoryName);
        if (await change(tx, template, repository)) changed.push(repository);
        done.push(repositoryName);
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        errors.push({ repositoryName, errorCode: error.code, errorMessage: error.message });
      }
    }
    if (changed.length > 0) {
      const names = changed.map(({ name }) => name).join(', ');
      await announceTemplate(ctx, tx, template, event, `An approval rule template has been ${words}: [${names}].`, changed);
    }
    return { done, errors };
  });
}

async function lockRepository({ account, region }: RequestContext, tx: Transaction, name: string): Promise<Repository> {
  const repository = await tx.sql
    .selectFrom('codecommit.repositories')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
  if (!repository) throw repositoryMissing(name);
  return repository;
}

async function associate(tx: Transaction, template: ApprovalRuleTemplate, repository: Repository): Promise<boolean> {
  const associated = await tx.sql
    .selectFrom('codecommit.approval_rule_associations')
    .select('template_id')
    .where('repository_id', '=', repository.id)
    .execute();
  if (associated.some(({ template_id }) => template_id === template.id)) return false;
  if (associated.length >= MAX_ASSOCIATED) {
    throw new AwsError(
      'MaximumRuleTemplatesAssociatedWithRepositoryException',
      `The repository ${repository.name} has the maximum of ${MAX_ASSOCIATED} associated approval rule templates.`,
    );
  }
  await tx.sql
    .insertInto('codecommit.approval_rule_associations')
    .values({ template_id: template.id, repository_id: repository.id })
    .execute();
  return true;
}

async function disassociate(tx: Transaction, template: ApprovalRuleTemplate, repository: Repository): Promise<boolean> {
  const { numDeletedRows } = await tx.sql
    .deleteFrom('codecommit.approval_rule_associations')
    .where('template_id', '=', template.id)
    .where('repository_id', '=', repository.id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Part of making a pull request: a rule for each template of its repository that is for its destination. */
export async function applyTemplates(ctx: RequestContext, tx: Transaction, repository: Repository, made: PullRequest): Promise<void> {
  const templates = await tx.sql
    .selectFrom('codecommit.approval_rule_associations as association')
    .innerJoin('codecommit.approval_rule_templates as template', 'template.id', 'association.template_id')
    .selectAll('template')
    .where('association.repository_id', '=', repository.id)
    .orderBy('template.name')
    .execute();
  for (const template of templates) {
    if (!isForDestination(readTemplate(template.content), made.destination_ref)) continue;
    const rule = await tx.sql
      .insertInto('codecommit.approval_rules')
      .values({
        ...keyOf(made),
        id: randomUUID(),
        name: template.name,
        content: template.content,
        template_id: template.id,
        template_name: template.name,
        created_at: made.created_at,
        updated_at: made.created_at,
        updated_by: template.updated_by,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    await announceReview(ctx, tx, repository, made, ruleCreated(rule));
  }
}
