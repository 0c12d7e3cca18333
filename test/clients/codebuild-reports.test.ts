/** What builds hand in as reports, with the AWS SDK. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { CodeBuild, ReportExportConfig } from '@aws-sdk/client-codebuild';
import { allow, type BuildBench, buildBench, phaseLines, trust } from '../support/codebuild.ts';
import { JACOCO, JUNIT, writing } from '../support/reports.ts';
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
  const spec = writing({ 'deep/r.xml': JUNIT }, '  {}\n');
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
