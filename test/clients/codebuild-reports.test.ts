/** Reports of CodeBuild with the AWS SDK: groups, and what builds hand in to them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CodeBuild, type ReportExportConfig } from '@aws-sdk/client-codebuild';
import { allow, type BuildBench, buildBench, phaseLines, trust } from '../support/codebuild.ts';
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

/** A buildspec whose build writes these files and hands them in. */
function writing(files: Record<string, string>, reports: string): string {
  const commands = Object.entries(files).map(([name, text]) => `mkdir -p "$(dirname ${name})" && printf %s ${quoted(text)} >${name}`);
  return `version: 0.2\nphases:\n  build:\n    commands:\n${commands.map((text) => `      - ${JSON.stringify(text)}\n`).join('')}reports:\n${reports}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const JUNIT = `<testsuite name="unit"><testcase classname="a.B" name="fine" time="0.25"/><testcase classname="a.B" name="fails 100%" time="0.5">
<failure message="no">trace</failure></testcase><testcase classname="c.D" name="later"><skipped/></testcase></testsuite>`;
const JACOCO = `<report name="x"><package name="p"><sourcefile name="A.java"><counter type="LINE" missed="1" covered="10"/><counter type="BRANCH" missed="1" covered="1"/></sourcefile>
<sourcefile name="B.java"><counter type="LINE" missed="5" covered="5"/></sourcefile><sourcefile name="C.java"/></package></report>`;

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

test('a failed build leaves its reports, and what is in them is found page by page', async () => {
  const own = await group('shared-coverage', 'CODE_COVERAGE');
  const spec = writing(
    { 'out/unit.xml': JUNIT, 'jacoco.xml': JACOCO },
    `  unit: {files: ['*.xml'], base-directory: out}\n  ${own}: {files: [jacoco.xml], file-format: JACOCOXML}\n`,
  );
  await bench.project('tested', spec.replace('reports:', '      - exit 1\nreports:'));
  const build = await bench.build('tested');
  assert.equal(build.buildStatus, 'FAILED');
  assert.ok(phaseLines(build).includes('UPLOAD_ARTIFACTS SUCCEEDED'), phaseLines(build).join('\n'));
  const [tests, coverage] = build.reportArns!;
  assert.match(tests!, /:report\/tested-unit:[0-9a-f-]{36}$/);

  const { reports } = await codebuild.batchGetReports({ reportArns: [tests!, coverage!] });
  const { created, expired, ...report } = reports![0]!;
  assert.equal(expired!.getTime() - created!.getTime(), 30 * 24 * 3600_000);
  assert.deepEqual(report, {
    arn: tests,
    type: 'TEST',
    name: 'tested-unit',
    reportGroupArn: arnOf('tested-unit'),
    executionId: build.arn,
    status: 'FAILED',
    exportConfig: none,
    truncated: false,
    testSummary: {
      total: 3,
      statusCounts: { SUCCEEDED: 1, FAILED: 1, ERROR: 0, SKIPPED: 1, UNKNOWN: 0 },
      durationInNanoSeconds: 750_000_000,
    },
  });
  assert.equal(reports![1]!.status, 'SUCCEEDED');
  assert.deepEqual(reports![1]!.codeCoverageSummary, {
    lineCoveragePercentage: 71.42,
    linesCovered: 15,
    linesMissed: 6,
    branchCoveragePercentage: 50,
    branchesCovered: 1,
    branchesMissed: 1,
  });

  const { testCases, nextToken } = await codebuild.describeTestCases({ reportArn: tests, maxResults: 2 });
  assert.deepEqual(testCases![1], {
    reportArn: tests,
    testRawDataPath: 'unit.xml',
    prefix: 'a.B',
    name: 'fails 100%',
    status: 'FAILED',
    durationInNanoSeconds: 500_000_000,
    message: 'no\ntrace',
    expired,
    testSuiteName: 'unit',
  });
  const rest = await codebuild.describeTestCases({ reportArn: tests, maxResults: 2, nextToken });
  assert.deepEqual(
    rest.testCases!.map(({ name }) => name),
    ['later'],
  );
  assert.equal(rest.nextToken, undefined);
  const named = async (filter: { status?: string; keyword?: string }) =>
    (await codebuild.describeTestCases({ reportArn: tests, filter })).testCases!.map(({ name }) => name);
  assert.deepEqual(await named({ status: 'SKIPPED' }), ['later']);
  assert.deepEqual(await named({ keyword: 'a.B' }), ['fine', 'fails 100%']);
  assert.deepEqual(await named({ keyword: '100%' }), ['fails 100%']);
  assert.deepEqual(await named({ keyword: '%', status: 'SUCCEEDED' }), []);
  await assert.rejects(named({ status: 'PASSED' }), fails('InvalidInputException', /status PASSED/));

  const covered = async (input: object) => {
    const paths: string[] = [];
    let token: string | undefined;
    do {
      const page = await codebuild.describeCodeCoverages({ reportArn: coverage, maxResults: 1, nextToken: token, ...input });
      paths.push(...page.codeCoverages!.map(({ filePath }) => filePath!));
      token = page.nextToken;
    } while (token);
    return paths;
  };
  assert.deepEqual(await covered({}), ['p/A.java', 'p/B.java', 'p/C.java']);
  assert.deepEqual(await covered({ sortBy: 'LINE_COVERAGE_PERCENTAGE', sortOrder: 'DESCENDING' }), ['p/A.java', 'p/B.java', 'p/C.java']);
  assert.deepEqual(await covered({ sortBy: 'FILE_PATH', sortOrder: 'DESCENDING', maxLineCoveragePercentage: 50 }), [
    'p/C.java',
    'p/B.java',
  ]);
  assert.deepEqual(await covered({ minLineCoveragePercentage: 50, maxLineCoveragePercentage: 90 }), ['p/B.java']);
  await assert.rejects(covered({ minLineCoveragePercentage: 60, maxLineCoveragePercentage: 50 }), fails('InvalidInputException'));
  const [first] = (await codebuild.describeCodeCoverages({ reportArn: coverage })).codeCoverages!;
  assert.equal(first!.lineCoveragePercentage, 90.9, 'as AWS cuts 10 of 11');
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

test('the files are exported to S3, plain or as an archive', async () => {
  const destination = { bucket: bench.bucket, path: '/raw/' };
  const plain = await group('plain', 'TEST', { exportConfigType: 'S3', s3Destination: destination });
  const zipped = await group('zipped', 'TEST', {
    exportConfigType: 'S3',
    s3Destination: { ...destination, packaging: 'ZIP', path: 'zip' },
  });
  const strange = await group('strange', 'TEST', {
    exportConfigType: 'S3',
    s3Destination: { ...destination, bucketOwner: '999999999999' },
  });
  const files = { 'a/r.xml': JUNIT, 'b/r.xml': JUNIT };
  await bench.project(
    'exported',
    writing(
      files,
      `  ${plain}: {files: ['**/*.xml']}\n  ${zipped}: {files: ['**/*.xml'], discard-paths: yes}\n  ${strange}: {files: [a/r.xml]}\n`,
    ),
  );
  const build = await bench.build('exported');
  const [one, two, three] = build.reportArns!.map((arn) => arn.split(':').at(-1)!);
  const { Contents } = await bench.s3.listObjectsV2({ Bucket: bench.bucket });
  const keys = Contents!.map(({ Key }) => Key!).filter((key) => /^(raw|zip)\//.test(key));
  assert.deepEqual(keys, [`raw/${one}/a/r.xml`, `raw/${one}/b/r.xml`, `zip/${two}.zip`]);
  const object = await bench.s3.getObject({ Bucket: bench.bucket, Key: keys[0] });
  assert.equal(await object.Body!.transformToString(), JUNIT);
  const archive = await bench.s3.getObject({ Bucket: bench.bucket, Key: keys[2] });
  assert.equal((await archive.Body!.transformToString('latin1')).match(/PK\x01\x02/g)!.length, 1, 'one file, since both have one name');
  const { reports } = await codebuild.batchGetReports({ reportArns: [build.reportArns![2]!] });
  assert.equal(reports![0]!.status, 'INCOMPLETE', `the bucket is not of 999999999999, so ${three} was not exported`);
  assert.match(
    phaseLines(build).join('\n'),
    /UPLOAD_ARTIFACTS FAILED CLIENT_ERROR: Error in UPLOAD_ARTIFACTS phase: \[arn:\S+: \[error exporting report: AccessDenied/,
  );
});

test('a build may only do what its role allows, and only where the types match', async () => {
  const { Role } = await bench.iam.createRole({ RoleName: 'narrow', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  const policy = (...actions: string[]) =>
    bench.iam.putRolePolicy({ RoleName: 'narrow', PolicyName: 'p', PolicyDocument: allow([...actions, 'logs:*', 's3:*']) });
  const open = await group('open');
  const coverage = await group('only-coverage', 'CODE_COVERAGE');
  const project = async (name: string, reports: string) => {
    await bench.project(name, writing({ 'r.xml': JUNIT }, reports), { serviceRole: Role!.Arn! });
    const build = await bench.build(name);
    return { build, upload: phaseLines(build).find((line) => line.startsWith('UPLOAD_ARTIFACTS'))! };
  };
  await policy();
  const first = await project('no-rights', '  unit: {files: [r.xml]}\n');
  assert.equal(first.build.buildStatus, 'FAILED');
  assert.match(
    first.upload,
    /FAILED CLIENT_ERROR: Error in UPLOAD_ARTIFACTS phase: \[unit: \[error creating report group: AccessDeniedException: User: arn:aws:sts::\d{12}:assumed-role\/narrow\/AWSCodeBuild-\S+ is not authorized to perform: codebuild:CreateReportGroup on resource: arn:\S+:report-group\/no-rights-unit/,
  );
  assert.equal(first.build.reportArns, undefined);

  await policy('codebuild:CreateReport', 'codebuild:UpdateReport');
  const second = await project('some-rights', `  ${open}: {files: [r.xml]}\n`);
  assert.match(second.upload, /error updating report: AccessDeniedException: .*codebuild:BatchPutTestCases/);
  const { reports } = await codebuild.batchGetReports({ reportArns: second.build.reportArns! });
  assert.equal(reports![0]!.status, 'INCOMPLETE');

  await policy('codebuild:*');
  const third = await project(
    'all-rights',
    `  ${open}: {files: [r.xml]}\n  ${coverage}: {files: [r.xml]}\n  ${arnOf('missing')}: {files: [r.xml]}\n`,
  );
  assert.match(
    third.upload,
    /only-coverage: \[error creating report: InvalidInputException: .*is of type CODE_COVERAGE, the report of type TEST\]/,
  );
  assert.match(third.upload, /missing: \[error creating report: ResourceNotFoundException/);
  assert.equal((await codebuild.batchGetReports({ reportArns: third.build.reportArns! })).reports![0]!.status, 'FAILED');

  const many = Array.from({ length: 6 }, (_, index) => `  r${index}: {files: [r.xml]}\n`).join('');
  await bench.project('many', writing({}, many));
  assert.match(phaseLines(await bench.build('many')).join('\n'), /YAML_FILE_ERROR: reports has 6 report groups/);
});

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

test('the reports of a fan-out become one of the batch', async () => {
  const coverage = await group('whole', 'CODE_COVERAGE');
  // Each part has a test of its own, and the second fails.
  const commands = [
    'i=$CODEBUILD_CURRENT_SHARD',
    `echo "<testsuite><testcase name='t$i' time='$((i + 1))'>" >r.xml`,
    '[ $i = 0 ] || echo "<failure/>" >>r.xml',
    'echo "</testcase></testsuite>" >>r.xml',
    `echo '${JACOCO.replaceAll('\n', '')}' >c.xml`,
  ];
  const buildspec = `version: 0.2
batch: {build-fanout: {parallelism: 2}}
phases: {build: {commands: ${JSON.stringify(commands)}}}
reports:
  parts: {files: [r.xml]}
  ${coverage}: {files: [c.xml], file-format: JACOCOXML}
`;
  await bench.project('fan', buildspec, { buildBatchConfig: { serviceRole: bench.role } });
  const { buildBatch } = await codebuild.startBuildBatch({ projectName: 'fan' });
  let batch = buildBatch!;
  while (!batch.complete) {
    await delay(50);
    batch = (await codebuild.batchGetBuildBatches({ ids: [batch.id!] })).buildBatches![0]!;
  }
  assert.equal(batch.buildBatchStatus, 'SUCCEEDED');
  const { reports } = await codebuild.batchGetReports({ reportArns: batch.reportArns! });
  const [tests, lines] = reports!;
  assert.equal(tests!.reportGroupArn, arnOf('fan-parts'));
  assert.equal(tests!.executionId, batch.arn);
  assert.equal(tests!.status, 'FAILED');
  assert.equal(tests!.testSummary!.total, 2);
  assert.equal(tests!.testSummary!.durationInNanoSeconds, 2e9, 'the longest of those that ran beside each other');
  assert.equal(lines!.reportGroupArn, coverage);
  assert.equal(lines!.status, 'SUCCEEDED');
  assert.equal(lines!.codeCoverageSummary!.linesCovered, 30);
  const { testCases } = await codebuild.describeTestCases({ reportArn: tests!.arn });
  assert.deepEqual(testCases!.map(({ name, status }) => [name, status]).sort(), [
    ['t0', 'SUCCEEDED'],
    ['t1', 'FAILED'],
  ]);
  assert.equal((await codebuild.describeCodeCoverages({ reportArn: lines!.arn })).codeCoverages!.length, 6);
  const parts = await codebuild.listReportsForReportGroup({ reportGroupArn: arnOf('fan-partsBuildFanoutShard1') });
  assert.equal(parts.reports!.length, 1);
  assert.deepEqual((await codebuild.listReportsForReportGroup({ reportGroupArn: coverage })).reports, [lines!.arn]);
});

test('results that nobody named are found, if the project lets CodeBuild look and the role lets it make reports', async () => {
  const spec = writing({ 'deep/r.xml': JUNIT }, '  unused: {files: [nothing]}\n').replace(/reports:[^]*/, '');
  await bench.project('found', spec);
  const build = await bench.build('found');
  assert.match(build.reportArns![0]!, /report\/found-JUNITXML-AutoDiscovered:/);
  const setting = { name: 'CODEBUILD_CONFIG_AUTO_DISCOVER', value: 'false' };
  assert.equal((await bench.build('found', { environmentVariablesOverride: [setting] })).reportArns, undefined);
  const { Role } = await bench.iam.createRole({ RoleName: 'logs-only', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await bench.iam.putRolePolicy({ RoleName: 'logs-only', PolicyName: 'p', PolicyDocument: allow('logs:*') });
  const poor = await bench.build('found', { serviceRoleOverride: Role!.Arn! });
  assert.equal(poor.buildStatus, 'SUCCEEDED');
  assert.match(await bench.log(poor), /AutoDiscovered could not be made: error creating report group: AccessDeniedException/);
});
