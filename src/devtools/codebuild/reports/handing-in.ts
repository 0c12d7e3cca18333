/**
 * How a build hands in a report: made, filled row by row, closed. AWS has these actions in IAM but not in its public API; a build calls them as its
 * service role, whose policies must allow them.
 */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../../platform/errors.ts';
import type { Transaction } from '../../../platform/platform.ts';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { parseBuildId } from '../names.ts';
import { invalid } from '../rules.ts';
import type { CaseStatus, ReportType } from './formats/result.ts';
import { onGroupsOf, onOwnGroup, parseGroupArn, parseReportArn, reportArn } from './report-rows.ts';
import { describeReport } from './reports.ts';
import type { ReportGroupRow, ReportRow } from './tables.ts';

const DAY_MS = 24 * 60 * 60_000;
/** CodeBuild user guide, "Quotas". */
const KEPT_MS = 30 * DAY_MS;
const MAX_REPORTS = 5;

export function expiryOf(created: Date): Date {
  return new Date(created.getTime() + KEPT_MS);
}

/** The report and its mention in the build are one transaction. */
export const createReport = operation('codebuild', 'CreateReport', {
  authorize: ({ reportGroupArn, mergedGroupArn = reportGroupArn }, ctx) =>
    Promise.all([...new Set([reportGroupArn, mergedGroupArn])].map((arn) => onOwnGroup(ctx, parseGroupArn(ctx, arn)))),
  async handle(ctx, { reportGroupArn, mergedGroupArn, executionId, type }) {
    const build = parseBuildId(ctx, executionId);
    if (!build) throw invalid(`Invalid execution ID: ${executionId} is no build of this account and region`);
    const row = await ctx.transaction(async (tx) => {
      const group = await shareGroup(tx, ctx, reportGroupArn, type);
      const merged = mergedGroupArn === undefined ? undefined : await shareGroup(tx, ctx, mergedGroupArn, type);
      const now = ctx.now();
      const report = await tx.sql
        .insertInto('codebuild.reports')
        .values({
          id: randomUUID(),
          account: group.account,
          region: group.region,
          group_id: group.id,
          group_name: group.name,
          build: build.id,
          execution: executionId,
          type,
          status: 'GENERATING',
          created_at: now,
          expires_at: expiryOf(now),
          export_config: JSON.stringify((merged ?? group).export_config),
          merged_into: merged?.id,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      await nameInBuild(tx, ctx, build.id, reportArn(report));
      return report;
    });
    return { report: describeReport(row) };
  },
});

async function shareGroup(tx: Transaction, ctx: RequestContext, arn: string, type: ReportType): Promise<ReportGroupRow> {
  const { account, region, name } = parseGroupArn(ctx, arn);
  const group = await tx.sql
    .selectFrom('codebuild.report_groups')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .forShare()
    .executeTakeFirst();
  if (group?.status !== 'ACTIVE') throw new AwsError('ResourceNotFoundException', `Report group cannot be found: ${arn}`);
  if (group.type !== type) throw invalid(`Report group ${arn} is of type ${group.type}, the report of type ${type}`);
  return group;
}

async function nameInBuild(tx: Transaction, ctx: RequestContext, id: string, arn: string): Promise<void> {
  const build = await tx.sql
    .selectFrom('codebuild.builds')
    .select('report_arns')
    .where('id', '=', id)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('status', '=', 'IN_PROGRESS')
    .forUpdate()
    .executeTakeFirst();
  if (!build) throw invalid(`Invalid execution ID: there is no build ${id} in progress`);
  const before = build.report_arns ?? [];
  if (before.length >= MAX_REPORTS) throw invalid(`A build cannot have more than ${MAX_REPORTS} reports`);
  await tx.sql
    .updateTable('codebuild.builds')
    .set({ report_arns: [...before, arn] })
    .where('id', '=', id)
    .execute();
}

/** Rows that are there already stay as they are: a call may come twice. */
export const batchPutTestCases = operation('codebuild', 'BatchPutTestCases', {
  authorize: ({ reportArn: arn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, arn)], onOwnGroup),
  async handle(ctx, { reportArn: arn, offset, testCases }) {
    await ctx.transaction(async (tx) => {
      const { id } = await lockGenerating(tx, ctx, arn);
      const rows = testCases.map((each, index) => ({
        report: id,
        ordinal: offset + index,
        raw_path: each.testRawDataPath ?? '',
        prefix: each.prefix ?? '',
        name: each.name ?? '',
        suite: each.testSuiteName ?? '',
        status: (each.status ?? 'UNKNOWN') as CaseStatus,
        duration: each.durationInNanoSeconds ?? 0,
        message: each.message ?? '',
      }));
      if (rows.length > 0)
        await tx.sql
          .insertInto('codebuild.test_cases')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
    });
    return {};
  },
});

export const batchPutCodeCoverages = operation('codebuild', 'BatchPutCodeCoverages', {
  authorize: ({ reportArn: arn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, arn)], onOwnGroup),
  async handle(ctx, { reportArn: arn, offset, codeCoverages }) {
    await ctx.transaction(async (tx) => {
      const { id } = await lockGenerating(tx, ctx, arn);
      const rows = codeCoverages.map((each, index) => ({
        report: id,
        ordinal: offset + index,
        id: randomUUID(),
        file_path: each.filePath ?? '',
        lines_covered: each.linesCovered ?? 0,
        lines_missed: each.linesMissed ?? 0,
        line_percentage: each.lineCoveragePercentage ?? 0,
        branches_covered: each.branchesCovered ?? 0,
        branches_missed: each.branchesMissed ?? 0,
        branch_percentage: each.branchCoveragePercentage ?? 0,
      }));
      if (rows.length > 0)
        await tx.sql
          .insertInto('codebuild.code_coverages')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
    });
    return {};
  },
});

