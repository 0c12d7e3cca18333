/** Report groups: made, changed, deleted, found and listed. */
import { randomUUID } from 'node:crypto';
import { operation, type RequestContext, type ShapeOf } from '../../../platform/service.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { invalid } from '../rules.ts';
import { forgetResourcePolicy, listShared } from '../sharing/shared.ts';
import { tagMap } from '../tags.ts';
import { REPORT_GROUP_RECONCILER } from './deletion.ts';
import { findGroup, groupArn, onGroup, onOwnGroup, parseGroupArn } from './report-rows.ts';
import type { ExportConfig, ReportGroupRow } from './tables.ts';

const UNIQUE_VIOLATION = '23505';
/** CodeBuild user guide, "Quotas". */
const MAX_GROUPS = 1000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

export const createReportGroup = operation('codebuild', 'CreateReportGroup', {
  authorize: ({ name, tags }, ctx) => ({ resource: groupArn(ctx, name), requestTags: tagMap(tags) }),
  async handle(ctx, { name, type, exportConfig, tags }) {
    if (!NAME.test(name))
      throw invalid(`Invalid report group name: ${name} can contain only alphanumeric characters, hyphens and underscores`);
    const config = checkedExport(ctx, exportConfig);
    const now = ctx.now();
    const row = await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('codebuild.report_groups')
        .select((eb) => eb.fn.countAll<string>().as('count'))
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .executeTakeFirstOrThrow();
      if (Number(count) >= MAX_GROUPS && !(await findGroup(ctx, { ...ctx, name }))) {
        throw ctx.error('AccountLimitExceededException', `Cannot have more than ${MAX_GROUPS} report groups for the account`);
      }
      return tx.sql
        .insertInto('codebuild.report_groups')
        .values({
          id: randomUUID(),
          account: ctx.account,
          region: ctx.region,
          name,
          type,
          export_config: JSON.stringify(config),
          tags: JSON.stringify(tagMap(tags)),
          status: 'ACTIVE',
          created_at: now,
          modified_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
        .catch((error) => {
          if (error.code !== UNIQUE_VIOLATION) throw error;
          throw ctx.error('ResourceAlreadyExistsException', `Report group already exists: ${groupArn(ctx, name)}`);
        });
    });
    return { reportGroup: describeGroup(row) };
  },
});

export const updateReportGroup = operation('codebuild', 'UpdateReportGroup', {
  authorize: async ({ arn, tags }, ctx) => ({ ...(await onOwnGroup(ctx, parseGroupArn(ctx, arn))), requestTags: tagMap(tags) }),
  async handle(ctx, { arn, exportConfig, tags }) {
    const ref = parseGroupArn(ctx, arn);
    const row = await ctx.transaction((tx) =>
      tx.sql
        .updateTable('codebuild.report_groups')
        .set({
          modified_at: ctx.now(),
          ...(exportConfig === undefined ? {} : { export_config: JSON.stringify(checkedExport(ctx, exportConfig)) }),
          ...(tags === undefined ? {} : { tags: JSON.stringify(tagMap(tags)) }),
        })
        .where('account', '=', ref.account)
        .where('region', '=', ref.region)
        .where('name', '=', ref.name)
        .where('status', '=', 'ACTIVE')
        .returningAll()
        .executeTakeFirst(),
    );
    if (!row) throw ctx.error('ResourceNotFoundException', `Report group cannot be found: ${arn}`);
    return { reportGroup: describeGroup(row) };
  },
});

/** Deleting what is not there succeeds. A group without reports is gone at once, others are DELETING until theirs are. */
export const deleteReportGroup = operation('codebuild', 'DeleteReportGroup', {
  authorize: ({ arn }, ctx) => onOwnGroup(ctx, parseGroupArn(ctx, arn)),
  async handle(ctx, { arn, deleteReports = false }) {
    const { account, region, name } = parseGroupArn(ctx, arn);
    await ctx.transaction(async (tx) => {
      const group = await tx.sql
        .selectFrom('codebuild.report_groups')
        .select('id')
        .where('account', '=', account)
        .where('region', '=', region)
        .where('name', '=', name)
        .forUpdate()
        .executeTakeFirst();
      if (!group) return;
      const reports = tx.sql.selectFrom('codebuild.reports').select('id').where('group_id', '=', group.id).limit(1);
      if (!(await reports.executeTakeFirst())) {
        await tx.sql.deleteFrom('codebuild.report_groups').where('id', '=', group.id).execute();
        return forgetResourcePolicy(tx, { account, region }, arn);
      }
      // Those that are expired or deleted are only not cleared away yet.
      const seen = await reports.where('expires_at', '>', ctx.now()).where('status', '!=', 'DELETING').executeTakeFirst();
      if (seen && !deleteReports)
        throw invalid(`Cannot delete report group ${arn}: it contains reports. Delete them first, or set deleteReports`);
      await tx.sql
        .updateTable('codebuild.report_groups')
        .set({ status: 'DELETING', modified_at: ctx.now() })
        .where('id', '=', group.id)
        .execute();
      await tx.reconcile(REPORT_GROUP_RECONCILER, group.id);
    });
    return {};
  },
});

