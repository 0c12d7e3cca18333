/** Accounts of an installation. */
import { newAccessKeyId, newUniqueId } from '../../platform/access-key.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { newSecret, sealSecret } from './secrets.ts';

export const ADMINISTRATOR = 'administrator';

/**
 * A new account with its root identity (`arn:aws:iam::ACCOUNT:root`, which has no credentials), and a user who may do everything. The secret
 * of the access key is told only here.
 */
export async function createAccount(
  tx: Transaction,
  { keyring, now }: Pick<Platform, 'keyring' | 'now'>,
  account: string,
): Promise<{ accessKeyId: string; secretAccessKey: string }> {
  const created_at = now();
  await tx.sql.insertInto('iam.accounts').values({ account, created_at }).execute();
  const id = newUniqueId('AIDA');
  await tx.sql
    .insertInto('iam.entities')
    .values({
      id,
      account,
      kind: 'user',
      key: ADMINISTRATOR,
      name: ADMINISTRATOR,
      path: '/',
      arn: `arn:aws:iam::${account}:user/${ADMINISTRATOR}`,
      created_at,
    })
    .execute();
  await tx.sql
    .insertInto('iam.attachments')
    .values({ entity_id: id, policy_arn: 'arn:aws:iam::aws:policy/AdministratorAccess', account })
    .execute();
  const accessKeyId = newAccessKeyId('AKIA', account);
  const secretAccessKey = newSecret();
  await tx.sql
    .insertInto('iam.access_keys')
    .values({ id: accessKeyId, user_id: id, secret: sealSecret(keyring, accessKeyId, secretAccessKey), active: true, created_at })
    .execute();
  return { accessKeyId, secretAccessKey };
}