/** Closes the report. Doing so twice with the same status is once. */
export const updateReport = operation('codebuild', 'UpdateReport', {
  authorize: ({ reportArn: arn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, arn)], onOwnGroup),
  async handle(ctx, { reportArn: arn, status, truncated = false, testSummary, codeCoverageSummary }) {
    const row = await ctx.transaction(async (tx) => {
      const report = await lockReport(tx, ctx, arn);
      if (report.status === status) return report;
      requireGenerating(report, arn);
      return tx.sql
        .updateTable('codebuild.reports')
        .set({
          status,
          truncated,
          test_summary: testSummary ? JSON.stringify(testSummary) : null,
          coverage_summary: codeCoverageSummary ? JSON.stringify(codeCoverageSummary) : null,
        })
        .where('id', '=', report.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    });
    return { report: describeReport(row) };
  },
});

/** A build that is over makes no reports any more: what it began stays incomplete. In the transaction that ends the build. */
export async function abandonReports(tx: Transaction, build: string): Promise<void> {
  await tx.sql
    .updateTable('codebuild.reports')
    .set({ status: 'INCOMPLETE' })
    .where('build', '=', build)
    .where('status', '=', 'GENERATING')
    .execute();
}

async function lockGenerating(tx: Transaction, ctx: RequestContext, arn: string): Promise<ReportRow> {
  const report = await lockReport(tx, ctx, arn);
  requireGenerating(report, arn);
  return report;
}

function requireGenerating(report: ReportRow, arn: string): void {
  if (report.status !== 'GENERATING') throw invalid(`Report ${arn} cannot be changed: its status is ${report.status}`);
}

async function lockReport(tx: Transaction, ctx: RequestContext, arn: string): Promise<ReportRow> {
  const { account, region, group, id } = parseReportArn(ctx, arn);
  const report = await tx.sql
    .selectFrom('codebuild.reports')
    .selectAll()
    .where('id', '=', id)
    .where('account', '=', account)
    .where('region', '=', region)
    .where('group_name', '=', group)
    .forUpdate()
    .executeTakeFirst();
  if (!report) throw invalid(`Report cannot be found: ${arn}`);
  return report;
}
