/** Log groups and streams as other operations find them: by name or ARN, with the errors for what is not there. */
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import type { GroupRow, StreamRow } from './tables.ts';

interface Where {
  account: string;
  region: string;
}

export function groupArn({ region, account }: Where, name: string): string {
  return `arn:aws:logs:${region}:${account}:log-group:${name}`;
}

export function streamArn(where: Where, group: string, stream: string): string {
  return `${groupArn(where, group)}:log-stream:${stream}`;
}

/** Actions on a group are asked for on its streams without naming one, as AWS's own denials show; so `log-group:NAME:*` allows them. */
export async function onGroup(ctx: RequestContext, name: string, more: Partial<Check> = {}): Promise<Check> {
  return onStream(ctx, name, '', more);
}

export async function onStream(ctx: RequestContext, group: string, stream: string, more: Partial<Check> = {}): Promise<Check> {
  const row = await lookUpGroup(ctx.read, ctx, group);
  return { resource: streamArn(ctx, group, stream), resourceTags: row?.tags, ...more };
}

/** The name in a group's ARN, with or without `:*`, or the name as it is. */
export function groupName(ctx: RequestContext, identifier: string): string {
  if (!identifier.startsWith('arn:')) return identifier;
  const match = /^arn:aws[\w-]*:logs:([^:]*):([^:]*):log-group:([^:*]+)(?::\*)?$/.exec(identifier);
  if (!match) throw new AwsError('InvalidParameterException', `Invalid ARN: ${identifier.slice(0, 300)}`);
  if (match[1] !== ctx.region || match[2] !== ctx.account) throw groupMissing();
  return match[3]!;
}

/** Reads name a group in either of two ways. */
export function namedGroup(ctx: RequestContext, input: { logGroupName?: string; logGroupIdentifier?: string }): string {
  const { logGroupName, logGroupIdentifier } = input;
  if ((logGroupName === undefined) === (logGroupIdentifier === undefined)) {
    const message = 'Exactly one of logGroupName and logGroupIdentifier must be specified.';
    throw new AwsError('InvalidParameterException', message);
  }
  return groupName(ctx, logGroupName ?? logGroupIdentifier!);
}

export function lookUpGroup(read: Pick<Reader, 'selectFrom'>, { account, region }: Where, name: string): Promise<GroupRow | undefined> {
  return read
    .selectFrom('logs.groups')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
}

export async function findGroup(ctx: RequestContext, name: string): Promise<GroupRow> {
  const group = await lookUpGroup(ctx.read, ctx, name);
  if (!group) throw groupMissing();
  return group;
}

export async function findStream(ctx: RequestContext, group: GroupRow, name: string): Promise<StreamRow> {
  // PostgreSQL knows no such text, so no stream can have it.
  const stream = name.includes('\0')
    ? undefined
    : await ctx.read.selectFrom('logs.streams').selectAll().where('group_id', '=', group.id).where('name', '=', name).executeTakeFirst();
  if (!stream) throw streamMissing();
  return stream;
}

export function groupMissing(): AwsError {
  return new AwsError('ResourceNotFoundException', 'The specified log group does not exist.');
}

export function streamMissing(): AwsError {
  return new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
}

/** Events older than this are gone for readers, whether or not their rows are. */
export function expiry(group: GroupRow, now: Date): number {
  return group.retention_days === null ? 0 : now.getTime() - group.retention_days * 86_400_000;
}
