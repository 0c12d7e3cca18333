/** Logs Insights by the AWS SDK: queries that run in the background, their results, and single events by their pointers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs, type GetQueryResultsCommandOutput, type StartQueryCommandInput } from '@aws-sdk/client-cloudwatch-logs';
import { IAM } from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let logs: CloudWatchLogs;
/** A moment of which all events are some milliseconds before or after. */
let middle = 0;

before(async () => {
  server = await startServer();
  logs = new CloudWatchLogs({ ...server.client, disableHostPrefix: true });
  middle = Date.now() - 60_000;
  for (const logGroupName of ['app', 'other']) {
    await logs.createLogGroup({ logGroupName });
    for (const logStreamName of ['a', 'b']) await logs.createLogStream({ logGroupName, logStreamName });
  }
  for (let page = 0; page < 5; page += 1) {
    const logEvents = Array.from({ length: 1_000 }, (_, index) => {
      const n = page * 1_000 + index;
      return { timestamp: middle + n, message: JSON.stringify({ n, level: n % 10 === 0 ? 'error' : 'info', user: { id: n % 3 } }) };
    });
    await logs.putLogEvents({ logGroupName: 'app', logStreamName: page % 2 ? 'a' : 'b', logEvents });
  }
  const plain = ['first', 'second'].map((message, index) => ({ timestamp: middle + 10_000 * index, message }));
  await logs.putLogEvents({ logGroupName: 'other', logStreamName: 'a', logEvents: plain });
});
after(async () => {
  logs?.destroy();
  await server?.stop();
});

const arn = (group: string) => `arn:aws:logs:${server.region}:${server.account}:log-group:${group}`;
const span = () => ({ startTime: Math.floor(middle / 1000) - 60, endTime: Math.floor(middle / 1000) + 60 });

async function results(queryId: string): Promise<GetQueryResultsCommandOutput> {
  for (const until = Date.now() + 60_000; ; await delay(20)) {
    const found = await logs.getQueryResults({ queryId });
    if (found.status !== 'Running' && found.status !== 'Scheduled') return found;
    assert.ok(Date.now() < until);
  }
}

/** The rows without their pointers, as objects. */
async function query(queryString: string, more: Partial<StartQueryCommandInput> = {}) {
  const named = more.logGroupNames || more.logGroupIdentifiers ? {} : { logGroupName: 'app' };
  const { queryId } = await logs.startQuery({ ...named, ...span(), queryString, ...more });
  const { status, results: rows } = await results(queryId!);
  assert.equal(status, 'Complete');
  return rows!.map((row) => Object.fromEntries(row.filter(({ field }) => field !== '@ptr').map(({ field, value }) => [field, value])));
}

test('a query goes through all events of its time, newest first, and tells what it cost', async () => {
  const { queryId } = await logs.startQuery({ logGroupName: 'app', ...span(), queryString: 'filter level = "error" | fields n' });
  const { status, results: rows, statistics, queryLanguage } = await results(queryId!);
  assert.deepEqual([status, queryLanguage, rows!.length], ['Complete', 'CWLI', 500]);
  assert.deepEqual(
    rows![0]!.map(({ field, value }) => (field === '@ptr' ? field : value)),
    ['4990', '@ptr'],
  );
  assert.deepEqual([statistics!.recordsMatched, statistics!.recordsScanned], [500, 5_000]);
  assert.ok(statistics!.bytesScanned! > 100_000);
  const first = await logs.getQueryResults({ queryId, maxItems: 300 });
  const second = await logs.getQueryResults({ queryId, maxItems: 300, nextToken: first.nextToken });
  assert.deepEqual([first.results!.length, second.results!.length, second.nextToken], [300, 200, undefined]);
});

test('statistics, limits, several groups and times', async () => {
  const byUser = await query('stats count(*) as n, max(n) as most by user.id | sort user.id');
  assert.deepEqual(byUser, [
    { 'user.id': '0', n: '1667', most: '4998' },
    { 'user.id': '1', n: '1667', most: '4999' },
    { 'user.id': '2', n: '1666', most: '4997' },
  ]);
  assert.deepEqual(await query('stats count(*) by @logStream | sort @logStream'), [
    { '@logStream': 'a', 'count(*)': '2000' },
    { '@logStream': 'b', 'count(*)': '3000' },
  ]);
  assert.equal((await query('fields n', { limit: 7 })).length, 7);
  const both = await query('fields @log | limit 2', { logGroupIdentifiers: [arn('app'), arn('other')] });
  assert.deepEqual(both, [{ '@log': `${server.account}:other` }, { '@log': `${server.account}:app` }]);
  const part = { startTime: middle + 100, endTime: middle + 109 };
  assert.deepEqual(await query('stats count(*) as n, min(n) as least', part), [{ n: '10', least: '100' }]);
  assert.deepEqual(await query('fields @message', { logGroupNames: ['other'] }), [{ '@message': 'second' }, { '@message': 'first' }]);
});

