/** Webhooks of projects: made at the provider or by hand, changed, deleted. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../../platform/errors.ts';
import type { Transaction } from '../../../platform/platform.ts';
import type { RequestContext } from '../../../platform/service.ts';
import { operation } from '../../../platform/service.ts';
import { projectArn, projectNameOf } from '../names.ts';
import { findProject, onProject } from '../projects.ts';
import { updateHook } from '../providers/hooks.ts';
import { invalid } from '../rules.ts';
import { lockProject } from '../start-build.ts';
import type { ProjectRow } from '../tables.ts';
import { withPolicy } from './approval.ts';
import { reason, wantedHook } from './reconcile.ts';
import { changeTopic, describeWebhook, findWebhookOf, newSecret, sealSecret, secretsOf, WEBHOOK_RECONCILER } from './rows.ts';
import { checkWebhook, isManual } from './rules.ts';
import type { WebhookDefinition, WebhookRow } from './tables.ts';

/** How long the provider is waited for; then the answer says CREATING, or that it is still there. */
const WAIT_MS = 20_000;
const UNIQUE_VIOLATION = '23505';
const PARTIAL = 'Runners and GITHUB_GLOBAL are refused';

export const createWebhook = operation('codebuild', 'CreateWebhook', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  partial: PARTIAL,
  async handle(ctx, { projectName, ...given }) {
    const id = randomUUID();
    const secret = newSecret();
    const settled = waitForChange(ctx, id);
    const { row, manual } = await ctx.transaction(async (tx) => {
      const project = await lockProject(tx, ctx, projectNameOf(ctx, projectName));
      const { source, serviceRole } = project.definition;
      const type = checkWebhook(source, given);
      const definition = withPolicy(type, given);
      const manual = isManual(type, definition);
      const row = await tx.sql
        .insertInto('codebuild.webhooks')
        .values({
          id,
          account: ctx.account,
          region: ctx.region,
          project: project.name,
          project_id: project.id,
          definition: JSON.stringify(definition),
          source: JSON.stringify(source),
          service_role: serviceRole ?? null,
          sealed_secret: sealSecret(ctx, id, secret),
          secret_changed_at: ctx.now(),
          status: manual ? 'ACTIVE' : 'CREATING',
        })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch((error) => {
          if (error.code !== UNIQUE_VIOLATION) throw error;
          throw ctx.error('ResourceAlreadyExistsException', `Webhook already exists for project ${projectArn(ctx, project.name)}`);
        });
      if (!manual) await tx.reconcile(WEBHOOK_RECONCILER, id);
      return { row, manual };
    });
    if (manual) return { webhook: describeWebhook(ctx, row, secret) };
    const made = await settled((now) => now?.status !== 'CREATING');
    if (made?.status === 'CREATE_FAILED') {
      await ctx.transaction((tx) => tx.sql.deleteFrom('codebuild.webhooks').where('id', '=', id).execute());
      throw ctx.error('OAuthProviderException', `Could not create the webhook: ${made.status_message}`);
    }
    return { webhook: describeWebhook(ctx, made ?? row) };
  },
});

export const updateWebhook = operation('codebuild', 'UpdateWebhook', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  partial: PARTIAL,
  async handle(ctx, { projectName, rotateSecret, ...changes }) {
    const project = await requireProject(ctx, projectName);
    const rotated = rotateSecret ? newSecret() : undefined;
    const row = await ctx.transaction(async (tx) => {
      const webhook = await lockWebhook(tx, ctx, project);
      const changed = withChanges(webhook.definition, changes);
      const definition = withPolicy(checkWebhook(project.definition.source, changed), changed);
      return tx.sql
        .updateTable('codebuild.webhooks')
        .set({
          definition: JSON.stringify(definition),
          ...(rotated
            ? {
                sealed_secret: sealSecret(ctx, webhook.id, rotated),
                sealed_former: webhook.hook_id === null ? null : webhook.sealed_secret,
                secret_changed_at: ctx.now(),
              }
            : {}),
        })
        .where('id', '=', webhook.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    });
    if (rotated && row.hook_id !== null) await tellSecret(ctx, row, row.hook_id);
    return { webhook: describeWebhook(ctx, row, row.hook_id === null ? rotated : undefined) };
  },
});

