/** Makes hooks at the providers, and removes them. Whatever ends the process in between, the row says what is still to be done. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import { ProviderError } from '../providers/api.ts';
import { createHook, findHook, type Hook, removeHook, type WantedHook } from '../providers/hooks.ts';
import { BadLocation } from '../providers/provider.ts';
import { CredentialError, findCredential } from '../sources/find-credential.ts';
import { payloadUrl } from './payload-url.ts';
import { askerOf, changeTopic, remoteOf, secretsOf } from './rows.ts';
import { scopeOf } from './rules.ts';
import type { WebhookRow } from './tables.ts';

export const webhookReconciler: Reconciler = {
  async run(platform, id) {
    const row = await platform.read.selectFrom('codebuild.webhooks').selectAll().where('id', '=', id).executeTakeFirst();
    if (row?.status === 'CREATING') await register(platform, row);
    if (row?.status === 'DELETING') await remove(platform, row);
  },

  async pending({ read }) {
    const rows = await read.selectFrom('codebuild.webhooks').select('id').where('status', 'in', ['CREATING', 'DELETING']).execute();
    return rows.map(({ id }) => id);
  },
};

async function register(platform: Platform, row: WebhookRow): Promise<void> {
  const { attempts } = await platform.transaction((tx) =>
    tx.sql
      .updateTable('codebuild.webhooks')
      .set((eb) => ({ attempts: eb('attempts', '+', 1) }))
      .where('id', '=', row.id)
      .returning('attempts')
      .executeTakeFirstOrThrow(),
  );
  let hook: Hook;
  try {
    const wanted = await wantedHook(platform, row);
    // Who died before may have made it already.
    hook = (attempts > 1 ? await findHook(wanted) : undefined) ?? (await createHook(wanted));
  } catch (error) {
    return settle(platform, row, { status: 'CREATE_FAILED', status_message: reason(error) });
  }
  await settle(platform, row, { status: 'ACTIVE', status_message: null, hook_id: hook.id, hook_url: hook.url });
}

/** What cannot be removed is left at the provider when its project is gone; its deliveries find nobody. */
async function remove(platform: Platform, row: WebhookRow): Promise<void> {
  try {
    if (row.hook_id !== null) await removeHook(await wantedHook(platform, row), row.hook_id);
  } catch (error) {
    const message = reason(error);
    const project = await platform.read.selectFrom('codebuild.projects').select('id').where('id', '=', row.project_id).executeTakeFirst();
    if (project) return settle(platform, row, { status: 'ACTIVE', status_message: message });
    if (error instanceof ProviderError && error.transient) throw error;
    platform.log.warn({ webhook: row.id, reason: message }, 'the webhook of a deleted project could not be removed at its provider');
  }
  await platform.transaction(async (tx) => {
    await tx.sql.deleteFrom('codebuild.webhooks').where('id', '=', row.id).execute();
    await tx.signal(changeTopic(row.id));
  });
}

/** Throws BadLocation, CredentialError. */
export async function wantedHook(platform: Platform, row: WebhookRow): Promise<WantedHook> {
  const remote = remoteOf(platform, row);
  const credential = await findCredential(platform, askerOf(row), row.source, remote);
  if (!credential) throw new CredentialError(`Could not find access token for server type ${remote.serverType.toLowerCase()}`);
  const [secret] = secretsOf(platform, row);
  return { remote, credential, scope: scopeOf(row.definition), payloadUrl: payloadUrl(platform, row.id), secret };
}

/** What users are told; throws on what is no fault of theirs or of the provider's. */
export function reason(error: unknown): string {
  if (error instanceof ProviderError || error instanceof BadLocation || error instanceof CredentialError) return error.message;
  throw error;
}

function settle(
  platform: Platform,
  { id, status }: WebhookRow,
  changes: Partial<Pick<WebhookRow, 'status' | 'status_message' | 'hook_id' | 'hook_url'>>,
): Promise<void> {
  return platform.transaction(async (tx: Transaction) => {
    // Deleted meanwhile, it must not come back.
    await tx.sql.updateTable('codebuild.webhooks').set(changes).where('id', '=', id).where('status', '=', status).execute();
    await tx.signal(changeTopic(id));
  });
}