export const batchGetReportGroups = operation('codebuild', 'BatchGetReportGroups', {
  authorize: ({ reportGroupArns }, ctx) => Promise.all(unique(reportGroupArns).map((arn) => onGroup(ctx, parseGroupArn(ctx, arn)))),
  async handle(ctx, { reportGroupArns }) {
    const wanted = unique(reportGroupArns);
    const rows = await Promise.all(wanted.map((arn) => findGroup(ctx, parseGroupArn(ctx, arn))));
    return {
      reportGroups: rows.flatMap((row) => (row ? [describeGroup(row)] : [])),
      reportGroupsNotFound: wanted.filter((_, index) => !rows[index]),
    };
  },
});

const SORT_COLUMNS = { NAME: 'name', CREATED_TIME: 'created_at', LAST_MODIFIED_TIME: 'modified_at' } as const;

export const listReportGroups = operation('codebuild', 'ListReportGroups', {
  authorize: () => '*',
  async handle(ctx, { sortBy = 'NAME', sortOrder = 'ASCENDING', maxResults = PAGE, nextToken }) {
    const scope = `codebuild:ListReportGroups:${ctx.account}:${ctx.region}:${sortBy}:${sortOrder}`;
    const after = startOf<{ name: string; time: string }>(ctx, scope, nextToken);
    const column = SORT_COLUMNS[sortBy];
    const [direction, behind] = DIRECTIONS[sortOrder];
    let query = ctx.read
      .selectFrom('codebuild.report_groups')
      .select(['name', 'created_at', 'modified_at'])
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region);
    if (column !== 'name') {
      query = query.orderBy(column, direction);
      if (after) query = query.where((eb) => eb(eb.refTuple(column, 'name'), behind, eb.tuple(new Date(after.time), after.name)));
    } else if (after) query = query.where('name', behind, after.name);
    const rows = await query
      .orderBy('name', direction)
      .limit(maxResults + 1)
      .execute();
    const time = (row: (typeof rows)[number]) => (column === 'modified_at' ? row.modified_at : row.created_at).toISOString();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({ name: row.name, time: time(row) }));
    return { reportGroups: page.map((row) => groupArn(ctx, row.name)), nextToken: next };
  },
});

export const listSharedReportGroups = operation('codebuild', 'ListSharedReportGroups', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { arns, nextToken } = await listShared(ctx, 'report-group', input);
    return { reportGroups: arns, nextToken };
  },
});

function describeGroup(row: ReportGroupRow): ShapeOf<'codebuild', 'ReportGroup'> {
  return {
    arn: groupArn(row, row.name),
    name: row.name,
    type: row.type,
    exportConfig: row.export_config,
    created: row.created_at,
    lastModified: row.modified_at,
    tags: Object.entries(row.tags).map(([key, value]) => ({ key, value })),
    status: row.status,
  };
}

/** With what CodeBuild fills in. Throws InvalidInputException. */
function checkedExport(ctx: RequestContext, { exportConfigType, s3Destination }: ExportConfig): ExportConfig {
  if (exportConfigType === undefined) throw invalid('Invalid export config: exportConfigType is a required field');
  if (exportConfigType === 'NO_EXPORT') return { exportConfigType };
  if (!s3Destination?.bucket) throw invalid('Invalid export config: s3Destination.bucket is a required field for export config type S3');
  const { bucket, bucketOwner, path = '', packaging = 'NONE', encryptionKey, encryptionDisabled = false } = s3Destination;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw invalid(`Invalid export config: ${bucket} is no name of a bucket`);
  if (bucketOwner !== undefined && !/^\d{12}$/.test(bucketOwner))
    throw invalid('Invalid export config: bucketOwner must be the id of an account');
  return {
    exportConfigType,
    s3Destination: {
      bucket,
      ...(bucketOwner === undefined ? {} : { bucketOwner }),
      path,
      packaging,
      ...(encryptionDisabled ? {} : { encryptionKey: encryptionKey ?? `arn:aws:kms:${ctx.region}:${ctx.account}:alias/aws/s3` }),
      encryptionDisabled,
    },
  };
}

function unique(arns: string[]): string[] {
  return [...new Set(arns)];
}
