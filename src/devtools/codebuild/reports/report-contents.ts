/** What is in a report: its test cases, and the coverage of each file. */
import { type Expression, type SqlBool, sql } from 'kysely';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { invalid } from '../rules.ts';
import { CASE_STATUSES, type CaseStatus } from './formats/result.ts';
import { findReports, onGroupsOf, parseReportArn } from './report-rows.ts';
import type { ReportRow } from './tables.ts';

export const describeTestCases = operation('codebuild', 'DescribeTestCases', {
  authorize: ({ reportArn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, reportArn)]),
  async handle(ctx, { reportArn, filter = {}, maxResults = PAGE, nextToken }) {
    const { status, keyword } = filter;
    if (status !== undefined && !CASE_STATUSES.includes(status as CaseStatus)) {
      throw invalid(`Invalid test case filter: status ${status} is not one of ${CASE_STATUSES.join(', ')}`);
    }
    const report = await findReport(ctx, reportArn);
    if (!report) throw ctx.error('ResourceNotFoundException', `Report cannot be found: ${reportArn}`);
    const scope = `codebuild:DescribeTestCases:${report.id}:${JSON.stringify([status, keyword])}`;
    const after = startOf<number>(ctx, scope, nextToken);
    let query = ctx.read.selectFrom('codebuild.test_cases').selectAll().where('report', '=', report.id);
    if (status !== undefined) query = query.where('status', '=', status as CaseStatus);
    if (keyword !== undefined) query = query.where((eb) => eb.or([holds('name', keyword), holds('prefix', keyword)]));
    if (after !== undefined) query = query.where('ordinal', '>', after);
    const rows = await query
      .orderBy('ordinal')
      .limit(maxResults + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => row.ordinal);
    return {
      testCases: page.map((row) => ({
        reportArn,
        testRawDataPath: row.raw_path,
        prefix: row.prefix,
        name: row.name,
        status: row.status,
        durationInNanoSeconds: Number(row.duration),
        message: row.message,
        expired: report.expires_at,
        testSuiteName: row.suite,
      })),
      nextToken: next,
    };
  },
});

/** Plainly: nothing in a keyword is a wildcard. */
function holds(column: 'name' | 'prefix', keyword: string): Expression<SqlBool> {
  return sql<SqlBool>`strpos(${sql.ref(column)}, ${keyword}) > 0`;
}

const SORT_COLUMNS = { FILE_PATH: 'file_path', LINE_COVERAGE_PERCENTAGE: 'line_percentage' } as const;

export const describeCodeCoverages = operation('codebuild', 'DescribeCodeCoverages', {
  authorize: ({ reportArn }, ctx) => onGroupsOf(ctx, [parseReportArn(ctx, reportArn)]),
  async handle(ctx, { reportArn, sortBy = 'FILE_PATH', sortOrder = 'ASCENDING', maxResults = PAGE, nextToken, ...between }) {
    const { minLineCoveragePercentage: least = 0, maxLineCoveragePercentage: most = 100 } = between;
    if (least > most)
      throw invalid('Invalid line coverage percentages: minLineCoveragePercentage is greater than maxLineCoveragePercentage');
    const report = await findReport(ctx, reportArn);
    // The model has no other error for it.
    if (!report) throw ctx.error('InvalidInputException', `Report cannot be found: ${reportArn}`);
    const scope = `codebuild:DescribeCodeCoverages:${report.id}:${JSON.stringify([sortBy, sortOrder, least, most])}`;
    const after = startOf<{ value: string | number; ordinal: number }>(ctx, scope, nextToken);
    const column = SORT_COLUMNS[sortBy];
    const [direction, behind] = DIRECTIONS[sortOrder];
    let query = ctx.read
      .selectFrom('codebuild.code_coverages')
      .selectAll()
      .where('report', '=', report.id)
      .where('line_percentage', '>=', least)
      .where('line_percentage', '<=', most);
    if (after) query = query.where((eb) => eb(eb.refTuple(column, 'ordinal'), behind, eb.tuple(after.value as never, after.ordinal)));
    const rows = await query
      .orderBy(column, direction)
      .orderBy('ordinal', direction)
      .limit(maxResults + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({ value: row[column], ordinal: row.ordinal }));
    return {
      codeCoverages: page.map((row) => ({
        id: row.id,
        reportARN: reportArn,
        filePath: row.file_path,
        lineCoveragePercentage: row.line_percentage,
        linesCovered: row.lines_covered,
        linesMissed: row.lines_missed,
        branchCoveragePercentage: row.branch_percentage,
        branchesCovered: row.branches_covered,
        branchesMissed: row.branches_missed,
        expired: report.expires_at,
      })),
      nextToken: next,
    };
  },
});

async function findReport(ctx: RequestContext, arn: string): Promise<ReportRow | undefined> {
  const [row] = await findReports(ctx, [parseReportArn(ctx, arn)]);
  return row;
}
