/**
 * One report of a whole batch out of those of its parts: each build of a build-fanout hands in what its part of the tests came to (CodeBuild user
 * guide, "Automatically merge individual build reports").
 */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Place } from '../names.ts';
import { CASE_STATUSES, type CaseStatus } from './formats/result.ts';
import { expiryOf } from './handing-in.ts';
import { reportArn } from './report-rows.ts';
import { coverageShares } from './shares.ts';
import type { ReportRow } from './tables.ts';

export interface MergedBatch extends Place {
  id: string;
  arn: string;
  /** Its builds that had each a part of the tests. */
  builds: string[];
}

/** ARNs of the merged reports, in the order of their groups' first reports. In the transaction that ends the batch, so that it is done once. */
export async function mergeReports(tx: Transaction, platform: Pick<Platform, 'now'>, batch: MergedBatch): Promise<string[]> {
  if (batch.builds.length === 0) return [];
  const parts = await tx.sql
    .selectFrom('codebuild.reports')
    .selectAll()
    .where('build', 'in', batch.builds)
    .where('merged_into', 'is not', null)
    .orderBy('report_order')
    .execute();
  const arns: string[] = [];
  for (const group of new Set(parts.map((part) => part.merged_into!))) {
    const arn = await mergeInto(
      tx,
      platform,
      batch,
      group,
      parts.filter((part) => part.merged_into === group),
    );
    if (arn !== undefined) arns.push(arn);
  }
  return arns;
}

/** Undefined when the group is being deleted. */
async function mergeInto(
  tx: Transaction,
  platform: Pick<Platform, 'now'>,
  batch: MergedBatch,
  groupId: string,
  parts: ReportRow[],
): Promise<string | undefined> {
  const group = await tx.sql.selectFrom('codebuild.report_groups').selectAll().where('id', '=', groupId).forShare().executeTakeFirst();
  if (group?.status !== 'ACTIVE') return undefined;
  const now = platform.now();
  const merged = await tx.sql
    .insertInto('codebuild.reports')
    .values({
      id: randomUUID(),
      account: group.account,
      region: group.region,
      group_id: group.id,
      group_name: group.name,
      build: batch.id,
      execution: batch.arn,
      type: group.type,
      status: statusOf(parts, batch.builds.length),
      created_at: now,
      expires_at: expiryOf(now),
      // The files were exported with the parts.
      export_config: JSON.stringify({ exportConfigType: 'NO_EXPORT' }),
      truncated: parts.some((part) => part.truncated),
      ...summaryOf(parts),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const ids = parts.map((part) => part.id);
  await sql`
    insert into codebuild.test_cases (report, ordinal, raw_path, prefix, name, suite, status, duration, message)
    select ${merged.id}, row_number() over (order by reports.report_order, ordinal) - 1, raw_path, prefix, name, suite, part.status, duration, message
    from codebuild.test_cases part join codebuild.reports on reports.id = part.report
    where part.report = any(${ids}::uuid[])`.execute(tx.sql);
  await sql`
    insert into codebuild.code_coverages
      (report, ordinal, id, file_path, lines_covered, lines_missed, line_percentage, branches_covered, branches_missed, branch_percentage)
    select ${merged.id}, row_number() over (order by reports.report_order, ordinal) - 1, gen_random_uuid(), file_path,
      lines_covered, lines_missed, line_percentage, branches_covered, branches_missed, branch_percentage
    from codebuild.code_coverages part join codebuild.reports on reports.id = part.report
    where part.report = any(${ids}::uuid[])`.execute(tx.sql);
  return reportArn(merged);
}

/** One part that failed fails the whole; one that is missing leaves it incomplete. */
function statusOf(parts: ReportRow[], expected: number): 'SUCCEEDED' | 'FAILED' | 'INCOMPLETE' {
  if (parts.some((part) => part.status === 'FAILED')) return 'FAILED';
  return parts.length === expected && parts.every((part) => part.status === 'SUCCEEDED') ? 'SUCCEEDED' : 'INCOMPLETE';
}

/** The parts ran beside each other: the longest is how long it took. */
function summaryOf(parts: ReportRow[]): { test_summary?: string; coverage_summary?: string } {
  const tests = parts.flatMap((part) => part.test_summary ?? []);
  const coverage = parts.flatMap((part) => part.coverage_summary ?? []);
  const count = (status: CaseStatus) => tests.reduce((sum, { statusCounts }) => sum + (statusCounts[status] ?? 0), 0);
  const covered = (of: 'linesCovered' | 'linesMissed' | 'branchesCovered' | 'branchesMissed') =>
    coverage.reduce((sum, part) => sum + (part[of] ?? 0), 0);
  return {
    ...(tests.length > 0 && {
      test_summary: JSON.stringify({
        total: tests.reduce((sum, { total }) => sum + total, 0),
        statusCounts: Object.fromEntries(CASE_STATUSES.map((status) => [status, count(status)])),
        durationInNanoSeconds: Math.max(...tests.map(({ durationInNanoSeconds }) => durationInNanoSeconds)),
      }),
    }),
    ...(coverage.length > 0 && {
      coverage_summary: JSON.stringify(
        coverageShares({
          linesCovered: covered('linesCovered'),
          linesMissed: covered('linesMissed'),
          branchesCovered: covered('branchesCovered'),
          branchesMissed: covered('branchesMissed'),
        }),
      ),
    }),
  };
}
