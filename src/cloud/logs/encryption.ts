/**
 * Log groups under KMS keys. As on AWS the service itself uses the key, whoever logs and reads: its policy must let
 * `logs.REGION.amazonaws.com` in, best for the encryption context `aws:logs:arn` of the group only.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { type KeyUse, newDataKey, openDataKey } from '../../platform/data-keys.ts';
import { AwsError } from '../../platform/errors.ts';
import { servicePrincipal } from '../../platform/principal.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { findGroup, groupArn, groupName, onGroup } from './group.ts';
import type { DataKeyRow, GroupRow } from './tables.ts';

type Place = Pick<GroupRow, 'account' | 'region' | 'name'>;

const SERVICE = 'logs';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

function useOf(group: Place): KeyUse {
  return { service: SERVICE, region: group.region, context: { 'aws:logs:arn': groupArn(group, group.name) } };
}

function asItself(ctx: Pick<RequestContext, 'aws' | 'signals'>, group: Place) {
  return { aws: ctx.aws, signals: ctx.signals, principal: servicePrincipal(SERVICE, group.account) };
}

/** A data key under a KMS key that is to protect a group from now on; InvalidParameterException when Logs may not use that key. */
export async function newGroupKey(ctx: RequestContext, group: Place & Pick<GroupRow, 'id'>, kmsKeyId: string): Promise<DataKeyRow> {
  if (!/^arn:aws[\w-]*:kms:[\w-]+:\d{12}:key\/.+$/.test(kmsKeyId)) {
    throw new AwsError('InvalidParameterException', 'Specified KMS key ID is not valid: it must be the ARN of a key.');
  }
  try {
    const { keyArn, wrapped } = await newDataKey(asItself(ctx, group), { ...useOf(group), keyId: kmsKeyId });
    return { id: randomUUID(), group_id: group.id, kms_key_id: keyArn, wrapped_key: wrapped.toString('base64') };
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    const arn = groupArn(group, group.name);
    const unknown = error.code === 'NotFoundException' || error.code === 'AccessDeniedException';
    const message = `The specified KMS key does not exist or is not allowed to be used with LogGroup '${arn}'`;
    throw new AwsError('InvalidParameterException', unknown ? message : `The specified KMS key cannot be used: ${error.message}`);
  }
}

/** Opens data keys of a group by their ids; AccessDeniedException while the KMS key is closed. */
export function keyOpener(ctx: Pick<RequestContext, 'aws' | 'signals' | 'read'>, group: GroupRow): (id: string) => Promise<Buffer> {
  const rows = new Map<string, Promise<DataKeyRow>>();
  const find = (id: string): Promise<DataKeyRow> => {
    const row = rows.get(id) ?? ctx.read.selectFrom('logs.data_keys').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    rows.set(id, row);
    return row;
  };
  return async (id) => {
    const { kms_key_id: keyId, wrapped_key: wrapped } = await find(id);
    try {
      return await openDataKey(asItself(ctx, group), { ...useOf(group), wrapped: Buffer.from(wrapped, 'base64'), keyId });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      throw new AwsError('AccessDeniedException', `The KMS key of the log group cannot be used: ${error.message}`);
    }
  };
}

export function sealEvents(key: Buffer, groupId: string, plain: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(groupId));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

export function openEvents(key: Buffer, groupId: string, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(groupId)).setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

interface Named {
  logGroupName?: string | undefined;
  resourceIdentifier?: string | undefined;
}

/** Results of queries, which can have such keys too on AWS, are always under the master key. */
function groupOf(ctx: RequestContext, { logGroupName, resourceIdentifier }: Named): string {
  if ((logGroupName === undefined) === (resourceIdentifier === undefined)) {
    throw new AwsError('InvalidParameterException', 'Exactly one of logGroupName and resourceIdentifier must be specified.');
  }
  return groupName(ctx, logGroupName ?? resourceIdentifier!);
}

export const associateKmsKey = operation('logs', 'AssociateKmsKey', {
  authorize: (input, ctx) => onGroup(ctx, groupOf(ctx, input)),
  async handle(ctx, input) {
    const group = await findGroup(ctx, groupOf(ctx, input));
    const key = await newGroupKey(ctx, group, input.kmsKeyId);
    await ctx.transaction(async (tx) => {
      await tx.sql.insertInto('logs.data_keys').values(key).execute();
      await tx.sql.updateTable('logs.groups').set({ kms_key_id: key.kms_key_id, data_key: key.id }).where('id', '=', group.id).execute();
    });
    return {};
  },
  partial: 'of log groups; results of queries are under the master key',
});

export const disassociateKmsKey = operation('logs', 'DisassociateKmsKey', {
  authorize: (input, ctx) => onGroup(ctx, groupOf(ctx, input)),
  async handle(ctx, input) {
    const group = await findGroup(ctx, groupOf(ctx, input));
    await ctx.transaction((tx) =>
      tx.sql.updateTable('logs.groups').set({ kms_key_id: null, data_key: null }).where('id', '=', group.id).execute(),
    );
    return {};
  },
  partial: 'of log groups; results of queries are under the master key',
});
