/** Report groups of CodeBuild with the AWS SDK: made and deleted, listed, watched over time, shared. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CodeBuild, type ReportExportConfig } from '@aws-sdk/client-codebuild';
import { type BuildBench, buildBench } from '../support/codebuild.ts';
import { JUNIT, writing } from '../support/reports.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
let codebuild: CodeBuild;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  codebuild = bench.codebuild;
});
after(() => server.stop());

const fails = (name: string, message?: RegExp) => (error: Error) => error.name === name && (!message || message.test(error.message));
const none: ReportExportConfig = { exportConfigType: 'NO_EXPORT' };
const arnOf = (name: string) => `arn:aws:codebuild:${server.region}:${server.account}:report-group/${name}`;
const group = async (name: string, type: 'TEST' | 'CODE_COVERAGE' = 'TEST', exportConfig = none) =>
  (await codebuild.createReportGroup({ name, type, exportConfig })).reportGroup!.arn!;

test('a group is made, changed, found, listed in every order, and deleted', async () => {
  const s3: ReportExportConfig = { exportConfigType: 'S3', s3Destination: { bucket: 'b-1', packaging: 'ZIP' } };
  const { reportGroup } = await codebuild.createReportGroup({
    name: 'list-b',
    type: 'TEST',
    exportConfig: s3,
    tags: [{ key: 'k', value: 'v' }],
  });
  const arn = arnOf('list-b');
  assert.equal(reportGroup!.arn, arn);
  assert.equal(reportGroup!.status, 'ACTIVE');
  assert.deepEqual(reportGroup!.tags, [{ key: 'k', value: 'v' }]);
  assert.deepEqual(reportGroup!.exportConfig!.s3Destination, {
    bucket: 'b-1',
    path: '',
    packaging: 'ZIP',
    encryptionKey: `arn:aws:kms:${server.region}:${server.account}:alias/aws/s3`,
    encryptionDisabled: false,
  });
  await assert.rejects(group('list-b'), fails('ResourceAlreadyExistsException', new RegExp(arn)));
  await group('list-a', 'CODE_COVERAGE');
  await group('list-c');
  const { reportGroup: changed } = await codebuild.updateReportGroup({ arn, exportConfig: none, tags: [] });
  assert.deepEqual(changed!.exportConfig, none);
  assert.deepEqual(changed!.tags, []);

  const list = async (sortBy: 'NAME' | 'CREATED_TIME' | 'LAST_MODIFIED_TIME', sortOrder: 'ASCENDING' | 'DESCENDING') => {
    const names: string[] = [];
    let nextToken: string | undefined;
    do {
      const page = await codebuild.listReportGroups({ sortBy, sortOrder, maxResults: 2, nextToken });
      assert.ok(page.reportGroups!.length <= 2);
      names.push(...page.reportGroups!.map((each) => each.split('/')[1]!));
      nextToken = page.nextToken;
    } while (nextToken);
    return names.filter((name) => name.startsWith('list-'));
  };
  assert.deepEqual(await list('NAME', 'ASCENDING'), ['list-a', 'list-b', 'list-c']);
  assert.deepEqual(await list('NAME', 'DESCENDING'), ['list-c', 'list-b', 'list-a']);
  assert.deepEqual(await list('CREATED_TIME', 'ASCENDING'), ['list-b', 'list-a', 'list-c']);
  assert.deepEqual(await list('LAST_MODIFIED_TIME', 'DESCENDING'), ['list-b', 'list-c', 'list-a']);
  const { nextToken } = await codebuild.listReportGroups({ maxResults: 1 });
  await assert.rejects(codebuild.listReportGroups({ sortOrder: 'DESCENDING', nextToken }), fails('InvalidInputException', /next token/));

  await codebuild.deleteReportGroup({ arn });
  await codebuild.deleteReportGroup({ arn });
  const { reportGroups, reportGroupsNotFound } = await codebuild.batchGetReportGroups({ reportGroupArns: [arn, arnOf('list-a')] });
  assert.deepEqual(
    reportGroups!.map(({ name }) => name),
    ['list-a'],
  );
  assert.deepEqual(reportGroupsNotFound, [arn]);
  await assert.rejects(codebuild.updateReportGroup({ arn }), fails('ResourceNotFoundException'));
  await assert.rejects(codebuild.listReportsForReportGroup({ reportGroupArn: arn }), fails('ResourceNotFoundException'));
  await assert.rejects(codebuild.getReportGroupTrend({ reportGroupArn: arn, trendField: 'TOTAL' }), fails('ResourceNotFoundException'));
});

test('what no group or report can be is refused', async () => {
  const bad: [Promise<unknown>, RegExp?][] = [
    [group('-x')],
    [group('x')],
    [group('a.b')],
    [codebuild.createReportGroup({ name: 'bad', type: 'TEST', exportConfig: {} }), /exportConfigType/],
    [codebuild.createReportGroup({ name: 'bad', type: 'TEST', exportConfig: { exportConfigType: 'S3' } }), /bucket/],
    [
      codebuild.createReportGroup({
        name: 'bad',
        type: 'TEST',
        exportConfig: { exportConfigType: 'S3', s3Destination: { bucket: '../x' } },
      }),
      /bucket/,
    ],
    [codebuild.createReportGroup({ name: 'bad', type: 'OTHER' as never, exportConfig: none })],
    [codebuild.deleteReportGroup({ arn: 'list-a' }), /Invalid report group ARN/],
    [codebuild.batchGetReportGroups({ reportGroupArns: [arnOf('x').replace(server.region, 'mars-1')] }), /not of the region/],
    [codebuild.batchGetReports({ reportArns: [arnOf('x')] }), /Invalid report ARN/],
    [codebuild.describeTestCases({ reportArn: 'x' }), /Invalid report ARN/],
    [codebuild.listReports({ filter: { status: 'GONE' as never } })],
    [codebuild.listReports({ nextToken: 'forged' }), /next token/],
  ];
  for (const [call, message] of bad) await assert.rejects(call, fails('InvalidInputException', message));
  const missing = `${arnOf('x').replace('report-group', 'report')}:00000000-0000-4000-8000-000000000000`;
  await codebuild.deleteReport({ arn: missing });
  assert.deepEqual((await codebuild.batchGetReports({ reportArns: [missing] })).reportsNotFound, [missing]);
  await assert.rejects(codebuild.describeTestCases({ reportArn: missing }), fails('ResourceNotFoundException'));
  await assert.rejects(codebuild.describeCodeCoverages({ reportArn: missing }), fails('InvalidInputException', /cannot be found/));
});

test('trends, lists and deletion of several reports of one group', async () => {
  const arn = await group('trend');
  const junit = (good: number, bad: number) =>
    `<testsuite>${'<testcase name="g" time="0.001"/>'.repeat(good)}${'<testcase name="b"><error/></testcase>'.repeat(bad)}</testsuite>`;
  const made: string[] = [];
  for (const [good, bad] of [
    [1, 3],
    [2, 0],
  ] as const) {
    await bench.project(`trend-${good}`, writing({ 'r.xml': junit(good, bad) }, `  ${arn}: {files: [r.xml]}\n`));
    made.push(...(await bench.build(`trend-${good}`)).reportArns!);
  }
  const trend = async (trendField: 'PASS_RATE' | 'DURATION' | 'TOTAL' | 'LINE_COVERAGE', numOfReports?: number) =>
    codebuild.getReportGroupTrend({ reportGroupArn: arn, trendField, numOfReports });
  const { stats, rawData } = await trend('PASS_RATE');
  assert.deepEqual(stats, { average: '62.5', max: '100', min: '25' });
  assert.deepEqual(rawData, [
    { reportArn: made[1], data: '100' },
    { reportArn: made[0], data: '25' },
  ]);
  assert.deepEqual((await trend('TOTAL', 1)).stats, { average: '2', max: '2', min: '2' });
  assert.deepEqual(
    (await trend('DURATION')).rawData!.map(({ data }) => data),
    ['2000000', '1000000'],
  );
  await assert.rejects(trend('LINE_COVERAGE'), fails('InvalidInputException', /CODE_COVERAGE/));

  const list = async (input: object) => (await codebuild.listReportsForReportGroup({ reportGroupArn: arn, ...input })).reports;
  assert.deepEqual(await list({}), [made[1], made[0]]);
  assert.deepEqual(await list({ sortOrder: 'ASCENDING' }), made);
  assert.deepEqual(await list({ filter: { status: 'FAILED' } }), [made[0]]);
  const { reports, nextToken } = await codebuild.listReportsForReportGroup({ reportGroupArn: arn, maxResults: 1 });
  assert.deepEqual(reports, [made[1]]);
  assert.deepEqual(await list({ maxResults: 1, nextToken }), [made[0]]);
  assert.deepEqual((await codebuild.listReports({ maxResults: 2 })).reports, [made[1], made[0]]);

  await assert.rejects(codebuild.deleteReportGroup({ arn }), fails('InvalidInputException', /contains reports/));
  await codebuild.deleteReport({ arn: made[0] });
  await gone(async () => (await codebuild.batchGetReports({ reportArns: [made[0]!] })).reports!.map(({ status }) => status));
  await codebuild.deleteReportGroup({ arn, deleteReports: true });
  await gone(async () => (await codebuild.batchGetReportGroups({ reportGroupArns: [arn] })).reportGroups!.map(({ status }) => status));
  assert.deepEqual((await codebuild.batchGetReports({ reportArns: made })).reportsNotFound, made);
  await group('trend', 'CODE_COVERAGE');
});

/** Until there is none any more; up to then it is being deleted. */
async function gone(statuses: () => Promise<(string | undefined)[]>): Promise<void> {
  for (;;) {
    const found = await statuses();
    if (found.length === 0) return;
    assert.deepEqual(found, ['DELETING']);
    await delay(20);
  }
}

