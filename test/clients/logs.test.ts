import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  CloudWatchLogsClient,
  CreateExportTaskCommand,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  DeleteLogGroupCommand,
  DeleteLogStreamCommand,
  DeleteRetentionPolicyCommand,
  DescribeLogGroupsCommand,
  DescribeLogStreamsCommand,
  FilterLogEventsCommand,
  GetLogEventsCommand,
  ListTagsForResourceCommand,
  ListTagsLogGroupCommand,
  PutLogEventsCommand,
  PutRetentionPolicyCommand,
  paginateFilterLogEvents,
  TagLogGroupCommand,
  TagResourceCommand,
  UntagLogGroupCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const hasCli = spawnSync('aws', ['--version']).status === 0;

let server: TestServer;
let logs: CloudWatchLogsClient;

before(async () => {
  server = await startServer();
  logs = new CloudWatchLogsClient(server.client);
});
after(async () => {
  logs?.destroy();
  await server?.stop();
});

async function makeStream(logGroupName: string, logStreamName = 'stream') {
  await logs.send(new CreateLogGroupCommand({ logGroupName }));
  await logs.send(new CreateLogStreamCommand({ logGroupName, logStreamName }));
  return { logGroupName, logStreamName };
}

describe('CloudWatch Logs by the SDK', () => {
  test('groups are made, described, tagged, given a retention and deleted', async () => {
    const logGroupName = '/aws/codebuild/life';
    await logs.send(new CreateLogGroupCommand({ logGroupName, tags: { team: 'a' } }));
    await assert.rejects(logs.send(new CreateLogGroupCommand({ logGroupName })), {
      name: 'ResourceAlreadyExistsException',
      message: 'The specified log group already exists',
    });
    await logs.send(new PutRetentionPolicyCommand({ logGroupName, retentionInDays: 7 }));
    await assert.rejects(logs.send(new PutRetentionPolicyCommand({ logGroupName, retentionInDays: 2 })), {
      name: 'InvalidParameterException',
    });
    const { logGroups } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: '/aws/codebuild/life' }));
    const { creationTime, ...group } = logGroups![0]!;
    const arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
    assert.deepEqual(group, {
      logGroupName,
      retentionInDays: 7,
      metricFilterCount: 0,
      arn: `${arn}:*`,
      logGroupArn: arn,
      storedBytes: 0,
      logGroupClass: 'STANDARD',
      deletionProtectionEnabled: false,
    });
    assert.ok(Math.abs(creationTime! - Date.now()) < 60_000);

    await logs.send(new TagResourceCommand({ resourceArn: arn, tags: { stage: 'test' } }));
    assert.deepEqual((await logs.send(new ListTagsForResourceCommand({ resourceArn: arn }))).tags, {
      team: 'a',
      stage: 'test',
    });
    await logs.send(new UntagResourceCommand({ resourceArn: arn, tagKeys: ['team'] }));
    await logs.send(new TagLogGroupCommand({ logGroupName, tags: { old: 'api' } }));
    assert.deepEqual((await logs.send(new ListTagsLogGroupCommand({ logGroupName }))).tags, { stage: 'test', old: 'api' });
    await logs.send(new UntagLogGroupCommand({ logGroupName, tags: ['old', 'stage'] }));
    assert.deepEqual((await logs.send(new ListTagsLogGroupCommand({ logGroupName }))).tags, {});
    const many = (from: number) => Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`key${from + index}`, 'v']));
    await logs.send(new TagResourceCommand({ resourceArn: arn, tags: many(0) }));
    await assert.rejects(logs.send(new TagResourceCommand({ resourceArn: arn, tags: many(30) })), { name: 'TooManyTagsException' });

    await logs.send(new DeleteRetentionPolicyCommand({ logGroupName }));
    assert.equal((await logs.send(new DescribeLogGroupsCommand({ logGroupIdentifiers: [arn] }))).logGroups![0]!.retentionInDays, undefined);
    await logs.send(new DeleteLogGroupCommand({ logGroupName }));
    await assert.rejects(logs.send(new DeleteLogGroupCommand({ logGroupName })), {
      name: 'ResourceNotFoundException',
      message: 'The specified log group does not exist.',
    });
  });

  test('groups and streams are listed in pages', async () => {
    const names = ['list/a', 'list/b', 'list/c', 'other-list'];
    for (const logGroupName of names) await logs.send(new CreateLogGroupCommand({ logGroupName }));
    const first = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: 'list/', limit: 2 }));
    const second = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: 'list/', limit: 2, nextToken: first.nextToken }));
    assert.deepEqual(
      [...first.logGroups!, ...second.logGroups!].map((group) => group.logGroupName),
      names.slice(0, 3),
    );
    assert.equal(second.nextToken, undefined);
    const { logGroups } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePattern: 'list' }));
    assert.deepEqual(
      logGroups!.map((group) => group.logGroupName),
      names,
    );

    const now = Date.now();
    for (const [index, logStreamName] of ['x', 'y', 'z'].entries()) {
      await logs.send(new CreateLogStreamCommand({ logGroupName: 'list/a', logStreamName }));
      const logEvents = [{ timestamp: now - index, message: logStreamName }];
      if (logStreamName !== 'y') await logs.send(new PutLogEventsCommand({ logGroupName: 'list/a', logStreamName, logEvents }));
    }
    const listed = async (input: object) => {
      const seen: string[] = [];
      let nextToken: string | undefined;
      do {
        const page = await logs.send(new DescribeLogStreamsCommand({ logGroupName: 'list/a', limit: 1, nextToken, ...input }));
        seen.push(...page.logStreams!.map((stream) => stream.logStreamName!));
        nextToken = page.nextToken;
      } while (nextToken);
      return seen.join('');
    };
    assert.equal(await listed({}), 'xyz');
    assert.equal(await listed({ descending: true }), 'zyx');
    assert.equal(await listed({ orderBy: 'LastEventTime' }), 'yzx');
    assert.equal(await listed({ orderBy: 'LastEventTime', descending: true }), 'xzy');
    assert.equal(await listed({ logStreamNamePrefix: 'z' }), 'z');
    await assert.rejects(listed({ orderBy: 'LastEventTime', logStreamNamePrefix: 'z' }), { name: 'InvalidParameterException' });
    await assert.rejects(listed({ nextToken: 'x' }), { name: 'InvalidParameterException', message: 'The specified nextToken is invalid.' });
  });

  test('events are put, read, searched and gone with their stream', async () => {
    const name = await makeStream('/app/one');
    await assert.rejects(logs.send(new CreateLogStreamCommand(name)), {
      name: 'ResourceAlreadyExistsException',
      message: 'The specified log stream already exists',
    });
    const timestamp = Date.now();
    const logEvents = ['{"level":"error","code":500}', 'plain ERROR', 'fine'].map((message) => ({ timestamp, message }));
    const { nextSequenceToken } = await logs.send(new PutLogEventsCommand({ ...name, logEvents, sequenceToken: 'whatever' }));
    assert.match(nextSequenceToken!, /^\d{56}$/);
    const page = await logs.send(new GetLogEventsCommand({ ...name, startFromHead: true }));
    assert.deepEqual(
      page.events!.map(({ message }) => message),
      logEvents.map(({ message }) => message),
    );
    const byArn = `arn:aws:logs:${server.region}:${server.account}:log-group:/app/one`;
    const again = await logs.send(new GetLogEventsCommand({ logGroupIdentifier: byArn, logStreamName: 'stream', limit: 1 }));
    assert.equal(again.events![0]!.message, 'fine');

    const search = async (filterPattern: string) => {
      const found: string[] = [];
      for await (const { events } of paginateFilterLogEvents({ client: logs, pageSize: 1 }, { logGroupName: '/app/one', filterPattern })) {
        found.push(...events!.map(({ message }) => message!));
      }
      return found;
    };
    assert.deepEqual(await search('?ERROR ?error'), ['{"level":"error","code":500}', 'plain ERROR']);
    assert.deepEqual(await search('{ $.level = "error" && $.code >= 500 }'), ['{"level":"error","code":500}']);
    await assert.rejects(search('{ $.level'), { name: 'InvalidParameterException' });

    await logs.send(new DeleteLogStreamCommand(name));
    const missing = { name: 'ResourceNotFoundException', message: 'The specified log stream does not exist.' };
    await assert.rejects(logs.send(new GetLogEventsCommand(name)), missing);
    await assert.rejects(logs.send(new PutLogEventsCommand({ ...name, logEvents })), missing);
    await assert.rejects(logs.send(new GetLogEventsCommand({ ...name, logGroupName: 'none' })), {
      name: 'ResourceNotFoundException',
      message: 'The specified log group does not exist.',
    });
    await assert.rejects(logs.send(new GetLogEventsCommand({ logStreamName: 'stream' })), { name: 'InvalidParameterException' });
  });

  test('the largest batch is taken, and read back page by page', async () => {
    const name = await makeStream('/app/largest');
    const timestamp = Date.now();
    const logEvents = Array.from({ length: 10_000 }, (_, index) => ({ timestamp, message: `${index} `.padEnd(78, '\u0001') }));
    await logs.send(new PutLogEventsCommand({ ...name, logEvents }));
    await assert.rejects(logs.send(new PutLogEventsCommand({ ...name, logEvents: [...logEvents, logEvents[0]!] })), {
      name: 'InvalidParameterException',
    });
    let count = 0;
    let nextToken: string | undefined;
    for (;;) {
      const page = await logs.send(new GetLogEventsCommand({ ...name, startFromHead: true, nextToken }));
      if (page.nextForwardToken === nextToken) break;
      for (const { message } of page.events!) assert.equal(message, logEvents[count++]!.message);
      nextToken = page.nextForwardToken;
    }
    assert.equal(count, logEvents.length);
  });

  test('names that break the rules are refused with the member and the rule', async () => {
    await assert.rejects(logs.send(new CreateLogGroupCommand({ logGroupName: 'a b' })), {
      name: 'InvalidParameterException',
      message:
        "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    });
    await assert.rejects(makeStream('/app/names', 'a:b'), { name: 'InvalidParameterException' });
    await assert.rejects(logs.send(new CreateLogStreamCommand({ logGroupName: '/app/names', logStreamName: 'a\0' })), {
      name: 'InvalidParameterException',
    });
    await assert.rejects(logs.send(new GetLogEventsCommand({ logGroupName: '/app/names', logStreamName: 'a\0' })), {
      name: 'ResourceNotFoundException',
    });
    await assert.rejects(logs.send(new CreateLogGroupCommand({ logGroupName: 'aws/x' })), { name: 'InvalidParameterException' });
    await assert.rejects(logs.send(new CreateLogGroupCommand({ logGroupName: 'x', tags: { 'aws:x': 'y' } })), {
      name: 'InvalidParameterException',
    });
  });

  test('what is not there yet says so', async () => {
    const task = new CreateExportTaskCommand({ logGroupName: 'x', from: 0, to: 1, destination: 'bucket' });
    await assert.rejects(
      logs.send(task),
      (error: any) => error.$metadata.httpStatusCode === 501 && error.name === 'NotImplementedException',
    );
  });

  test('what was acknowledged is there after a crash', async () => {
    const name = await makeStream('/app/crash');
    const timestamp = Date.now();
    await logs.send(new PutLogEventsCommand({ ...name, logEvents: [{ timestamp, message: 'kept' }] }));
    await server.kill();
    await server.restart();
    const { events } = await logs.send(new FilterLogEventsCommand({ logGroupName: name.logGroupName }));
    assert.deepEqual(
      events!.map(({ message }) => message),
      ['kept'],
    );
  });
});

