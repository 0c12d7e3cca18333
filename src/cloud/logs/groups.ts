/** Log groups: making, listing, deleting, and how long they keep what is logged. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { newGroupKey } from './encryption.ts';
import { findGroup, groupArn, groupMissing, groupName, onGroup } from './group.ts';
import { purgeStreams } from './purge.ts';
import type { GroupRow } from './tables.ts';
import { checkTags } from './tags.ts';

const PAGE = 50;
/** What PutRetentionPolicy takes, in days (API reference). */
const RETENTIONS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/** Groups of the class DELIVERY have this one and no other. */
const DELIVERY_RETENTION = 2;

export const createLogGroup = operation('logs', 'CreateLogGroup', {
  authorize: ({ logGroupName, tags }, ctx) => onGroup(ctx, logGroupName, { requestTags: tags }),
  async handle(ctx, { logGroupName, tags = {}, logGroupClass = 'STANDARD', deletionProtectionEnabled = false, kmsKeyId }) {
    if (logGroupName.startsWith('aws/')) throw ctx.error('InvalidParameterException', "Log group names can't start with the string aws/.");
    checkTags(tags);
    const place = { id: randomUUID(), account: ctx.account, region: ctx.region, name: logGroupName };
    const key = kmsKeyId === undefined ? undefined : await newGroupKey(ctx, place, kmsKeyId);
    const row = {
      ...place,
      class: logGroupClass,
      retention_days: logGroupClass === 'DELIVERY' ? DELIVERY_RETENTION : null,
      deletion_protected: deletionProtectionEnabled,
      tags: JSON.stringify(tags),
      created_at: ctx.now().getTime(),
      kms_key_id: key?.kms_key_id ?? null,
      data_key: key?.id ?? null,
    };
    const made = await ctx.transaction(async (tx) => {
      const inserted = await tx.sql
        .insertInto('logs.groups')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .executeTakeFirst();
      if (inserted && key) await tx.sql.insertInto('logs.data_keys').values(key).execute();
      return inserted;
    });
    if (!made) throw ctx.error('ResourceAlreadyExistsException', 'The specified log group already exists');
    return {};
  },
});

export const deleteLogGroup = operation('logs', 'DeleteLogGroup', {
  authorize: ({ logGroupName }, ctx) => onGroup(ctx, groupName(ctx, logGroupName)),
  async handle(ctx, { logGroupName }) {
    await ctx.transaction(async (tx) => {
      const group = await tx.sql
        .selectFrom('logs.groups')
        .select(['id', 'deletion_protected'])
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', logGroupName)
        .forUpdate()
        .executeTakeFirst();
      if (!group) throw groupMissing();
      if (group.deletion_protected) {
        throw ctx.error('ValidationException', 'The log group has deletion protection enabled and cannot be deleted.');
      }
      await purgeStreams(tx, (streams) => streams.where('group_id', '=', group.id));
      await tx.sql.deleteFrom('logs.groups').where('id', '=', group.id).execute();
      await tx.sql.deleteFrom('logs.data_keys').where('group_id', '=', group.id).execute();
    });
    return {};
  },
});

export const describeLogGroups = operation('logs', 'DescribeLogGroups', {
  authorize: (_, ctx) => `${groupArn(ctx, '')}:log-stream:`,
  async handle(ctx, input) {
    const {
      logGroupNamePrefix,
      logGroupNamePattern,
      logGroupClass,
      logGroupIdentifiers,
      accountIdentifiers,
      nextToken,
      limit = PAGE,
    } = input;
    if (logGroupNamePrefix !== undefined && logGroupNamePattern !== undefined) {
      throw ctx.error('InvalidParameterException', 'LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.');
    }
    if (accountIdentifiers?.length && !accountIdentifiers.includes(ctx.account)) return { logGroups: [] };
    const scope = `logs:DescribeLogGroups:${ctx.account}:${ctx.region}`;
    const after = nextToken === undefined ? undefined : ctx.paging.open<string>(scope, nextToken);
    if (nextToken !== undefined && after === undefined) throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
    let query = ctx.read
      .selectFrom('logs.groups as group')
      .selectAll()
      .select(
        sql<number>`(select coalesce(sum(stored_bytes), 0)::bigint from logs.streams as stream where stream.group_id = "group".id)`.as(
          'bytes',
        ),
      )
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region);
    if (logGroupNamePrefix !== undefined) query = query.where(sql<boolean>`starts_with("group".name, ${logGroupNamePrefix})`);
    if (logGroupNamePattern) query = query.where(sql<boolean>`strpos("group".name, ${logGroupNamePattern}) > 0`);
    if (logGroupClass !== undefined) query = query.where('class', '=', logGroupClass);
    if (logGroupIdentifiers)
      query = query.where(
        'name',
        'in',
        logGroupIdentifiers.map((identifier) => groupName(ctx, identifier)),
      );
    if (after !== undefined) query = query.where('name', '>', after);
    const rows = await query
      .orderBy('name')
      .limit(limit + 1)
      .execute();
    const page = rows.slice(0, limit);
    return {
      logGroups: page.map((row) => describe(row, row.bytes)),
      nextToken: rows.length > limit ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});

function describe(group: GroupRow, storedBytes: number): ShapeOf<'logs', 'LogGroup'> {
  const arn = groupArn(group, group.name);
  return {
    logGroupName: group.name,
    creationTime: group.created_at,
    retentionInDays: group.retention_days ?? undefined,
    metricFilterCount: 0,
    arn: `${arn}:*`,
    logGroupArn: arn,
    storedBytes,
    logGroupClass: group.class,
    kmsKeyId: group.kms_key_id ?? undefined,
    deletionProtectionEnabled: group.deletion_protected,
  };
}

export const putRetentionPolicy = operation('logs', 'PutRetentionPolicy', {
  authorize: ({ logGroupName }, ctx) => onGroup(ctx, logGroupName),
  async handle(ctx, { logGroupName, retentionInDays }) {
    if (!RETENTIONS.includes(retentionInDays)) {
      const constraint = `Member must satisfy enum value set: [${RETENTIONS.join(', ')}]`;
      const message = `1 validation error detected: Value '${retentionInDays}' at 'retentionInDays' failed to satisfy constraint: ${constraint}`;
      throw ctx.error('InvalidParameterException', message);
    }
    await setRetention(ctx, logGroupName, retentionInDays);
    return {};
  },
});

export const deleteRetentionPolicy = operation('logs', 'DeleteRetentionPolicy', {
  authorize: ({ logGroupName }, ctx) => onGroup(ctx, logGroupName),
  async handle(ctx, { logGroupName }) {
    await setRetention(ctx, logGroupName, null);
    return {};
  },
});

async function setRetention(ctx: RequestContext, name: string, days: number | null): Promise<void> {
  const group = await findGroup(ctx, name);
  await ctx.transaction(async (tx) => {
    await tx.sql.updateTable('logs.groups').set({ retention_days: days }).where('id', '=', group.id).execute();
    if (days !== null) await tx.reconcile('logs.retention', group.id);
  });
}
