/** Live Tail by the AWS SDK: a stream of events over HTTP, and the CLI's `tail --follow`, which asks again and again. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs, type StartLiveTailCommandInput, type StartLiveTailResponseStream } from '@aws-sdk/client-cloudwatch-logs';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let logs: CloudWatchLogs;

before(async () => {
  server = await startServer();
  // `streaming-127.0.0.1` is nowhere.
  logs = new CloudWatchLogs({ ...server.client, disableHostPrefix: true });
  for (const logGroupName of ['app', 'other']) {
    await logs.createLogGroup({ logGroupName });
    for (const logStreamName of ['web-1', 'web-2', 'job']) await logs.createLogStream({ logGroupName, logStreamName });
  }
});
after(async () => {
  logs?.destroy();
  await server?.stop();
});

const arn = (group: string) => `arn:aws:logs:${server.region}:${server.account}:log-group:${group}`;
const write = (logGroupName: string, logStreamName: string, ...messages: string[]) =>
  logs.putLogEvents({ logGroupName, logStreamName, logEvents: messages.map((message) => ({ timestamp: Date.now(), message })) });

/** A session: what it began with, and a way to wait for so many events. */
async function open(input: Partial<StartLiveTailCommandInput> = {}) {
  const stopped = new AbortController();
  const { responseStream } = await logs.startLiveTail({ logGroupIdentifiers: [arn('app')], ...input }, { abortSignal: stopped.signal });
  const messages = responseStream![Symbol.asyncIterator]();
  const first: StartLiveTailResponseStream = (await messages.next()).value;
  const seen: string[] = [];
  return {
    start: first.sessionStart!,
    async read(count: number): Promise<string[]> {
      while (seen.length < count) {
        const { value, done } = await messages.next();
        if (done) throw new Error('The session ended.');
        seen.push(...value.sessionUpdate!.sessionResults!.map((event: { message?: string }) => event.message!));
      }
      return seen;
    },
    close: () => stopped.abort(),
  };
}

test('a session tells what is logged after its start, once, from all its groups', async () => {
  await write('app', 'web-1', 'before');
  const session = await open({ logGroupIdentifiers: [arn('app'), arn('other')] });
  assert.deepEqual(session.start.logGroupIdentifiers, [arn('app'), arn('other')]);
  assert.match(session.start.sessionId!, /^[0-9a-f-]{36}$/);
  await write('app', 'web-1', 'one', 'two');
  await write('other', 'job', 'three');
  assert.deepEqual((await session.read(3)).toSorted(), ['one', 'three', 'two']);
  await write('app', 'web-2', 'four');
  assert.deepEqual((await session.read(4)).slice(3), ['four']);
  session.close();
});

test('streams, prefixes and patterns choose', async () => {
  const sessions = [
    await open({ logStreamNames: ['job'] }),
    await open({ logStreamNamePrefixes: ['web-'] }),
    await open({ logEventFilterPattern: '{ $.level = "error" }' }),
  ];
  await write('app', 'web-1', '{"level":"info"}', '{"level":"error"}');
  await write('app', 'job', 'done');
  assert.deepEqual(await sessions[0]!.read(1), ['done']);
  assert.deepEqual(await sessions[1]!.read(2), ['{"level":"info"}', '{"level":"error"}']);
  assert.deepEqual(await sessions[2]!.read(1), ['{"level":"error"}']);
  for (const session of sessions) session.close();
});

test('what cannot be tailed is refused before anything streams', async () => {
  const start = (input: Partial<StartLiveTailCommandInput>) => logs.startLiveTail({ logGroupIdentifiers: [arn('app')], ...input });
  await refused(start({ logGroupIdentifiers: [arn('none')] }), 'ResourceNotFoundException');
  await refused(start({ logStreamNames: ['a'], logStreamNamePrefixes: ['b'] }), 'InvalidParameterException');
  await refused(start({ logGroupIdentifiers: [arn('app'), arn('other')], logStreamNames: ['a'] }), 'InvalidParameterException');
  await refused(start({ logEventFilterPattern: '{ $.a = ' }), 'InvalidParameterException', /filter pattern/);
});

test('an account can have 15 sessions; one that is closed makes room', async () => {
  const sessions = [];
  for (let number = 0; number < 15; number++) sessions.push(await openWhenThereIsRoom());
  await refused(logs.startLiveTail({ logGroupIdentifiers: [arn('app')] }), 'LimitExceededException');
  for (const session of sessions) session.close();
  (await openWhenThereIsRoom()).close();
});

/** The server hears a moment later that a session was closed, of this test or of one before. */
async function openWhenThereIsRoom(): ReturnType<typeof open> {
  for (;;) {
    const session = await open().catch((error: Error) => error);
    if (!(session instanceof Error)) return session;
    assert.equal(session.name, 'LimitExceededException');
    await delay(100);
  }
}

const hasTail = spawnSync('/usr/bin/aws', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('aws-cli/2') ?? false;

describe('the AWS CLI version 2', { skip: hasTail ? false : 'it is not installed' }, () => {
  let child: ChildProcess;
  after(async () => {
    child.kill('SIGINT');
    if (child.exitCode === null) await once(child, 'exit');
  });

  test('follows a group', async () => {
    const args = ['--endpoint-url', server.endpoint, 'logs', 'tail', 'other', '--follow', '--format', 'short', '--since', '1m'];
    child = spawn('/usr/bin/aws', args, { env: { ...server.env, PYTHONUNBUFFERED: '1' }, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const next = async (wanted: string): Promise<void> => {
      for (;;) if ((await lines.next()).value?.endsWith(wanted)) return;
    };
    await write('other', 'web-1', 'first line');
    await next('first line');
    await write('other', 'web-2', 'second line');
    await next('second line');
  });
});