describe('CloudWatch Logs by the AWS CLI', { skip: hasCli ? false : 'the AWS CLI is not installed' }, () => {
  async function aws(...args: string[]): Promise<any> {
    const { stdout } = await run('aws', ['logs', ...args, '--output', 'json'], { env: server.env });
    return stdout === '' ? undefined : JSON.parse(stdout);
  }

  test('a stream is written and read', async () => {
    const stream = ['--log-group-name', '/cli/group', '--log-stream-name', 'a/b/[$LATEST]c'];
    await aws('create-log-group', '--log-group-name', '/cli/group');
    await aws('create-log-stream', ...stream);
    await aws('put-log-events', ...stream, '--log-events', `timestamp=${Date.now()},message=hello`);
    const page = await aws('get-log-events', ...stream);
    assert.deepEqual(
      page.events.map(({ message }: any) => message),
      ['hello'],
    );
    const next = await aws('get-log-events', ...stream, '--next-token', page.nextForwardToken);
    assert.equal(next.nextForwardToken, page.nextForwardToken);
    const found = await aws('filter-log-events', '--log-group-name', '/cli/group', '--filter-pattern', 'hell');
    assert.equal(found.events[0].logStreamName, 'a/b/[$LATEST]c');
    const { logStreams } = await aws(
      'describe-log-streams',
      '--log-group-name',
      '/cli/group',
      '--order-by',
      'LastEventTime',
      '--descending',
    );
    assert.equal(logStreams[0].lastEventTimestamp, page.events[0].timestamp);
  });
});