export const deleteWebhook = operation('codebuild', 'DeleteWebhook', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  async handle(ctx, { projectName }) {
    const project = await requireProject(ctx, projectName);
    const { id } = await requireWebhook(ctx, project);
    const settled = waitForChange(ctx, id);
    await ctx.transaction(async (tx) => {
      await tx.sql.updateTable('codebuild.webhooks').set({ status: 'DELETING' }).where('id', '=', id).execute();
      await tx.reconcile(WEBHOOK_RECONCILER, id);
    });
    const left = await settled((now) => now?.status !== 'DELETING');
    if (left?.status === 'ACTIVE') throw ctx.error('OAuthProviderException', `Could not delete the webhook: ${left.status_message}`);
    return {};
  },
});

/** Both secrets are taken until the provider knows the new one. */
async function tellSecret(ctx: RequestContext, row: WebhookRow, hook: string): Promise<void> {
  const change = (set: Partial<WebhookRow>) =>
    ctx.transaction((tx) =>
      tx.sql
        .updateTable('codebuild.webhooks')
        .set(set as Pick<WebhookRow, 'sealed_secret' | 'sealed_former'>)
        .where('id', '=', row.id)
        .where('sealed_secret', '=', row.sealed_secret)
        .execute(),
    );
  try {
    await updateHook(await wantedHook(ctx, row), hook);
  } catch (error) {
    const message = reason(error);
    const [, former] = secretsOf(ctx, row);
    await change({ sealed_secret: sealSecret(ctx, row.id, former ?? ''), sealed_former: null });
    throw new AwsError('OAuthProviderException', `Could not update the webhook: ${message}`);
  }
  await change({ sealed_former: null });
}

/** One kind of filters takes the place of the other; empty ones take them away. */
function withChanges(before: WebhookDefinition, changes: Partial<WebhookDefinition>): WebhookDefinition {
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  const after: WebhookDefinition = { ...before, ...given };
  if (changes.filterGroups !== undefined && changes.branchFilter === undefined) after.branchFilter = undefined;
  if (changes.branchFilter !== undefined && changes.filterGroups === undefined) after.filterGroups = undefined;
  return after;
}

/** Subscribed from now on; then waits until the row is as wanted, or the provider takes too long. */
function waitForChange(
  ctx: RequestContext,
  id: string,
): (wanted: (row: WebhookRow | undefined) => boolean) => Promise<WebhookRow | undefined> {
  const deadline = performance.now() + WAIT_MS;
  let next = ctx.signals.wait(changeTopic(id), WAIT_MS);
  return async (wanted) => {
    for (;;) {
      await next;
      const left = deadline - performance.now();
      next = ctx.signals.wait(changeTopic(id), Math.max(0, left));
      const row = await ctx.read.selectFrom('codebuild.webhooks').selectAll().where('id', '=', id).executeTakeFirst();
      if (wanted(row) || left <= 0) return row;
    }
  };
}

async function requireProject(ctx: RequestContext, given: string): Promise<ProjectRow> {
  const name = projectNameOf(ctx, given);
  const project = await findProject(ctx, ctx, name);
  if (!project) throw new AwsError('ResourceNotFoundException', `Project cannot be found: ${projectArn(ctx, name)}`);
  return project;
}

async function requireWebhook(ctx: RequestContext, project: ProjectRow): Promise<WebhookRow> {
  const row = await findWebhookOf(ctx, project.id);
  if (row) return row;
  throw new AwsError('ResourceNotFoundException', `Webhook cannot be found for project ${projectArn(ctx, project.name)}`);
}

async function lockWebhook(tx: Transaction, ctx: RequestContext, project: ProjectRow): Promise<WebhookRow> {
  const { id } = await requireWebhook(ctx, project);
  const row = await tx.sql.selectFrom('codebuild.webhooks').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (row?.status === 'ACTIVE') return row;
  throw invalid(`Invalid webhook: it is ${row?.status ?? 'DELETING'}`);
}
