/** Reports: found, listed and deleted. Builds make them, see handing-in.ts. */
import { operation, type RequestContext, type ShapeOf } from '../../../platform/service.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { REPORT_RECONCILER } from './deletion.ts';
import {
  findGroup,
  findReports,
  groupArn,
  onGroup,
  onGroupsOf,
  onOwnGroup,
  parseGroupArn,
  parseReportArn,
  reportArn,
} from './report-rows.ts';
import type { ReportRow, ReportStatus } from './tables.ts';

export const batchGetReports = operation('codebuild', 'BatchGetReports', {
  authorize: ({ reportArns }, ctx) =>
    onGroupsOf(
      ctx,
      reportArns.map((arn) => parseReportArn(ctx, arn)),
    ),
  async handle(ctx, { reportArns }) {
    const wanted = [...new Set(reportArns)];
    const rows = await findReports(
      ctx,
      wanted.map((arn) => parseReportArn(ctx, arn)),
    );
    return {
      reports: rows.flatMap((row) => (row ? [describeReport(row)] : [])),
      reportsNotFound: wanted.filter((_, index) => !rows[index]),
    };
  },
});

export const listReports = operation('codebuild', 'ListReports', {
  authorize: () => '*',
  handle: (ctx, input) => listPage(ctx, undefined, input),
});

export const listReportsForReportGroup = operation('codebuild', 'ListReportsForReportGroup', {
  authorize: ({ reportGroupArn }, ctx) => onGroup(ctx, parseGroupArn(ctx, reportGroupArn)),
  async handle(ctx, { reportGroupArn, ...input }) {
    const group = await findGroup(ctx, parseGroupArn(ctx, reportGroupArn));
    if (!group) throw ctx.error('ResourceNotFoundException', `Report group cannot be found: ${reportGroupArn}`);
    return listPage(ctx, group.id, input);
  },
});

/** Deleting what is not there succeeds. What was exported to S3 stays there. */
export const deleteReport = operation('codebuild', 'DeleteReport', {
  authorize: ({ arn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, arn)], onOwnGroup),
  async handle(ctx, { arn }) {
    const [row] = await findReports(ctx, [parseReportArn(ctx, arn)]);
    if (row) {
      await ctx.transaction(async (tx) => {
        await tx.sql.updateTable('codebuild.reports').set({ status: 'DELETING' }).where('id', '=', row.id).execute();
        await tx.reconcile(REPORT_RECONCILER, row.id);
      });
    }
    return {};
  },
});

interface ListInput {
  sortOrder?: 'ASCENDING' | 'DESCENDING';
  maxResults?: number;
  nextToken?: string;
  filter?: { status?: ReportStatus };
}

/** Undefined group: all of the account's. */
async function listPage(
  ctx: RequestContext,
  group: string | undefined,
  { sortOrder = 'DESCENDING', maxResults = PAGE, nextToken, filter }: ListInput,
) {
  const scope = `codebuild:ListReports:${ctx.account}:${ctx.region}:${group ?? ''}:${sortOrder}:${filter?.status ?? ''}`;
  const after = startOf<string>(ctx, scope, nextToken);
  const [direction, behind] = DIRECTIONS[sortOrder];
  let query = ctx.read
    .selectFrom('codebuild.reports')
    .select(['id', 'account', 'region', 'group_name', 'report_order'])
    .where('expires_at', '>', ctx.now());
  query =
    group === undefined ? query.where('account', '=', ctx.account).where('region', '=', ctx.region) : query.where('group_id', '=', group);
  if (filter?.status !== undefined) query = query.where('status', '=', filter.status);
  if (after !== undefined) query = query.where('report_order', behind, after);
  const rows = await query
    .orderBy('report_order', direction)
    .limit(maxResults + 1)
    .execute();
  const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => String(row.report_order));
  return { reports: page.map(reportArn), nextToken: next };
}

export function describeReport(row: ReportRow): ShapeOf<'codebuild', 'Report'> {
  return {
    arn: reportArn(row),
    type: row.type,
    name: row.group_name,
    reportGroupArn: groupArn(row, row.group_name),
    executionId: row.execution,
    status: row.status,
    created: row.created_at,
    expired: row.expires_at,
    exportConfig: row.export_config,
    truncated: row.truncated,
    testSummary: row.test_summary ?? undefined,
    codeCoverageSummary: row.coverage_summary ?? undefined,
  };
}