test('an event is found by its pointer; fields are counted', async () => {
  const { queryId } = await logs.startQuery({ logGroupName: 'app', ...span(), queryString: 'filter n = 1234' });
  const [row] = (await results(queryId!)).results!;
  const logRecordPointer = row!.find(({ field }) => field === '@ptr')!.value!;
  const { logRecord } = await logs.getLogRecord({ logRecordPointer });
  assert.deepEqual(
    [logRecord!.n, logRecord!['user.id'], logRecord!['@timestamp'], logRecord!['@logStream']],
    ['1234', '1', String(middle + 1234), 'a'],
  );
  await refused(logs.getLogRecord({ logRecordPointer: `${logRecordPointer.slice(0, -2)}xx` }), 'InvalidParameterException');
  const { logGroupFields } = await logs.getLogGroupFields({ logGroupName: 'app', time: Math.floor(middle / 1000) });
  const percents = Object.fromEntries(logGroupFields!.map(({ name, percent }) => [name, percent]));
  assert.deepEqual([percents['@message'], percents.n, percents['user.id'], percents.nothing], [100, 100, 100, undefined]);
});

test('queries are listed, and can be stopped only while they run', async () => {
  const { queryId } = await logs.startQuery({ logGroupName: 'other', ...span(), queryString: 'fields @message' });
  await results(queryId!);
  const { queries } = await logs.describeQueries({ logGroupName: 'other', status: 'Complete' });
  const [listed] = queries!;
  assert.deepEqual([listed!.queryId, listed!.queryString, listed!.logGroupName], [queryId, 'fields @message', 'other']);
  await refused(logs.stopQuery({ queryId }), 'InvalidParameterException', /not running/);
  const page = await logs.describeQueries({ maxResults: 1 });
  const next = await logs.describeQueries({ maxResults: 1, nextToken: page.nextToken });
  assert.notEqual(page.queries![0]!.queryId, next.queries![0]!.queryId);
  const running = await logs.startQuery({ logGroupName: 'app', ...span(), queryString: 'stats count(*) by n' });
  const stopped = await logs.stopQuery({ queryId: running.queryId }).catch((error) => error);
  const { status } = await results(running.queryId!);
  assert.equal(status, stopped.success ? 'Cancelled' : 'Complete');
});

test('what is no query, or not here, is refused with its place in the text', async () => {
  const start = (queryString: string, more: Partial<StartQueryCommandInput> = {}) =>
    logs.startQuery({ logGroupName: 'app', ...span(), queryString, ...more });
  const failure = await start('fields a | filter b ==').catch((error) => error);
  assert.equal(failure.name, 'MalformedQueryException');
  assert.equal(failure.queryCompileError.location.startCharOffset, 21);
  await refused(start('pattern @message'), 'MalformedQueryException', /does not have the command pattern/);
  await refused(start('fields a', { logGroupName: 'none' }), 'ResourceNotFoundException');
  await refused(start('fields a', { logGroupNames: ['app'] }), 'InvalidParameterException', /Exactly one/);
  await refused(start('fields a', { startTime: 2, endTime: 1 }), 'InvalidParameterException');
  await refused(start('fields a', { queryLanguage: 'SQL' }), 'InvalidParameterException', /SQL/);
  await refused(logs.getQueryResults({ queryId: 'none' }), 'ResourceNotFoundException');
});

test('a query whose result would be too large fails alone', async () => {
  const logGroupName = 'large';
  await logs.createLogGroup({ logGroupName });
  await logs.createLogStream({ logGroupName, logStreamName: 's' });
  const message = 'x'.repeat(200_000);
  for (let page = 0; page < 10; page += 1) {
    const logEvents = Array.from({ length: 5 }, (_, index) => ({ timestamp: middle + page * 5 + index, message }));
    await logs.putLogEvents({ logGroupName, logStreamName: 's', logEvents });
  }
  // Ten megabytes in the log are hundreds in a row of the result.
  const copies = Array.from({ length: 40 }, (_, index) => `concat(@message, @message, '${index}') as c${index}`).join(', ');
  const { queryId } = await logs.startQuery({
    logGroupName,
    ...span(),
    queryString: `fields ${copies}`,
  });
  assert.equal((await results(queryId!)).status, 'Failed');
  assert.equal((await query('stats count(*)')).length, 1);
});

test('a query asks for the right to its groups, and survives a restart', async () => {
  const iam = new IAM(server.client);
  await iam.createUser({ UserName: 'reader' });
  const statement = { Effect: 'Allow', Action: ['logs:StartQuery', 'logs:GetQueryResults'], Resource: `${arn('other')}:*` };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await iam.putUserPolicy({ UserName: 'reader', PolicyName: 'p', PolicyDocument });
  const { AccessKey } = await iam.createAccessKey({ UserName: 'reader' });
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const theirs = new CloudWatchLogs({ ...server.client, credentials });
  const start = { ...span(), queryString: 'fields @message' };
  await refused(theirs.startQuery({ ...start, logGroupNames: ['other', 'app'] }), 'AccessDeniedException');
  const { queryId } = await theirs.startQuery({ ...start, logGroupName: 'other' });
  await server.kill();
  await server.restart();
  const { status, results: rows } = await results(queryId!);
  assert.deepEqual([status, rows!.length], ['Complete', 2]);
  theirs.destroy();
  iam.destroy();
});
