/** An upload to a bucket with EventBridge enabled reaches the targets of a rule, as a CodePipeline source waits for it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogsClient, CreateLogGroupCommand, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { PutBucketNotificationConfigurationCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let s3: S3Client;
let events: EventBridgeClient;
let logs: CloudWatchLogsClient;

before(async () => {
  server = await startServer();
  s3 = s3Client(server);
  events = new EventBridgeClient(server.client);
  logs = new CloudWatchLogsClient(server.client);
});
after(async () => {
  for (const client of [s3, events, logs]) client?.destroy();
  await server?.stop();
});

async function messages(logGroupName: string, count: number): Promise<any[]> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const { events: found = [] } = await logs.send(new FilterLogEventsCommand({ logGroupName }));
    if (found.length >= count) return found.map((event) => JSON.parse(event.message!));
    await delay(50);
  }
  throw new Error(`${count} events did not come.\n${server.log()}`);
}

test('Object Created reaches a rule that names bucket and key', async () => {
  const Bucket = await newBucket(s3, 'source');
  const NotificationConfiguration = { EventBridgeConfiguration: {} };
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
  await logs.send(new CreateLogGroupCommand({ logGroupName: 'uploads' }));
  const EventPattern = JSON.stringify({
    source: ['aws.s3'],
    'detail-type': ['Object Created'],
    detail: { bucket: { name: [Bucket] }, object: { key: ['app.zip'] } },
  });
  await events.send(new PutRuleCommand({ Name: 'uploads', EventPattern }));
  const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:uploads`;
  const { FailedEntryCount } = await events.send(new PutTargetsCommand({ Rule: 'uploads', Targets: [{ Id: 'log', Arn }] }));
  assert.equal(FailedEntryCount, 0);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'other.zip', Body: 'x' }));
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key: 'app.zip', Body: 'zipped' }));
  const [event, ...rest] = await messages('uploads', 1);
  assert.deepEqual(rest, []);
  assert.deepEqual(
    [event.source, event['detail-type'], event.account, event.region],
    ['aws.s3', 'Object Created', server.account, server.region],
  );
  assert.deepEqual(
    [event.detail.object.key, event.detail.object.size, event.detail.object.etag],
    ['app.zip', 6, ETag!.replaceAll('"', '')],
  );
  assert.equal(event.detail.requester, server.account);
});
