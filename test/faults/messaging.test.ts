/** A server that is killed while it takes and hands out messages: what it acknowledged is there, and in order where order was promised. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { queueFor } from '../support/messaging.ts';
import { startServer, type TestServer } from '../support/server.ts';

const SENDERS = 6;
const EACH = 25;

let server: TestServer;
let sqs: SQSClient;
let sns: SNSClient;

before(async () => {
  server = await startServer();
  sqs = new SQSClient(server.client);
  sns = new SNSClient(server.client);
});
after(async () => {
  sqs?.destroy();
  sns?.destroy();
  await server?.stop();
});

/** Senders that never give up; the server is killed once a third of it all is acknowledged. Every body was acknowledged in the end. */
async function sendThroughKill(send: (sender: number, body: string) => Promise<unknown>): Promise<string[]> {
  let acknowledged = 0;
  let reached = (): void => {};
  const third = new Promise<void>((resolve) => {
    reached = resolve;
  });
  let over = false;
  const sender = async (number: number): Promise<string[]> => {
    const bodies: string[] = [];
    while (bodies.length < EACH && !over) {
      const body = `${number}-${bodies.length}`;
      try {
        await send(number, body);
        bodies.push(body);
        acknowledged += 1;
        if (acknowledged >= (SENDERS * EACH) / 3) reached();
      } catch (error) {
        if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode) throw error;
        // Nobody knows whether this one was taken: it is sent again.
      }
    }
    return bodies;
  };
  const senders = Array.from({ length: SENDERS }, (_, at) => sender(at));
  try {
    await Promise.race([third, Promise.all(senders)]);
    await server.restart();
  } catch (error) {
    over = true;
    throw error;
  }
  return (await Promise.all(senders)).flat();
}

/** Receives and deletes until so many different bodies were seen, each as often as it came. */
async function drain(QueueUrl: string, count: number): Promise<string[]> {
  const seen: string[] = [];
  while (new Set(seen).size < count) {
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }));
    for (const { Body, ReceiptHandle } of Messages) {
      seen.push(Body!);
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  }
  return seen;
}

test('what a standard queue acknowledged is received after a kill', async () => {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'killed' }));
  const sent = await sendThroughKill((_, MessageBody) => sqs.send(new SendMessageCommand({ QueueUrl, MessageBody })));
  const seen = await drain(QueueUrl!, sent.length);
  assert.deepEqual([...new Set(seen)].sort(), sent.sort());
});

test('a FIFO queue has each message once and each group in order, although senders repeated theirs', async () => {
  const Attributes = { FifoQueue: 'true' };
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'killed.fifo', Attributes }));
  const sent = await sendThroughKill((sender, MessageBody) =>
    sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: `${sender}`, MessageDeduplicationId: MessageBody })),
  );
  const seen = await drain(QueueUrl!, sent.length);
  assert.equal(seen.length, sent.length);
  for (let group = 0; group < SENDERS; group++) {
    const ofGroup = seen.filter((body) => body.startsWith(`${group}-`));
    assert.deepEqual(
      ofGroup,
      Array.from({ length: EACH }, (_, at) => `${group}-${at}`),
    );
  }
});

test('what a topic acknowledged comes to its queue after a kill', async () => {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'killed' }));
  const queue = await queueFor(sqs, 'killed-topic', { from: TopicArn });
  const Attributes = { RawMessageDelivery: 'true' };
  await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes }));
  const sent = await sendThroughKill((_, Message) => sns.send(new PublishCommand({ TopicArn, Message })));
  const seen = await drain(queue.url, sent.length);
  assert.deepEqual([...new Set(seen)].sort(), sent.sort());
});
