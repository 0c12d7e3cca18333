/** GetReportGroupTrend: one figure of the latest reports of a group. */
import { operation } from '../../../platform/service.ts';
import { PAGE } from '../pages.ts';
import { invalid } from '../rules.ts';
import type { ReportType } from './formats/result.ts';
import { findGroup, onGroup, parseGroupArn, reportArn } from './report-rows.ts';
import { percentage } from './shares.ts';
import type { ReportRow } from './tables.ts';

type Tests = NonNullable<ReportRow['test_summary']>;
type Coverage = NonNullable<ReportRow['coverage_summary']>;

const OF_TESTS: Record<string, (summary: Tests) => number> = {
  PASS_RATE: ({ statusCounts, total }) => percentage(statusCounts.SUCCEEDED ?? 0, total),
  DURATION: ({ durationInNanoSeconds }) => durationInNanoSeconds,
  TOTAL: ({ total }) => total,
};
const OF_COVERAGE: Record<string, (summary: Coverage) => number> = {
  LINE_COVERAGE: ({ lineCoveragePercentage = 0 }) => lineCoveragePercentage,
  LINES_COVERED: ({ linesCovered = 0 }) => linesCovered,
  LINES_MISSED: ({ linesMissed = 0 }) => linesMissed,
  BRANCH_COVERAGE: ({ branchCoveragePercentage = 0 }) => branchCoveragePercentage,
  BRANCHES_COVERED: ({ branchesCovered = 0 }) => branchesCovered,
  BRANCHES_MISSED: ({ branchesMissed = 0 }) => branchesMissed,
};

export const getReportGroupTrend = operation('codebuild', 'GetReportGroupTrend', {
  authorize: ({ reportGroupArn }, ctx) => onGroup(ctx, parseGroupArn(ctx, reportGroupArn)),
  async handle(ctx, { reportGroupArn, trendField, numOfReports = PAGE }) {
    const group = await findGroup(ctx, parseGroupArn(ctx, reportGroupArn));
    if (!group) throw ctx.error('ResourceNotFoundException', `Report group cannot be found: ${reportGroupArn}`);
    const type: ReportType = Object.hasOwn(OF_TESTS, trendField) ? 'TEST' : 'CODE_COVERAGE';
    if (group.type !== type)
      throw invalid(`Invalid trend field: ${trendField} is of reports of type ${type}, the report group is of type ${group.type}`);
    // Whatever has no result yet, or came to none, has no figure.
    const rows = await ctx.read
      .selectFrom('codebuild.reports')
      .selectAll()
      .where('group_id', '=', group.id)
      .where('expires_at', '>', ctx.now())
      .where('status', 'in', ['SUCCEEDED', 'FAILED'])
      .orderBy('report_order', 'desc')
      .limit(numOfReports)
      .execute();
    const values = rows.map((row) => figure(row, trendField));
    return {
      stats: statsOf(values),
      rawData: rows.map((row, index) => ({ reportArn: reportArn(row), data: String(values[index]) })),
    };
  },
});

function figure({ test_summary, coverage_summary }: ReportRow, field: string): number {
  if (test_summary) return OF_TESTS[field]?.(test_summary) ?? 0;
  return coverage_summary ? (OF_COVERAGE[field]?.(coverage_summary) ?? 0) : 0;
}

/** Of no reports there is nothing to tell. */
function statsOf(values: number[]): { average?: string; max?: string; min?: string } {
  if (values.length === 0) return {};
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { average: String(Math.round(average * 100) / 100), max: String(Math.max(...values)), min: String(Math.min(...values)) };
}
