/** SSH public keys of users, by which git over SSH knows them: five at most. */
import { newAccessKeyId } from '../../platform/access-key.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { changeEntity, onUser, requireEntity, userNameOf } from './entities.ts';
import { deleteConflict, quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';
import { fingerprintOf, parseSshPublicKey, toOpenSsh, toPem } from './ssh-public-key.ts';

const MAX_KEYS = 5;

const uploadSshPublicKey = operation('iam', 'UploadSSHPublicKey', {
  authorize: onUser,
  async handle(ctx, { UserName, SSHPublicKeyBody }) {
    const key = parseSshPublicKey(SSHPublicKeyBody);
    const id = newAccessKeyId('APKA', ctx.account);
    const created_at = ctx.now();
    const userName = await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      const existing = await tx.sql.selectFrom('iam.ssh_keys').select('public_key').where('user_id', '=', user.id).execute();
      if (existing.some((row) => row.public_key.equals(key.blob))) {
        throw new AwsError('DuplicateSSHPublicKey', 'The SSH public key is already associated with this user.');
      }
      if (existing.length >= MAX_KEYS) throw quotaExceeded('SSHPublicKeysPerUser', MAX_KEYS);
      const row = { id, user_id: user.id, type: key.type, public_key: key.blob, comment: key.comment, active: true, created_at };
      await tx.sql.insertInto('iam.ssh_keys').values(row).execute();
      return user.name;
    });
    return {
      SSHPublicKey: {
        UserName: userName,
        SSHPublicKeyId: id,
        Fingerprint: fingerprintOf(key.blob),
        SSHPublicKeyBody,
        Status: statusOf(true),
        UploadDate: created_at,
      },
    };
  },
});

const getSshPublicKey = operation('iam', 'GetSSHPublicKey', {
  authorize: onUser,
  async handle(ctx, { UserName, SSHPublicKeyId, Encoding }) {
    const user = await requireEntity(ctx, 'user', UserName);
    const row = await ctx.read
      .selectFrom('iam.ssh_keys')
      .selectAll()
      .where('id', '=', SSHPublicKeyId)
      .where('user_id', '=', user.id)
      .executeTakeFirst();
    if (!row) throw noSuchKey(SSHPublicKeyId);
    const { public_key: blob, type, comment } = row;
    return {
      SSHPublicKey: {
        UserName: user.name,
        SSHPublicKeyId: row.id,
        Fingerprint: fingerprintOf(blob),
        SSHPublicKeyBody: Encoding === 'PEM' ? toPem(blob) : toOpenSsh({ type, blob, comment }),
        Status: statusOf(row.active),
        UploadDate: row.created_at,
      },
    };
  },
});

const listSshPublicKeys = operation('iam', 'ListSSHPublicKeys', {
  authorize: onUser,
  async handle(ctx, input) {
    const user = await requireEntity(ctx, 'user', userNameOf(ctx, input.UserName));
    const rows = await ctx.read.selectFrom('iam.ssh_keys').select(['id', 'active', 'created_at']).where('user_id', '=', user.id).execute();
    const { items, ...page } = pageOfAll(ctx, `ssh-keys:${user.id}`, input, rows, (row) => row.id);
    const keys = items.map((row) => ({
      UserName: user.name,
      SSHPublicKeyId: row.id,
      Status: statusOf(row.active),
      UploadDate: row.created_at,
    }));
    return { SSHPublicKeys: keys, ...page };
  },
});

const updateSshPublicKey = operation('iam', 'UpdateSSHPublicKey', {
  authorize: onUser,
  async handle(ctx, { UserName, SSHPublicKeyId, Status }) {
    if (Status === 'Expired') throw new AwsError('InvalidInput', 'The status of an SSH public key can be set to Active or Inactive.');
    await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      await requireKey(tx, user.id, SSHPublicKeyId);
      const active = Status === 'Active';
      await tx.sql.updateTable('iam.ssh_keys').set({ active }).where('id', '=', SSHPublicKeyId).execute();
    });
    return {};
  },
});

const deleteSshPublicKey = operation('iam', 'DeleteSSHPublicKey', {
  authorize: onUser,
  async handle(ctx, { UserName, SSHPublicKeyId }) {
    await changeEntity(ctx, 'user', UserName, async (tx, user) => {
      await requireKey(tx, user.id, SSHPublicKeyId);
      await tx.sql.deleteFrom('iam.ssh_keys').where('id', '=', SSHPublicKeyId).execute();
    });
    return {};
  },
});

/** Part of the deletion of a user. */
export async function requireNoSshKeys(tx: Transaction, user: { id: string }): Promise<void> {
  const key = await tx.sql.selectFrom('iam.ssh_keys').select('id').where('user_id', '=', user.id).executeTakeFirst();
  if (key) throw deleteConflict('delete SSH public keys');
}

async function requireKey(tx: Transaction, userId: string, id: string): Promise<void> {
  const row = await tx.sql.selectFrom('iam.ssh_keys').select('id').where('id', '=', id).where('user_id', '=', userId).executeTakeFirst();
  if (!row) throw noSuchKey(id);
}

function noSuchKey(id: string): AwsError {
  return new AwsError('NoSuchEntity', `The Public Key with id ${id} cannot be found.`);
}

function statusOf(active: boolean): 'Active' | 'Inactive' {
  return active ? 'Active' : 'Inactive';
}

export const sshKeys = { uploadSshPublicKey, getSshPublicKey, listSshPublicKeys, updateSshPublicKey, deleteSshPublicKey };
