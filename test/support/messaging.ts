/** Queues that tests read what was sent. */
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';

export interface TestQueue {
  url: string;
  arn: string;
}

/** A queue; `from` (an ARN pattern) may send to it through whichever service. */
export async function queueFor(sqs: SQSClient, QueueName: string, { from }: { from?: string }): Promise<TestQueue> {
  const fifo = QueueName.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
  const statement = {
    Effect: 'Allow',
    Principal: { Service: ['sns.amazonaws.com', 'events.amazonaws.com', 's3.amazonaws.com'] },
    Action: 'sqs:SendMessage',
    Resource: '*',
    Condition: { ArnLike: { 'aws:SourceArn': from } },
  };
  const policy = from === undefined ? {} : { Policy: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }) };
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes: { ...fifo, ...policy } }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
  return { url: QueueUrl!, arn: Attributes!.QueueArn! };
}

/** Waits for so many messages, and deletes them. */
export async function receiveAll(sqs: SQSClient, QueueUrl: string, count: number): Promise<Message[]> {
  const all: Message[] = [];
  const until = Date.now() + 60_000;
  while (all.length < count) {
    if (Date.now() > until) throw new Error(`${all.length} of ${count} messages came within a minute.`);
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }));
    for (const { ReceiptHandle } of Messages) await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    all.push(...Messages);
  }
  return all;
}

/** Calls in few words, by a client that is there once the test's server is. */
export function queueTools(client: () => SQSClient) {
  return {
    async queue(QueueName: string, Attributes: Partial<Record<QueueAttributeName, string>> = {}): Promise<string> {
      return (await client().send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl!;
    },
    async attribute(QueueUrl: string, name: QueueAttributeName): Promise<string | undefined> {
      const { Attributes } = await client().send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }));
      return Attributes?.[name];
    },
    send: (QueueUrl: string, MessageBody: string, more: object = {}) =>
      client().send(new SendMessageCommand({ QueueUrl, MessageBody, ...more })),
    async receive(QueueUrl: string, more: object = {}): Promise<Message[]> {
      const { Messages } = await client().send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, ...more }));
      return Messages ?? [];
    },
  };
}

export const bodies = (messages: Message[]): string[] => messages.map(({ Body }) => Body!);
