/** SQS and SNS by the AWS CLI, by boto3, and in the query form that clients spoke before 2023. Skipped, and said so, where they are missing. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { installedClis, openCli } from '../support/aws-cli.ts';
import { startServer, type TestServer } from '../support/server.ts';

const run = promisify(execFile);
const clis = installedClis();
const hasBoto = spawnSync('python3', ['-c', 'import boto3']).status === 0;

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

for (const cli of clis) {
  describe(`AWS CLI version ${cli.version}`, () => {
    let opened: ReturnType<typeof openCli>;
    before(() => {
      opened = openCli(cli, server);
    });
    after(() => opened.close());

    async function aws(...args: string[]): Promise<any> {
      const { status, output, error } = await opened.run(args);
      assert.equal(status, 0, error);
      return output.trim() === '' ? undefined : JSON.parse(output);
    }

    test('a topic’s message comes to a queue', async () => {
      const name = `cli-${cli.version}`;
      const { QueueUrl: url } = await aws(
        'sqs',
        'create-queue',
        '--queue-name',
        name,
        '--attributes',
        'VisibilityTimeout=60',
        '--tags',
        'a=b',
      );
      const { TopicArn: topic } = await aws('sns', 'create-topic', '--name', name);
      const arn = `arn:aws:sqs:${server.region}:${server.account}:${name}`;
      const statement = { Effect: 'Allow', Principal: { Service: 'sns.amazonaws.com' }, Action: 'sqs:SendMessage', Resource: arn };
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
      await aws('sqs', 'set-queue-attributes', '--queue-url', url, '--attributes', JSON.stringify({ Policy }));
      await aws('sns', 'subscribe', '--topic-arn', topic, '--protocol', 'sqs', '--notification-endpoint', arn);
      const published = await aws('sns', 'publish', '--topic-arn', topic, '--message', 'hello', '--subject', 'A subject');
      const received = await aws('sqs', 'receive-message', '--queue-url', url, '--wait-time-seconds', '20', '--attribute-names', 'All');
      const [message] = received.Messages;
      const { MessageId, Subject, Message } = JSON.parse(message.Body);
      assert.deepEqual([MessageId, Subject, Message], [published.MessageId, 'A subject', 'hello']);
      assert.equal(message.Attributes.ApproximateReceiveCount, '1');
      await aws('sqs', 'delete-message', '--queue-url', url, '--receipt-handle', message.ReceiptHandle);
      const { Attributes } = await aws('sqs', 'get-queue-attributes', '--queue-url', url, '--attribute-names', 'All');
      assert.deepEqual([Attributes.ApproximateNumberOfMessages, Attributes.VisibilityTimeout], ['0', '60']);
      const { Subscriptions } = await aws('sns', 'list-subscriptions-by-topic', '--topic-arn', topic);
      assert.equal(Subscriptions[0].Endpoint, arn);
      const missing = await opened.run(['sqs', 'get-queue-url', '--queue-name', 'none']);
      assert.match(missing.error, /\(AWS\.SimpleQueueService\.NonExistentQueue\).*The specified queue does not exist/);
    });
  });
}

describe('boto3', { skip: hasBoto ? false : 'python3 with boto3 is not installed' }, () => {
  test('speaks JSON and the older query form with the same queue', async () => {
    const { stdout } = await run('python3', [path.join(import.meta.dirname, 'messaging_client.py')], { env: server.env });
    const { json, query, errors } = JSON.parse(stdout);
    assert.deepEqual(json, { body: 'hé <&>\r\nx', number: '1', bytes: '0001', failed: ['InvalidParameterValue'] });
    assert.deepEqual(query, {
      created: `${server.endpoint}/${server.account}/old`,
      attributes: { VisibilityTimeout: '7', DelaySeconds: '0' },
      tags: { a: 'b' },
      body: 'hé <&>\r\nx',
      attribute: ['String', 'ü'],
      count: '1',
    });
    assert.deepEqual(errors, [
      [400, 'AWS.SimpleQueueService.NonExistentQueue'],
      [400, 'AWS.SimpleQueueService.EmptyBatchRequest'],
      [400, 'MissingParameter'],
      [400, 'InvalidParameterValue'],
      [400, 'InvalidAction'],
    ]);
  });
});
