/** One report of a build into its group: read, stored, exported and closed, all as the build's service role. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { AwsError } from '../../../platform/errors.ts';
import { buildArn } from '../names.ts';
import type { SourceContext } from '../sources/fetch.ts';
import type { BuildRow } from '../tables.ts';
import { exportFiles } from './export.ts';
import { ReportFailure } from './failure.ts';
import { FORMATS } from './formats/formats.ts';
import type { ReportType } from './formats/result.ts';
import type { ParsedReport } from './parsed-report.ts';
import { type CollectedReport, readReport } from './read-report.ts';
import { groupArn } from './report-rows.ts';
import { coverageShares } from './shares.ts';

/** A build's, not a sandbox's: only builds make reports. */
type ReportContext = Omit<SourceContext, 'row'> & { row: BuildRow };

/** Rows of one call. */
const BATCH = 500;

/** Throws ReportFailure; the report that was begun is INCOMPLETE then. */
export async function storeReport(context: ReportContext, report: CollectedReport): Promise<void> {
  const { clients, row, machine, log, signal, directory } = context;
  const { codebuild } = clients;
  const { type } = FORMATS[report.format];
  const groups = await groupsOf(context, report.group, type);
  const made = await told('error creating report', () => codebuild.createReport({ ...groups, executionId: buildArn(row), type }));
  const { arn = '', exportConfig } = made.report ?? {};
  log.agent(`Preparing to copy ${type} report ${arn}`);
  const id = arn.slice(arn.lastIndexOf(':') + 1);
  const folder = path.join(directory, `report-${id}`);
  try {
    const { parsed, files } = await readReport(machine, report, folder, log, signal);
    await told('error updating report', () => putContents(context, arn, parsed));
    const { s3Destination } = exportConfig ?? {};
    if (exportConfig?.exportConfigType === 'S3' && s3Destination) {
      await told('error exporting report', () => exportFiles(clients.s3, s3Destination, id, files, folder));
    }
    await told('error updating report', () => codebuild.updateReport({ reportArn: arn, truncated: parsed.truncated, ...resultOf(parsed) }));
  } catch (error) {
    // When this fails too, the build's end does it.
    await codebuild.updateReport({ reportArn: arn, status: 'INCOMPLETE' }).catch(() => {});
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The report's group. The parts of a build-fanout have groups of their own, and the batch's report of all of them goes into the one that is named. */
async function groupsOf(
  context: ReportContext,
  given: string,
  type: ReportType,
): Promise<{ reportGroupArn: string; mergedGroupArn?: string }> {
  const { row } = context;
  const named = given.startsWith('arn:') ? given : await makeGroup(context, `${row.project}-${given}`, type);
  const shard = row.batch_build?.shard;
  if (!shard) return { reportGroupArn: named };
  const own = `${named.slice(named.indexOf('/') + 1)}BuildFanoutShard${shard.index}`;
  return { reportGroupArn: await makeGroup(context, own, type), mergedGroupArn: named };
}

/** A name stands for a group of this project, which its first build makes. */
async function makeGroup({ clients, row }: ReportContext, name: string, type: ReportType): Promise<string> {
  const given = { name, type, exportConfig: { exportConfigType: 'NO_EXPORT' as const } };
  await told('error creating report group', async () => {
    await clients.codebuild.createReportGroup(given).catch((error) => {
      if (!(error instanceof AwsError && error.code === 'ResourceAlreadyExistsException')) throw error;
    });
  });
  return groupArn(row, name);
}

async function putContents({ clients: { codebuild } }: ReportContext, arn: string, { type, cases, coverage }: ParsedReport): Promise<void> {
  for (let offset = 0; type === 'TEST' && offset < cases.length; offset += BATCH) {
    const testCases = cases.slice(offset, offset + BATCH).map(({ file, duration, suite, ...found }) => ({
      ...found,
      testRawDataPath: file,
      durationInNanoSeconds: duration,
      testSuiteName: suite,
    }));
    await codebuild.batchPutTestCases({ reportArn: arn, offset, testCases });
  }
  for (let offset = 0; type === 'CODE_COVERAGE' && offset < coverage.length; offset += BATCH) {
    const codeCoverages = coverage.slice(offset, offset + BATCH).map((found) => ({ filePath: found.filePath, ...coverageShares(found) }));
    await codebuild.batchPutCodeCoverages({ reportArn: arn, offset, codeCoverages });
  }
}

function resultOf({ type, statusCounts, duration, coverage }: ParsedReport) {
  if (type === 'TEST') {
    const total = Object.values(statusCounts).reduce((sum, count) => sum + count, 0);
    const failed = statusCounts.FAILED + statusCounts.ERROR > 0;
    return {
      status: failed ? ('FAILED' as const) : ('SUCCEEDED' as const),
      testSummary: { total, statusCounts, durationInNanoSeconds: duration },
    };
  }
  const sum = (of: 'linesCovered' | 'linesMissed' | 'branchesCovered' | 'branchesMissed') =>
    coverage.reduce((all, file) => all + file[of], 0);
  const totals = {
    linesCovered: sum('linesCovered'),
    linesMissed: sum('linesMissed'),
    branchesCovered: sum('branchesCovered'),
    branchesMissed: sum('branchesMissed'),
  };
  return { status: 'SUCCEEDED' as const, codeCoverageSummary: coverageShares(totals) };
}

/** An error of an API call becomes the report's, in the words of CodeBuild. */
async function told<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof AwsError) throw new ReportFailure(`${what}: ${error.code}: ${error.message}`);
    throw error;
  }
}
