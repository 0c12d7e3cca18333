import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogsClient, CreateLogGroupCommand, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, PutEventsCommand, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { startServer, type TestServer } from '../support/server.ts';

let elsewhere: TestServer;
let server: TestServer;

before(async () => {
  elsewhere = await startServer();
  server = await startServer({
    env: {
      PENSTOCK_ENDPOINT_LOGS: elsewhere.endpoint,
      AWS_ACCESS_KEY_ID: elsewhere.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: elsewhere.credentials.secretAccessKey,
    },
  });
});
after(async () => {
  await server?.stop();
  await elsewhere?.stop();
});

test('a service whose endpoint is elsewhere is called there, with real signatures', async () => {
  const logGroupName = 'from-the-other';
  const logs = new CloudWatchLogsClient(elsewhere.client);
  await logs.send(new CreateLogGroupCommand({ logGroupName }));
  const events = new EventBridgeClient(server.client);
  await events.send(new PutRuleCommand({ Name: 'all', EventPattern: '{"source":["my.app"]}' }));
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
  await events.send(new PutTargetsCommand({ Rule: 'all', Targets: [{ Id: 'logs', Arn }] }));
  await events.send(new PutEventsCommand({ Entries: [{ Source: 'my.app', DetailType: 'Test', Detail: '{"greeting":"hello"}' }] }));
  const deadline = Date.now() + 60_000;
  let messages: (string | undefined)[] = [];
  while (messages.length === 0 && Date.now() < deadline) {
    const found = await logs.send(new FilterLogEventsCommand({ logGroupName }));
    messages = (found.events ?? []).map((event) => event.message);
    if (messages.length === 0) await delay(100);
  }
  assert.equal(JSON.parse(messages[0]!).detail.greeting, 'hello');
});
