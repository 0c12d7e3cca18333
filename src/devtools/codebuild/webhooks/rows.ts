/** Webhooks as they are stored and shown, and their secrets. */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { batchedRead } from '../../../platform/database/batch.ts';
import type { Platform, Reader, Transaction } from '../../../platform/platform.ts';
import type { RemoteRepository } from '../providers/provider.ts';
import { remoteRepository, remoteServer } from '../providers/provider.ts';
import type { Asker } from '../sources/find-credential.ts';
import { payloadUrl } from './payload-url.ts';
import type { Webhook, WebhookRow } from './tables.ts';

const SECRET_BYTES = 32;

export const WEBHOOK_RECONCILER = 'codebuild.webhook';

/** The hook is made, was not made, or is gone. */
export function changeTopic(id: string): string {
  return `codebuild.webhook.${id}`;
}

export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

export function sealSecret({ keyring }: Pick<Platform, 'keyring'>, id: string, secret: string): string {
  return keyring.seal(`codebuild:webhook:${id}`, Buffer.from(secret));
}

/** The secret, and while it is being changed the one before. */
export function secretsOf({ keyring }: Pick<Platform, 'keyring'>, row: WebhookRow): [string, ...string[]] {
  const open = (sealed: string): string => {
    const secret = keyring.open(`codebuild:webhook:${row.id}`, sealed);
    if (!secret) throw new Error(`The secret of webhook ${row.id} was sealed under another master key.`);
    return secret.toString();
  };
  return [open(row.sealed_secret), ...(row.sealed_former ? [open(row.sealed_former)] : [])];
}

/** `secret`: told only to whoever makes the hook by hand, when it is new. */
export function describeWebhook(platform: Pick<Platform, 'config' | 'keyring'>, row: WebhookRow, secret?: string): Webhook {
  return {
    ...row.definition,
    filterGroups: row.definition.filterGroups?.map((group) => group.map((filter) => ({ excludeMatchedPattern: false, ...filter }))),
    url: row.hook_url ?? undefined,
    payloadUrl: payloadUrl(platform, row.id),
    secret,
    lastModifiedSecret: row.secret_changed_at,
    status: row.status,
    statusMessage: row.status_message ?? undefined,
  };
}

/** By the project's id. Whoever asks at the same moment shares the question, and the row: nobody may change it. */
const webhookBatch = batchedRead<string, WebhookRow | undefined>({
  key: (projectId) => projectId,
  async run(read, projectIds) {
    const found = read.selectFrom('codebuild.webhooks').selectAll();
    const rows = await found.where('project_id', '=', sql<string>`any(${projectIds}::uuid[])`).execute();
    const byProject = new Map(rows.map((row) => [row.project_id, row]));
    return projectIds.map((id) => byProject.get(id));
  },
});

export function findWebhookOf(ctx: { read: Reader }, projectId: string): Promise<WebhookRow | undefined> {
  return webhookBatch(ctx, projectId);
}

/** With its project: the hook at the provider goes afterwards. */
export async function forgetWebhook(tx: Transaction, project: { account: string; region: string; name: string }): Promise<void> {
  const rows = await tx.sql
    .updateTable('codebuild.webhooks')
    .set({ status: 'DELETING' })
    .where('account', '=', project.account)
    .where('region', '=', project.region)
    .where('project', '=', project.name)
    .returning('id')
    .execute();
  for (const { id } of rows) await tx.reconcile(WEBHOOK_RECONCILER, id);
}

/** Throws BadLocation. */
export function remoteOf({ config }: Pick<Platform, 'config'>, row: Pick<WebhookRow, 'source' | 'definition'>): RemoteRepository {
  const { scopeConfiguration: scope } = row.definition;
  return scope ? remoteServer(config, row.source, scope.domain) : remoteRepository(config, row.source);
}

export function askerOf(row: WebhookRow): Asker {
  const { account, region, service_role: serviceRole, source: primary } = row;
  return { account, region, serviceRole: serviceRole ?? undefined, primary, sessionName: `AWSCodeBuild-webhook-${row.id}` };
}
