/** DeleteSecret marks a secret and deletes it when its recovery window is over; until then RestoreSecret brings it back. */
import type { JobHandler } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { newSuffix } from './create-secret.ts';
import { invalidParameter, markedForDeletion, secretNotFound } from './errors.ts';
import { lockSecret, onSecret, secretArn, secretCheck } from './secret.ts';

const DAY_MS = 86_400_000;
const DEFAULT_WINDOW = 30;
const PURGE = 'secretsmanager.purge';

export const deleteSecret = operation('secretsmanager', 'DeleteSecret', {
  authorize: ({ SecretId, RecoveryWindowInDays, ForceDeleteWithoutRecovery = false }, ctx) =>
    secretCheck(ctx, SecretId, {
      conditions: {
        'secretsmanager:ForceDeleteWithoutRecovery': String(ForceDeleteWithoutRecovery),
        ...(RecoveryWindowInDays !== undefined && { 'secretsmanager:RecoveryWindowInDays': String(RecoveryWindowInDays) }),
      },
    }),
  async handle(ctx, { SecretId, RecoveryWindowInDays, ForceDeleteWithoutRecovery = false }) {
    if (ForceDeleteWithoutRecovery && RecoveryWindowInDays !== undefined) {
      throw invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.");
    }
    const days = RecoveryWindowInDays ?? DEFAULT_WINDOW;
    if (days < 7 || days > 30) throw invalidParameter('The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).');
    return ctx.transaction(async (tx) => {
      const secret = await lockSecret(tx, ctx, SecretId);
      const now = ctx.now();
      if (!secret) {
        if (!ForceDeleteWithoutRecovery || SecretId.startsWith('arn:')) throw secretNotFound();
        // As on AWS: what is not there is as good as deleted.
        return {
          ARN: secretArn({ account: ctx.account, region: ctx.region, name: SecretId, suffix: newSuffix() }),
          Name: SecretId,
          DeletionDate: now,
        };
      }
      const answer = { ARN: secretArn(secret), Name: secret.name };
      if (ForceDeleteWithoutRecovery) {
        await tx.sql.deleteFrom('secretsmanager.secrets').where('id', '=', secret.id).execute();
        return { ...answer, DeletionDate: now };
      }
      if (secret.deleted_at) throw markedForDeletion();
      const purge_at = new Date(now.getTime() + days * DAY_MS);
      await tx.sql.updateTable('secretsmanager.secrets').set({ deleted_at: now, purge_at }).where('id', '=', secret.id).execute();
      await tx.enqueue(PURGE, { id: secret.id }, { key: `${PURGE}:${secret.id}`, runAt: purge_at });
      return { ...answer, DeletionDate: purge_at };
    });
  },
});

export const restoreSecret = operation('secretsmanager', 'RestoreSecret', {
  authorize: onSecret,
  async handle(ctx, { SecretId }) {
    return ctx.transaction(async (tx) => {
      const secret = await lockSecret(tx, ctx, SecretId);
      if (!secret) throw secretNotFound();
      await tx.sql.updateTable('secretsmanager.secrets').set({ deleted_at: null, purge_at: null }).where('id', '=', secret.id).execute();
      return { ARN: secretArn(secret), Name: secret.name };
    });
  },
});

/** Job: deletes what is still marked when its window is over. */
const purge: JobHandler = async (platform, { id }: { id: string }) => {
  await platform.transaction(async (tx) => {
    await tx.sql.deleteFrom('secretsmanager.secrets').where('id', '=', id).where('purge_at', '<=', platform.now()).execute();
  });
};

export const jobs = { [PURGE]: purge };
