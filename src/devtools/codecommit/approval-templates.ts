/** Approval rule templates: rules that pull requests get by themselves. A change of a template changes no rule that was made from it. */
import { randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { checkSha256, contentSha256, isRuleName, NAME_RULE, readTemplate } from './approval-content.ts';
import { callerTags, javaDate } from './event-details.ts';
import { openToken, pageOf, pageSize } from './pages.ts';
import { repositoryArn } from './repository.ts';
import type { ApprovalRuleTemplatesTable } from './tables.ts';

/** In an account and region. */
const MAX_TEMPLATES = 1000;
const UNIQUE_VIOLATION = '23505';
export const TEMPLATES_PAGE = 1000;

export type ApprovalRuleTemplate = Selectable<ApprovalRuleTemplatesTable>;

export const createApprovalRuleTemplate = operation('codecommit', 'CreateApprovalRuleTemplate', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { approvalRuleTemplateName: name, approvalRuleTemplateContent: content, approvalRuleTemplateDescription: description } = input;
    checkTemplateName(name);
    checkDescription(description);
    readTemplate(content);
    const { account, region } = ctx;
    const template = await ctx.transaction(async (tx) => {
      // Those who make templates count them one after another.
      await sql`select pg_advisory_xact_lock(hashtextextended(${`codecommit.approval_rule_templates:${account}:${region}`}, 0))`.execute(
        tx.sql,
      );
      const { count } = await tx.sql
        .selectFrom('codecommit.approval_rule_templates')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('account', '=', account)
        .where('region', '=', region)
        .executeTakeFirstOrThrow();
      if (Number(count) >= MAX_TEMPLATES) {
        throw ctx.error(
          'NumberOfRuleTemplatesExceededException',
          `There are ${MAX_TEMPLATES} approval rule templates in this Region already.`,
        );
      }
      const now = ctx.now();
      const changed = { created_at: now, updated_at: now, updated_by: ctx.principal.arn };
      const made = await tx.sql
        .insertInto('codecommit.approval_rule_templates')
        .values({ id: randomUUID(), account, region, name, description: description || null, content, ...changed })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch(explainTaken(name));
      const words = `An approval rule template with the following name has been created: ${name}. The ID of the created template is: ${made.id}.`;
      await announceTemplate(ctx, tx, made, 'approvalRuleTemplateCreated', words, []);
      return made;
    });
    return { approvalRuleTemplate: describeTemplate(template) };
  },
});

export const getApprovalRuleTemplate = operation('codecommit', 'GetApprovalRuleTemplate', {
  authorize: () => '*',
  async handle(ctx, { approvalRuleTemplateName: name }) {
    checkTemplateName(name);
    return { approvalRuleTemplate: describeTemplate(await findTemplate(ctx, name)) };
  },
});

export const listApprovalRuleTemplates = operation('codecommit', 'ListApprovalRuleTemplates', {
  authorize: () => '*',
  async handle(ctx, { nextToken, maxResults }) {
    const limit = pageSize(maxResults, TEMPLATES_PAGE);
    const scope = `codecommit:ListApprovalRuleTemplates:${ctx.account}:${ctx.region}`;
    const after = openToken<string>(ctx, scope, nextToken);
    const rows = await ctx.read
      .selectFrom('codecommit.approval_rule_templates')
      .select('name')
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .$if(after !== undefined, (query) => query.where('name', '>', after!))
      .orderBy('name')
      .limit(limit + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, limit, ({ name }) => name);
    return { approvalRuleTemplateNames: page.map(({ name }) => name), nextToken: next };
  },
});

export const updateApprovalRuleTemplateContent = operation('codecommit', 'UpdateApprovalRuleTemplateContent', {
  authorize: () => '*',
  async handle(ctx, { approvalRuleTemplateName, newRuleContent, existingRuleContentSha256 }) {
    checkTemplateName(approvalRuleTemplateName);
    readTemplate(newRuleContent);
    const template = await change(ctx, approvalRuleTemplateName, { content: newRuleContent }, ({ content }) =>
      checkSha256(content, existingRuleContentSha256),
    );
    return { approvalRuleTemplate: describeTemplate(template) };
  },
});

export const updateApprovalRuleTemplateName = operation('codecommit', 'UpdateApprovalRuleTemplateName', {
  authorize: () => '*',
  async handle(ctx, { oldApprovalRuleTemplateName: oldName, newApprovalRuleTemplateName: name }) {
    checkTemplateName(oldName);
    checkTemplateName(name);
    return { approvalRuleTemplate: describeTemplate(await change(ctx, oldName, { name })) };
  },
});

export const updateApprovalRuleTemplateDescription = operation('codecommit', 'UpdateApprovalRuleTemplateDescription', {
  authorize: () => '*',
  async handle(ctx, { approvalRuleTemplateName: name, approvalRuleTemplateDescription: description }) {
    checkTemplateName(name);
    checkDescription(description);
    return { approvalRuleTemplate: describeTemplate(await change(ctx, name, { description: description || null })) };
  },
});

export const deleteApprovalRuleTemplate = operation('codecommit', 'DeleteApprovalRuleTemplate', {
  authorize: () => '*',
  async handle(ctx, { approvalRuleTemplateName: name }) {
    checkTemplateName(name);
    const deleted = await ctx.transaction(async (tx) => {
      const template = await lockTemplate(ctx, tx, name);
      if (!template) return undefined;
      const repositories = await repositoriesOf(tx, template);
      if (repositories.length > 0) {
        throw ctx.error(
          'ApprovalRuleTemplateInUseException',
          `The approval rule template is associated with ${repositories.length} repositories. Remove all associations, and then try again.`,
        );
      }
      await tx.sql.deleteFrom('codecommit.approval_rule_templates').where('id', '=', template.id).execute();
      const words = `An approval rule template with the following name has been deleted: ${name}. The ID of the deleted template is: ${template.id}.`;
      await announceTemplate(ctx, tx, template, 'approvalRuleTemplateDeleted', words, []);
      return template.id;
    });
    // "If the template has been previously deleted, the only response is a 200 OK."
    return { approvalRuleTemplateId: deleted as string };
  },
});