const OTHER = '111122223333';

async function otherAccount(): Promise<CodeBuild> {
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'account', 'add', OTHER, '--data', server.dataDir], {
    env: server.env,
  });
  const [accessKeyId = '', secretAccessKey = ''] = [...stdout.matchAll(/='([^']+)'/g)].map((match) => match[1]!);
  return new CodeBuild({ ...server.client, credentials: { accessKeyId, secretAccessKey } });
}

test('a group is shared with another account for reading, and nobody else reads it', async () => {
  const arn = await group('lent');
  await bench.project('lender', writing({ 'r.xml': JUNIT }, `  ${arn}: {files: [r.xml]}\n`));
  const [report] = (await bench.build('lender')).reportArns!;
  const other = await otherAccount();
  await assert.rejects(other.batchGetReports({ reportArns: [report!] }), fails('AccessDeniedException'));
  assert.deepEqual((await other.listSharedReportGroups({})).reportGroups, []);
  const statement = {
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${OTHER}:root` },
    Action: ['codebuild:BatchGetReports', 'codebuild:BatchGetReportGroups', 'codebuild:DescribeTestCases'],
    Resource: arn,
  };
  await codebuild.putResourcePolicy({ resourceArn: arn, policy: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }) });
  assert.deepEqual((await other.listSharedReportGroups({})).reportGroups, [arn]);
  assert.deepEqual((await codebuild.listSharedReportGroups({})).reportGroups, [], 'one’s own are not shared with oneself');
  assert.equal((await other.batchGetReports({ reportArns: [report!] })).reports![0]!.arn, report);
  assert.equal((await other.describeTestCases({ reportArn: report })).testCases!.length, 3);
  await assert.rejects(other.listReportsForReportGroup({ reportGroupArn: arn }), fails('AccessDeniedException'));
  await assert.rejects(other.deleteReport({ arn: report }), fails('AccessDeniedException'));
  await codebuild.deleteReportGroup({ arn, deleteReports: true });
  await gone(async () => (await codebuild.batchGetReportGroups({ reportGroupArns: [arn] })).reportGroups!.map(({ status }) => status));
  assert.deepEqual((await other.listSharedReportGroups({})).reportGroups, []);
});
