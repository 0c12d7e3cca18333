/** Changes of one key's row: locked, checked, told to all processes. */
import type { Updateable } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { keyMissing } from './errors.ts';
import { findOwnKey, type Key, keyArn, keyChanged } from './keys.ts';
import type { KeyRow, KeysTable } from './tables.ts';

export type LockedKey = KeyRow & Pick<Key, 'arn'>;

/** `change` sees the key as it is now, may throw, and answers what is to be set. */
export async function changeKey(
  ctx: RequestContext,
  keyId: string,
  change: (key: LockedKey, tx: Transaction) => Updateable<KeysTable> | Promise<Updateable<KeysTable>>,
): Promise<LockedKey> {
  const { id } = await findOwnKey(ctx, keyId);
  return ctx.transaction(async (tx) => {
    const key = await lockKey(tx, id);
    if (!key) throw keyMissing(keyArn(ctx, id));
    const values = await change(key, tx);
    if (Object.keys(values).length === 0) return key;
    const changed = await tx.sql.updateTable('kms.keys').set(values).where('id', '=', id).returningAll().executeTakeFirstOrThrow();
    await keyChanged(ctx, tx, id);
    return { ...changed, arn: key.arn };
  });
}

/** The key, which nobody else changes until the transaction ends. */
export async function lockKey(tx: Transaction, id: string): Promise<LockedKey | undefined> {
  const row = await tx.sql.selectFrom('kms.keys').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row && { ...row, arn: keyArn(row, id) };
}
