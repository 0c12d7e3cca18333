/** How reports are handed in, end and go, with the time and the builds that the tests choose. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import type { Platform } from '../../../platform/platform.ts';
import { endLocked } from '../engine/record.ts';
import { buildArn } from '../names.ts';
import { SUCCEEDED } from '../runner/outcome.ts';
import { codebuild } from '../service.ts';
import type { BuildRow } from '../tables.ts';
import { reportGroupReconciler, reportReconciler } from './deletion.ts';
import { mergeReports } from './merge.ts';

const DAY_MS = 24 * 60 * 60_000;
const signal = new AbortController().signal;

let bench: TestPlatform;
let platform: Platform;
const NOON = new Date('2026-11-22T12:00:00Z');
let now = NOON;

before(async () => {
  bench = await openPlatform(codebuild, {
    now: () => now,
    config: { dataDir: '/nonexistent', concurrentBuilds: 0 } as Platform['config'],
    aws: { credentials: async () => ({}) } as never,
  });
  platform = bench.platform;
  await bench.call('codebuild', 'CreateProject', {
    name: 'app',
    source: { type: 'NO_SOURCE', buildspec: 'version: 0.2\n' },
    artifacts: { type: 'NO_ARTIFACTS' },
    environment: { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' },
    serviceRole: 'arn:aws:iam::123456789012:role/builds',
  });
});
after(() => bench[Symbol.asyncDispose]());
beforeEach(async () => {
  now = NOON;
  await platform.transaction(async (tx) => {
    for (const table of ['codebuild.reports', 'codebuild.report_groups', 'codebuild.builds'] as const)
      await tx.sql.deleteFrom(table).execute();
  });
  await bench.clearJobs();
});

async function build(): Promise<BuildRow> {
  const { build } = await bench.call('codebuild', 'StartBuild', { projectName: 'app' });
  return rowOf(build!.id!.split(':')[1]!);
}

const rowOf = (id: string) => platform.read.selectFrom('codebuild.builds').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

async function group(name: string, type: 'TEST' | 'CODE_COVERAGE' = 'TEST'): Promise<string> {
  const { reportGroup } = await bench.call('codebuild', 'CreateReportGroup', {
    name,
    type,
    exportConfig: { exportConfigType: 'NO_EXPORT' },
  });
  return reportGroup!.arn!;
}

async function report(
  reportGroupArn: string,
  of: BuildRow,
  more: { mergedGroupArn?: string; type?: 'CODE_COVERAGE' } = {},
): Promise<string> {
  const { report } = await bench.call('codebuild', 'CreateReport', { reportGroupArn, executionId: buildArn(of), type: 'TEST', ...more });
  return report!.arn!;
}

const summary = (counts: Record<string, number>, durationInNanoSeconds = 1) => ({
  total: Object.values(counts).reduce((sum, count) => sum + count, 0),
  statusCounts: counts,
  durationInNanoSeconds,
});
const cases = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `t${index}`, status: 'SUCCEEDED' }));
const status = async (reportArn: string) =>
  (await bench.call('codebuild', 'BatchGetReports', { reportArns: [reportArn] })).reports?.[0]?.status;
const refused = (code: string, message: RegExp) => (error: Error & { code?: string }) => error.code === code && message.test(error.message);

test('what is handed in twice is there once, and a closed report stays as it is', async () => {
  const arn = await report(await group('g'), await build());
  for (const _ of [1, 2]) await bench.call('codebuild', 'BatchPutTestCases', { reportArn: arn, offset: 0, testCases: cases(3) });
  await bench.call('codebuild', 'BatchPutTestCases', { reportArn: arn, offset: 3, testCases: cases(2) });
  const close = (how: 'SUCCEEDED' | 'FAILED') =>
    bench.call('codebuild', 'UpdateReport', { reportArn: arn, status: how, testSummary: summary({ SUCCEEDED: 5 }) });
  for (const _ of [1, 2]) await close('SUCCEEDED');
  const { testCases } = await bench.call('codebuild', 'DescribeTestCases', { reportArn: arn });
  assert.deepEqual(
    testCases!.map(({ name }) => name),
    ['t0', 't1', 't2', 't0', 't1'],
  );
  await assert.rejects(close('FAILED'), refused('InvalidInputException', /its status is SUCCEEDED/));
  const late = bench.call('codebuild', 'BatchPutTestCases', { reportArn: arn, offset: 5, testCases: cases(1) });
  await assert.rejects(late, refused('InvalidInputException', /its status is SUCCEEDED/));
});

test('only a build in progress makes reports, at most five, of the type of their group', async () => {
  const one = await build();
  const tests = await group('tests');
  const coverage = await group('coverage', 'CODE_COVERAGE');
  await assert.rejects(report(coverage, one), refused('InvalidInputException', /is of type CODE_COVERAGE, the report of type TEST/));
  await assert.rejects(report(tests, one, { mergedGroupArn: coverage }), refused('InvalidInputException', /is of type CODE_COVERAGE/));
  await assert.rejects(report(`${tests}x`, one), refused('ResourceNotFoundException', /Report group cannot be found/));
  await assert.rejects(report(tests, { ...one, account: '111122223333' }), refused('InvalidInputException', /Invalid execution ID/));
  const arns = [];
  for (let count = 0; count < 5; count++) arns.push(await report(tests, one));
  await assert.rejects(report(tests, one), refused('InvalidInputException', /cannot have more than 5 reports/));
  assert.deepEqual((await rowOf(one.id)).report_arns, arns);
  await platform.transaction(async (tx) => endLocked(tx, platform, await rowOf(one.id), { status: 'SUCCEEDED', outcome: SUCCEEDED }));
  assert.equal(await status(arns[0]!), 'INCOMPLETE', 'what was begun when the build ended');
  await assert.rejects(report(tests, one), refused('InvalidInputException', /in progress/));
});

test('a report is gone after 30 days, for everybody at once and then for good', async () => {
  const reportGroup = await group('g');
  const arn = await report(reportGroup, await build());
  await bench.call('codebuild', 'BatchPutTestCases', { reportArn: arn, offset: 0, testCases: cases(2) });
  await bench.call('codebuild', 'UpdateReport', { reportArn: arn, status: 'SUCCEEDED', testSummary: summary({ SUCCEEDED: 2 }) });
  now = new Date(now.getTime() + 30 * DAY_MS - 1);
  assert.equal(await status(arn), 'SUCCEEDED');
  await assert.rejects(
    bench.call('codebuild', 'DeleteReportGroup', { arn: reportGroup }),
    refused('InvalidInputException', /contains reports/),
  );
  assert.deepEqual(await reportReconciler.pending(platform), []);
  now = new Date(now.getTime() + 1);
  assert.equal(await status(arn), undefined);
  assert.deepEqual((await bench.call('codebuild', 'ListReports', {})).reports, []);
  await bench.call('codebuild', 'DeleteReportGroup', { arn: reportGroup });
  const [id] = await reportReconciler.pending(platform);
  await reportReconciler.run(platform, id!, signal);
  assert.deepEqual(await reportReconciler.pending(platform), []);
  assert.deepEqual(await platform.read.selectFrom('codebuild.test_cases').select('name').execute(), []);
});

test('a deleted group takes all of its reports along, however many rows they have', async () => {
  const arn = await group('g');
  for (const _ of [1, 2]) {
    const one = await report(arn, await build());
    for (let offset = 0; offset < 6000; offset += 500) {
      await bench.call('codebuild', 'BatchPutTestCases', { reportArn: one, offset, testCases: cases(500) });
    }
  }
  await bench.call('codebuild', 'DeleteReportGroup', { arn, deleteReports: true });
  await assert.rejects(group('g'), refused('ResourceAlreadyExistsException', /already exists/));
  await assert.rejects(report(arn, await build()), refused('ResourceNotFoundException', /cannot be found/));
  const [id] = await reportGroupReconciler.pending(platform);
  await reportGroupReconciler.run(platform, id!, signal);
  await reportGroupReconciler.run(platform, id!, signal);
  assert.deepEqual(await platform.read.selectFrom('codebuild.test_cases').select('name').limit(1).execute(), []);
  await group('g');
});

test('the parts of a batch are merged: one that failed fails it, one that is missing leaves it incomplete', async () => {
  const whole = await group('whole');
  const parts = await Promise.all([0, 1].map((index) => group(`part-${index}`)));
  const merged = async (...statuses: ('SUCCEEDED' | 'FAILED' | 'INCOMPLETE' | undefined)[]) => {
    const builds = [];
    for (const [index, how] of statuses.entries()) {
      const of = await build();
      builds.push(of.id);
      if (!how) continue;
      const arn = await report(parts[index]!, of, { mergedGroupArn: whole });
      await bench.call('codebuild', 'BatchPutTestCases', { reportArn: arn, offset: 0, testCases: cases(2) });
      const testSummary = how === 'INCOMPLETE' ? undefined : summary({ SUCCEEDED: 1, FAILED: 1 }, 10 + index);
      await bench.call('codebuild', 'UpdateReport', { reportArn: arn, status: how, truncated: index === 1, testSummary });
    }
    const batch = { id: '00000000-0000-4000-8000-000000000000', arn: 'the batch', account: '123456789012', region: 'us-east-1', builds };
    const [arn] = await platform.transaction((tx) => mergeReports(tx, platform, batch));
    return arn === undefined ? undefined : (await bench.call('codebuild', 'BatchGetReports', { reportArns: [arn] })).reports![0]!;
  };
  const good = await merged('SUCCEEDED', 'SUCCEEDED');
  assert.equal(good!.status, 'SUCCEEDED');
  assert.equal(good!.truncated, true);
  assert.deepEqual(good!.testSummary, {
    total: 4,
    statusCounts: { SUCCEEDED: 2, FAILED: 2, ERROR: 0, SKIPPED: 0, UNKNOWN: 0 },
    durationInNanoSeconds: 11,
  });
  const { testCases } = await bench.call('codebuild', 'DescribeTestCases', { reportArn: good!.arn! });
  assert.deepEqual(
    testCases!.map(({ name }) => name),
    ['t0', 't1', 't0', 't1'],
  );
  assert.equal((await merged('FAILED', 'INCOMPLETE'))!.status, 'FAILED');
  assert.equal((await merged('SUCCEEDED', 'INCOMPLETE'))!.status, 'INCOMPLETE');
  assert.equal((await merged('SUCCEEDED', undefined))!.status, 'INCOMPLETE');
  assert.equal(await merged(undefined, undefined), undefined);
});

test('an account has 1000 report groups at most, and the error of a name that is taken stays its own', async () => {
  await group('first');
  await sql`insert into codebuild.report_groups
    select gen_random_uuid(), account, region, 'copy-' || number, type, export_config, tags, status, created_at, modified_at
    from codebuild.report_groups, generate_series(2, 1000) number`.execute(platform.read);
  await assert.rejects(group('one-more'), refused('AccountLimitExceededException', /more than 1000 report groups/));
  await assert.rejects(group('first'), refused('ResourceAlreadyExistsException', /already exists/));
});
