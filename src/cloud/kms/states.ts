/** Keys are enabled or disabled, or wait for their deletion, which then really happens. */
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { onOwnKey } from './access.ts';
import { changeKey, type LockedKey } from './change-key.ts';
import { kmsError, refusePendingDeletion } from './errors.ts';
import { aliasChanged, keyChanged } from './keys.ts';
import { nextRotation } from './rotation-time.ts';

/** The reconciler that deletes and rotates when it is time. */
export const KEY_WORK = 'kms.key';

const DAY_MS = 86_400_000;
const USUAL_WINDOW_DAYS = 30;
const MIN_WINDOW_DAYS = 7;

export const enableKey = operation('kms', 'EnableKey', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    await changeKey(ctx, input.KeyId, async (key, tx) => {
      refusePendingDeletion(key);
      // A rotation that became due meanwhile is made up for.
      if (key.next_rotation_at && key.next_rotation_at <= ctx.now()) await tx.reconcile(KEY_WORK, key.id);
      return { state: 'Enabled' as const };
    });
    return {};
  },
});

export const disableKey = operation('kms', 'DisableKey', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    await changeKey(ctx, input.KeyId, (key) => {
      refusePendingDeletion(key);
      return { state: 'Disabled' };
    });
    return {};
  },
});

export const scheduleKeyDeletion = operation('kms', 'ScheduleKeyDeletion', {
  authorize: onOwnKey((input) => ({
    'kms:ScheduleKeyDeletionPendingWindowInDays': String(input.PendingWindowInDays ?? USUAL_WINDOW_DAYS),
  })),
  async handle(ctx, input) {
    const days = input.PendingWindowInDays ?? USUAL_WINDOW_DAYS;
    if (days < MIN_WINDOW_DAYS || days > USUAL_WINDOW_DAYS) {
      throw kmsError('ValidationException', `PendingWindowInDays must be between ${MIN_WINDOW_DAYS} and ${USUAL_WINDOW_DAYS} (inclusive).`);
    }
    const key = await changeKey(ctx, input.KeyId, async (before, tx) => {
      refusePendingDeletion(before);
      const at = new Date(ctx.now().getTime() + days * DAY_MS);
      await tx.reconcile(KEY_WORK, before.id, at);
      return { state: 'PendingDeletion' as const, deletion_at: at, deletion_days: days, next_rotation_at: null };
    });
    return { KeyId: key.arn, DeletionDate: key.deletion_at!, KeyState: 'PendingDeletion' as const, PendingWindowInDays: days };
  },
});

export const cancelKeyDeletion = operation('kms', 'CancelKeyDeletion', {
  authorize: onOwnKey(),
  async handle(ctx, input) {
    const key = await changeKey(ctx, input.KeyId, async (before, tx) => {
      if (before.state !== 'PendingDeletion') throw kmsError('KMSInvalidStateException', `${before.arn} is not pending deletion.`);
      const next = before.rotation_days === null ? null : nextRotation(ctx.now(), before.rotation_days);
      if (next) await tx.reconcile(KEY_WORK, before.id, next);
      return { state: 'Disabled' as const, deletion_at: null, deletion_days: null, next_rotation_at: next };
    });
    return { KeyId: key.arn };
  },
});

/** The end of a key: its material, aliases and grants go with it, and nothing that it encrypted can ever be read again. */
export async function deleteKey(platform: Pick<RequestContext, 'signals'>, tx: Transaction, key: LockedKey): Promise<void> {
  await tx.sql.deleteFrom('kms.keys').where('id', '=', key.id).execute();
  await keyChanged(platform, tx, key.id);
  await aliasChanged(platform, tx, key);
  await tx.emit({
    account: key.account,
    region: key.region,
    source: 'aws.kms',
    detailType: 'KMS CMK Deletion',
    resources: [key.arn],
    detail: { 'key-id': key.id },
  });
}