async function change(
  ctx: RequestContext,
  name: string,
  values: Partial<Pick<ApprovalRuleTemplate, 'name' | 'description' | 'content'>>,
  check?: (before: ApprovalRuleTemplate) => void,
): Promise<ApprovalRuleTemplate> {
  return ctx.transaction(async (tx) => {
    const before = await lockTemplate(ctx, tx, name);
    if (!before) throw templateMissing(name);
    check?.(before);
    const after = await tx.sql
      .updateTable('codecommit.approval_rule_templates')
      .set({ ...values, updated_at: ctx.now(), updated_by: ctx.principal.arn })
      .where('id', '=', before.id)
      .returningAll()
      .executeTakeFirstOrThrow()
      .catch(explainTaken(values.name ?? name));
    const words =
      `An approval rule template with the following name has been updated: ${after.name}. The ID of the updated template is: ${after.id}. ` +
      `The after rule template content SHA256 is ${contentSha256(after.content)}.`;
    await announceTemplate(ctx, tx, after, 'approvalRuleTemplateUpdated', words, await repositoriesOf(tx, after));
    return after;
  });
}

/** The repositories that the template is associated with. */
async function repositoriesOf(tx: Transaction, { id }: ApprovalRuleTemplate): Promise<NamedRepository[]> {
  return tx.sql
    .selectFrom('codecommit.approval_rule_associations as association')
    .innerJoin('codecommit.repositories as repository', 'repository.id', 'association.repository_id')
    .select(['repository.id', 'repository.name'])
    .where('association.template_id', '=', id)
    .orderBy('repository.name')
    .execute();
}

interface NamedRepository {
  id: string;
  name: string;
}

/** The event "CodeCommit Approval Rule Template Change", as in the user guide's "Monitoring CodeCommit events". */
export async function announceTemplate(
  ctx: RequestContext,
  tx: Transaction,
  template: ApprovalRuleTemplate,
  event: string,
  words: string,
  repositories: NamedRepository[],
): Promise<void> {
  const caller = ctx.principal.arn;
  const where = `A approval rule template event occurred in the following AWS CodeCommit account: ${ctx.account}. User: ${caller}.`;
  await tx.emit({
    account: ctx.account,
    region: ctx.region,
    source: 'aws.codecommit',
    detailType: 'CodeCommit Approval Rule Template Change',
    resources: repositories.map(({ name }) => repositoryArn(ctx, name)),
    time: ctx.now(),
    detail: {
      ...callerTags(ctx.principal),
      approvalRuleTemplateContentSha256: contentSha256(template.content),
      approvalRuleTemplateId: template.id,
      approvalRuleTemplateName: template.name,
      callerUserArn: caller,
      creationDate: javaDate(template.created_at),
      event,
      lastModifiedDate: javaDate(template.updated_at),
      notificationBody: `${where} Additional information: ${words}`,
      repositories: Object.fromEntries(repositories.map(({ id, name }) => [name, id])),
    },
  });
}

export async function findTemplate(ctx: RequestContext, name: string): Promise<ApprovalRuleTemplate> {
  const template = await ctx.read
    .selectFrom('codecommit.approval_rule_templates')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', '=', name)
    .executeTakeFirst();
  if (!template) throw templateMissing(name);
  return template;
}

/** The row, which nobody else changes, deletes or associates until the transaction ends. */
export async function lockTemplate(ctx: RequestContext, tx: Transaction, name: string): Promise<ApprovalRuleTemplate | undefined> {
  return tx.sql
    .selectFrom('codecommit.approval_rule_templates')
    .selectAll()
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
}

export function templateMissing(name: string): AwsError {
  return new AwsError('ApprovalRuleTemplateDoesNotExistException', `The approval rule template ${name} does not exist in this Region.`);
}

export function checkTemplateName(name: string): void {
  if (isRuleName(name)) return;
  const shown = JSON.stringify(name);
  throw new AwsError(
    'InvalidApprovalRuleTemplateNameException',
    `The name of the approval rule template is not valid: ${shown}. ${NAME_RULE}`,
  );
}

function checkDescription(description: string | undefined): void {
  if (!description?.includes('\0')) return;
  throw new AwsError('InvalidApprovalRuleTemplateDescriptionException', 'The description of the template contains the character NUL.');
}

function describeTemplate(template: ApprovalRuleTemplate): ShapeOf<'codecommit', 'ApprovalRuleTemplate'> {
  return {
    approvalRuleTemplateId: template.id,
    approvalRuleTemplateName: template.name,
    approvalRuleTemplateDescription: template.description ?? undefined,
    approvalRuleTemplateContent: template.content,
    ruleContentSha256: contentSha256(template.content),
    lastModifiedDate: template.updated_at,
    creationDate: template.created_at,
    lastModifiedUser: template.updated_by,
  };
}

function explainTaken(name: string): (error: { code?: string }) => never {
  return (error) => {
    if (error.code === UNIQUE_VIOLATION) {
      throw new AwsError(
        'ApprovalRuleTemplateNameAlreadyExistsException',
        `An approval rule template with the name ${name} exists already.`,
      );
    }
    throw error;
  };
}
