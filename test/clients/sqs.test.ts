/** SQS by the SDK: queues, messages, receipts, batches, dead letters, FIFO. The SDK checks each MD5 itself. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CancelMessageMoveTaskCommand,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  type Message,
  PurgeQueueCommand,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
  TagQueueCommand,
  UntagQueueCommand,
} from '@aws-sdk/client-sqs';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let sqs: SQSClient;

before(async () => {
  server = await startServer();
  sqs = new SQSClient(server.client);
});
after(async () => {
  sqs?.destroy();
  await server?.stop();
});

async function queue(name: string, Attributes: Partial<Record<QueueAttributeName, string>> = {}): Promise<string> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }));
  return QueueUrl!;
}

async function attribute(QueueUrl: string, name: QueueAttributeName): Promise<string | undefined> {
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }));
  return Attributes?.[name];
}

function send(QueueUrl: string, MessageBody: string, more: object = {}) {
  return sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, ...more }));
}

async function receive(QueueUrl: string, more: object = {}): Promise<Message[]> {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, ...more }));
  return Messages ?? [];
}

const bodies = (messages: Message[]): string[] => messages.map(({ Body }) => Body!);

describe('queues', () => {
  test('are made once, told of, set, listed and deleted', async () => {
    const url = await queue('first', { VisibilityTimeout: '45' });
    assert.equal(url, `${server.endpoint}/${server.account}/first`);
    assert.equal(await queue('first', { VisibilityTimeout: '45' }), url);
    assert.equal(await queue('first'), url);
    await refused(queue('first', { VisibilityTimeout: '46' }), 'QueueNameExists', /different value for attribute VisibilityTimeout/);
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }));
    const { CreatedTimestamp, LastModifiedTimestamp, ...others } = Attributes!;
    assert.match(CreatedTimestamp!, /^\d{10}$/);
    assert.match(LastModifiedTimestamp!, /^\d{10}$/);
    assert.deepEqual(others, {
      QueueArn: `arn:aws:sqs:${server.region}:${server.account}:first`,
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesDelayed: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
      DelaySeconds: '0',
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '345600',
      ReceiveMessageWaitTimeSeconds: '0',
      SqsManagedSseEnabled: 'true',
      VisibilityTimeout: '45',
    });
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { DelaySeconds: '3' } }));
    assert.equal(await attribute(url, 'DelaySeconds'), '3');
    assert.equal((await sqs.send(new GetQueueUrlCommand({ QueueName: 'first' }))).QueueUrl, url);
    await sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
    await refused(send(url, 'x'), 'QueueDoesNotExist', 'The specified queue does not exist.', 400);
    await refused(sqs.send(new GetQueueUrlCommand({ QueueName: 'first' })), 'QueueDoesNotExist');
  });

  test('are listed in pages, by prefix', async () => {
    const names = ['page-a', 'page-b', 'page-c'];
    for (const name of names) await queue(name);
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'page-', MaxResults: 2, NextToken }));
      seen.push(...page.QueueUrls!);
      NextToken = page.NextToken;
    } while (NextToken);
    assert.deepEqual(
      seen.map((url) => url.split('/').at(-1)),
      names,
    );
    await refused(sqs.send(new ListQueuesCommand({ MaxResults: 2, NextToken: 'forged' })), 'InvalidParameterValue');
    assert.equal((await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'none' }))).QueueUrls, undefined);
  });

  test('refuse names and attributes that SQS refuses', async () => {
    const bad: [object, string][] = [
      [{ QueueName: 'a b' }, 'InvalidParameterValue'],
      [{ QueueName: 'x'.repeat(81) }, 'InvalidParameterValue'],
      [{ QueueName: 'x.fifo' }, 'InvalidParameterValue'],
      [{ QueueName: 'x', Attributes: { FifoQueue: 'true' } }, 'InvalidParameterValue'],
      [{ QueueName: 'x', Attributes: { FifoQueue: 'false' } }, 'InvalidAttributeValue'],
      [{ QueueName: 'x', Attributes: { DelaySeconds: '901' } }, 'InvalidAttributeValue'],
      [{ QueueName: 'x', Attributes: { MaximumMessageSize: '1048577' } }, 'InvalidAttributeValue'],
      [{ QueueName: 'x', Attributes: { VisibilityTimeout: '-1' } }, 'InvalidAttributeValue'],
      [{ QueueName: 'x', Attributes: { ContentBasedDeduplication: 'true' } }, 'InvalidAttributeName'],
      [{ QueueName: 'x', Attributes: { QueueArn: 'arn' } }, 'InvalidAttributeName'],
      [{ QueueName: 'x', Attributes: { Nothing: '1' } }, 'InvalidAttributeName'],
      [{ QueueName: 'x', Attributes: { Policy: '{' } }, 'InvalidAttributeValue'],
      [{ QueueName: 'x', Attributes: { RedrivePolicy: '[]' } }, 'InvalidParameterValue'],
      [{ QueueName: 'x', tags: { 'aws:x': '1' } }, 'InvalidParameterValue'],
    ];
    for (const [input, name] of bad) await refused(sqs.send(new CreateQueueCommand(input as never)), name, undefined, 400);
    await refused(sqs.send(new CreateQueueCommand({} as never)), 'MissingParameter', 'The request must contain the parameter QueueName.');
    await refused(send(`${server.endpoint}/nothing`, 'x'), 'InvalidAddress');
  });

  test('carry tags', async () => {
    const QueueUrl = await queue('tagged');
    await sqs.send(new TagQueueCommand({ QueueUrl, Tags: { team: 'a', stage: 'test' } }));
    await sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: ['stage'] }));
    assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl }))).Tags, { team: 'a' });
  });

  test('are emptied at once, and once a minute', async () => {
    const QueueUrl = await queue('emptied');
    for (let at = 0; at < 3; at++) await send(QueueUrl, String(at));
    await sqs.send(new PurgeQueueCommand({ QueueUrl }));
    assert.equal(await attribute(QueueUrl, 'ApproximateNumberOfMessages'), '0');
    assert.deepEqual(await receive(QueueUrl), []);
    await refused(sqs.send(new PurgeQueueCommand({ QueueUrl })), 'PurgeQueueInProgress', undefined, 403);
    await send(QueueUrl, 'after');
    assert.deepEqual(bodies(await receive(QueueUrl)), ['after']);
  });
});

describe('messages', () => {
  test('go in and out with attributes and system attributes', async () => {
    const url = await queue('attributes');
    const sent = await send(url, 'hällo\n', {
      MessageAttributes: {
        text: { DataType: 'String', StringValue: 'ä' },
        'a.number': { DataType: 'Number.int', StringValue: '1.50' },
        'a.bytes': { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255, 1]) },
      },
      MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-5759e988-bd862e3fe1be46a994272793' } },
    });
    assert.match(sent.MessageId!, /^[0-9a-f-]{36}$/);
    assert.match(sent.MD5OfMessageSystemAttributes!, /^[0-9a-f]{32}$/);
    const [message] = await receive(url, { MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'], VisibilityTimeout: 0 });
    assert.equal(message!.Body, 'hällo\n');
    assert.equal(message!.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
    assert.deepEqual(message!.MessageAttributes!['a.bytes']!.BinaryValue, new Uint8Array([0, 255, 1]));
    assert.equal(message!.MessageAttributes!['a.number']!.StringValue, '1.50');
    const { SenderId, SentTimestamp, ApproximateReceiveCount, AWSTraceHeader } = message!.Attributes!;
    assert.match(SenderId!, /^AIDA/);
    assert.match(SentTimestamp!, /^\d{13}$/);
    assert.equal(ApproximateReceiveCount, '1');
    assert.match(AWSTraceHeader!, /^Root/);
    const [again] = await receive(url, { MessageAttributeNames: ['a.*'], AttributeNames: ['ApproximateReceiveCount'] });
    assert.deepEqual(Object.keys(again!.MessageAttributes!).sort(), ['a.bytes', 'a.number']);
    assert.deepEqual(again!.Attributes, { ApproximateReceiveCount: '2' });
  });

  test('are invisible while somebody has them, for as long as he says', async () => {
    const url = await queue('visible');
    await send(url, 'one');
    const [held] = await receive(url);
    assert.deepEqual(await receive(url), []);
    assert.equal(await attribute(url, 'ApproximateNumberOfMessagesNotVisible'), '1');
    const change = (VisibilityTimeout: number, ReceiptHandle = held!.ReceiptHandle) =>
      sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl: url, ReceiptHandle, VisibilityTimeout }));
    await change(0);
    await refused(change(10), 'MessageNotInflight');
    const [second] = await receive(url);
    assert.notEqual(second!.ReceiptHandle, held!.ReceiptHandle);
    // As documented: the older handle is no error, and deletes nothing.
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: held!.ReceiptHandle }));
    await refused(change(10), 'InvalidParameterValue', /does not exist or is not available/);
    await change(0, second!.ReceiptHandle);
    const [third] = await receive(url);
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: third!.ReceiptHandle }));
    assert.equal(await attribute(url, 'ApproximateNumberOfMessages'), '0');
    const forged = `${third!.ReceiptHandle!.slice(0, -2)}AA`;
    await refused(sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: forged })), 'ReceiptHandleIsInvalid');
    const other = await queue('visible-other');
    await refused(sqs.send(new DeleteMessageCommand({ QueueUrl: other, ReceiptHandle: third!.ReceiptHandle })), 'ReceiptHandleIsInvalid');
    await refused(change(43_201), 'InvalidParameterValue', /Must be between 0 and 43200/);
  });

  test('reach whoever waits for them, at once or when their delay is over', async () => {
    const url = await queue('waiting');
    const waiting = receive(url, { WaitTimeSeconds: 20 });
    await send(url, 'now');
    assert.deepEqual(bodies(await waiting), ['now']);
    await send(url, 'later', { DelaySeconds: 1 });
    assert.equal(await attribute(url, 'ApproximateNumberOfMessagesDelayed'), '1');
    assert.deepEqual(await receive(url), []);
    assert.deepEqual(bodies(await receive(url, { WaitTimeSeconds: 20 })), ['later']);
  });

  test('are not given to a client that stopped waiting', async () => {
    const url = await queue('gone');
    const leaving = new AbortController();
    const waiting = sqs.send(new ReceiveMessageCommand({ QueueUrl: url, WaitTimeSeconds: 20 }), { abortSignal: leaving.signal });
    // The server has certainly begun to wait once it has answered a request that was sent after.
    await attribute(url, 'QueueArn');
    leaving.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    await attribute(url, 'QueueArn');
    await send(url, 'for another');
    assert.deepEqual(bodies(await receive(url, { WaitTimeSeconds: 5 })), ['for another']);
  });

  test('each go to one of many receivers', async () => {
    const url = await queue('shared');
    const ids = Array.from({ length: 10 }, (_, at) => at);
    for (let round = 0; round < 10; round++) {
      await sqs.send(
        new SendMessageBatchCommand({ QueueUrl: url, Entries: ids.map((id) => ({ Id: `${id}`, MessageBody: `${round}-${id}` })) }),
      );
    }
    const drain = async (): Promise<string[]> => {
      const mine: string[] = [];
      for (let found = await receive(url); found.length > 0; found = await receive(url)) mine.push(...bodies(found));
      return mine;
    };
    const all = (await Promise.all([drain(), drain(), drain(), drain()])).flat();
    assert.equal(all.length, 100);
    assert.equal(new Set(all).size, 100);
  });

  test('in batches succeed and fail one by one', async () => {
    const url = await queue('batches', { MaximumMessageSize: '1024' });
    const answer = await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl: url,
        Entries: [
          { Id: 'good', MessageBody: 'x' },
          { Id: 'long', MessageBody: 'x'.repeat(1025) },
          { Id: 'late', MessageBody: 'x', DelaySeconds: 901 },
          { Id: 'empty', MessageBody: '' },
        ],
      }),
    );
    assert.deepEqual(
      answer.Failed!.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]),
      [
        ['long', 'InvalidParameterValue', true],
        ['late', 'InvalidParameterValue', true],
        ['empty', 'MissingParameter', true],
      ],
    );
    const [message] = await receive(url);
    const handles = [
      { Id: 'a', ReceiptHandle: message!.ReceiptHandle! },
      { Id: 'b', ReceiptHandle: 'forged' },
    ];
    const changed = await sqs.send(
      new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries: handles.map((entry) => ({ ...entry, VisibilityTimeout: 60 })) }),
    );
    assert.deepEqual(
      [changed.Successful!.map(({ Id }) => Id), changed.Failed!.map(({ Code }) => Code)],
      [['a'], ['ReceiptHandleIsInvalid']],
    );
    const deleted = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries: handles }));
    assert.deepEqual([deleted.Successful!.length, deleted.Failed!.length], [1, 1]);
    const batch = (ids: string[], MessageBody = 'x') =>
      sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: ids.map((Id) => ({ Id, MessageBody })) }));
    await refused(batch([]), 'EmptyBatchRequest');
    await refused(batch(['a', 'a']), 'BatchEntryIdsNotDistinct', 'Id a repeated.');
    await refused(batch(['a b']), 'InvalidBatchEntryId');
    await refused(batch(Array.from({ length: 11 }, (_, at) => `${at}`)), 'TooManyEntriesInBatchRequest');
    await refused(batch(['a', 'b'], 'x'.repeat(600_000)), 'BatchRequestTooLong');
  });

  test('are refused when they are none', async () => {
    const url = await queue('refusing', { MaximumMessageSize: '1024' });
    await refused(send(url, 'a\u0000b'), 'InvalidMessageContents');
    await refused(send(url, 'x'.repeat(1025)), 'InvalidParameterValue', /shorter than 1024 bytes/);
    await refused(send(url, 'x', { MessageDeduplicationId: 'x' }), 'InvalidParameterValue', /not valid for this queue type/);
    const withAttributes = (MessageAttributes: object) => send(url, 'x', { MessageAttributes });
    const text = { DataType: 'String', StringValue: 'x' };
    await refused(withAttributes({ 'AWS.x': text }), 'InvalidParameterValue', /must not begin with AWS/);
    await refused(withAttributes({ a: { DataType: 'Other', StringValue: 'x' } }), 'InvalidParameterValue', /Binary, Number, and String/);
    await refused(withAttributes({ a: { DataType: 'Number', StringValue: 'x' } }), 'InvalidParameterValue');
    await refused(withAttributes({ a: { DataType: 'String' } }), 'InvalidParameterValue');
    await refused(withAttributes({ a: { DataType: 'String', StringValue: 'x'.repeat(2000) } }), 'InvalidParameterValue', /shorter than/);
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`a${at}`, text]));
    await refused(withAttributes(eleven), 'InvalidParameterValue', /exceeds the allowed maximum \[10\]/);
    await refused(withAttributes({ ['x'.repeat(100_000)]: text }), 'InvalidParameterValue');
    await refused(receive(url, { MaxNumberOfMessages: 11 }), 'InvalidParameterValue', /Must be between 1 and 10/);
    await refused(receive(url, { WaitTimeSeconds: 21 }), 'InvalidParameterValue');
    assert.equal(await attribute(url, 'ApproximateNumberOfMessages'), '0');
  });
});

describe('dead-letter queues', () => {
  test('get what was received too often', async () => {
    const dead = await queue('dead');
    const arn = await attribute(dead, 'QueueArn');
    const url = await queue('source', { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 2 }) });
    await send(url, 'poison');
    for (let at = 0; at < 2; at++) assert.equal((await receive(url, { VisibilityTimeout: 0 })).length, 1);
    assert.deepEqual(await receive(url), []);
    const [message] = await receive(dead, { MessageSystemAttributeNames: ['All'] });
    assert.equal(message!.Body, 'poison');
    assert.equal(message!.Attributes!.DeadLetterQueueSourceArn, await attribute(url, 'QueueArn'));
    const sources = await sqs.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
    assert.deepEqual(sources.queueUrls, [url]);
  });

  test('must be there, of the same kind, and willing', async () => {
    const redrive = (target: string) => ({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: target, maxReceiveCount: 1 }) });
    const arnOf = (name: string) => `arn:aws:sqs:${server.region}:${server.account}:${name}`;
    await refused(queue('asking', redrive(arnOf('nowhere'))), 'InvalidParameterValue', /does not exist/);
    await refused(queue('asking', redrive(arnOf('other.fifo'))), 'InvalidParameterValue', /same type/);
    await queue('unwilling', { RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'denyAll' }) });
    await refused(queue('asking', redrive(arnOf('unwilling'))), 'InvalidParameterValue', /RedriveAllowPolicy/);
  });
});

describe('message move tasks', () => {
  const start = (input: { SourceArn: string; DestinationArn?: string; MaxNumberOfMessagesPerSecond?: number }) =>
    sqs.send(new StartMessageMoveTaskCommand(input));
  const tasks = async (SourceArn: string) => (await sqs.send(new ListMessageMoveTasksCommand({ SourceArn, MaxResults: 10 }))).Results!;

  /** A source and its dead-letter queue with so many messages in it. */
  async function failedMessages(name: string, count: number) {
    const dead = await queue(`${name}-dead`);
    const deadArn = (await attribute(dead, 'QueueArn'))!;
    const url = await queue(name, { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 1 }) });
    for (let at = 0; at < count; at++) await send(url, `${at}`);
    for (let seen = 0; seen < count; ) seen += (await receive(url, { VisibilityTimeout: 0 })).length;
    while ((await attribute(dead, 'ApproximateNumberOfMessages')) !== String(count)) await receive(url, { VisibilityTimeout: 0 });
    return { url, dead, deadArn };
  }

  test('bring messages back to where they came from', async () => {
    const { url, deadArn } = await failedMessages('redriven', 3);
    const { TaskHandle } = await start({ SourceArn: deadArn });
    assert.ok(TaskHandle);
    const back: Message[] = [];
    while (back.length < 3)
      back.push(...(await receive(url, { WaitTimeSeconds: 20, MessageSystemAttributeNames: ['ApproximateReceiveCount'] })));
    assert.deepEqual(bodies(back).sort(), ['0', '1', '2']);
    assert.ok(back.every(({ Attributes }) => Attributes!.ApproximateReceiveCount === '1'));
    let [task] = await tasks(deadArn);
    while (task!.Status === 'RUNNING') [task] = await tasks(deadArn);
    assert.deepEqual([task!.Status, task!.ApproximateNumberOfMessagesMoved, task!.ApproximateNumberOfMessagesToMove], ['COMPLETED', 3, 3]);
    await refused(sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle })), 'UnsupportedOperation');
  });

  test('go as slowly as they are told, one at a time, and can be cancelled', async () => {
    const { dead, deadArn } = await failedMessages('slow', 5);
    const other = await queue('slow-target');
    const DestinationArn = await attribute(other, 'QueueArn');
    const { TaskHandle } = await start({ SourceArn: deadArn, DestinationArn, MaxNumberOfMessagesPerSecond: 1 });
    await refused(start({ SourceArn: deadArn }), 'UnsupportedOperation', /already a task running/);
    assert.equal((await receive(other, { WaitTimeSeconds: 20 })).length, 1);
    const cancelled = await sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
    assert.ok(cancelled.ApproximateNumberOfMessagesMoved! >= 1);
    let [task] = await tasks(deadArn);
    while (task!.Status !== 'CANCELLED') [task] = await tasks(deadArn);
    assert.notEqual(await attribute(dead, 'ApproximateNumberOfMessages'), '0');
  });

  test('start only from dead-letter queues', async () => {
    const SourceArn = (await attribute(await queue('alive'), 'QueueArn'))!;
    await refused(start({ SourceArn }), 'InvalidParameterValue', /Dead Letter Queue/);
    await refused(start({ SourceArn: `${SourceArn}-none` }), 'ResourceNotFoundException');
    await refused(sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle: 'forged' })), 'InvalidParameterValue');
  });
});

describe('FIFO queues', () => {
  const fifo = (name: string, more: object = {}) => queue(`${name}.fifo`, { FifoQueue: 'true', ...more });
  const inGroup = (MessageGroupId: string, MessageDeduplicationId: string) => ({ MessageGroupId, MessageDeduplicationId });

  test('keep the order of each group', async () => {
    const url = await fifo('order');
    for (const [body, group] of [['a1', 'a'], ['a2', 'a'], ['b1', 'b'], ['a3', 'a']] as const) await send(url, body, inGroup(group, body)); // biome-ignore format: a table
    const first = await receive(url, { MaxNumberOfMessages: 1 });
    assert.deepEqual(bodies(first), ['a1']);
    // The group waits for its first message; the other group does not.
    assert.deepEqual(bodies(await receive(url)), ['b1']);
    const waiting = receive(url, { WaitTimeSeconds: 20, MessageSystemAttributeNames: ['All'] });
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: first[0]!.ReceiptHandle }));
    const rest = await waiting;
    assert.deepEqual(bodies(rest), ['a2', 'a3']);
    const numbers = rest.map(({ Attributes }) => Attributes!.SequenceNumber!);
    assert.ok(numbers[0]! < numbers[1]! && numbers[0]!.length === 20);
    assert.equal(rest[0]!.Attributes!.MessageGroupId, 'a');
  });

  test('take each message once in five minutes', async () => {
    const url = await fifo('once');
    const first = await send(url, 'x', inGroup('g', 'same'));
    const second = await send(url, 'y', inGroup('g', 'same'));
    assert.deepEqual([second.MessageId, second.SequenceNumber], [first.MessageId, first.SequenceNumber]);
    const many = await Promise.all(Array.from({ length: 8 }, () => send(url, 'z', inGroup('h', 'at-once'))));
    assert.equal(new Set(many.map(({ MessageId }) => MessageId)).size, 1);
    assert.deepEqual(bodies(await receive(url)).sort(), ['x', 'z']);
    const byContent = await fifo('content', { ContentBasedDeduplication: 'true' });
    for (const body of ['p', 'p', 'q']) await send(byContent, body, { MessageGroupId: 'g' });
    assert.deepEqual(bodies(await receive(byContent)), ['p', 'q']);
    const perGroup = await fifo('per-group', { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' });
    await send(perGroup, '1', inGroup('one', 'same'));
    await send(perGroup, '2', inGroup('two', 'same'));
    assert.equal((await receive(perGroup)).length, 2);
  });

  test('refuse what has no group, no id, or a delay of its own, and handles that ran out', async () => {
    const url = await fifo('strict');
    await refused(send(url, 'x'), 'MissingParameter', 'The request must contain the parameter MessageGroupId.');
    await refused(send(url, 'x', { MessageGroupId: 'g' }), 'InvalidParameterValue', /ContentBasedDeduplication enabled/);
    await refused(send(url, 'x', { ...inGroup('g', 'x'), DelaySeconds: 1 }), 'InvalidParameterValue');
    await refused(send(url, 'x', inGroup('g', 'ü')), 'InvalidParameterValue');
    await send(url, 'x', inGroup('g', 'x'));
    const [message] = await receive(url, { VisibilityTimeout: 0 });
    await refused(
      sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message!.ReceiptHandle })),
      'InvalidParameterValue',
      /The receipt handle has expired/,
    );
  });

  test('give the same messages to a repeated attempt', async () => {
    const url = await fifo('attempts');
    await send(url, 'x', inGroup('g', 'x'));
    const [first] = await receive(url, { ReceiveRequestAttemptId: 'try' });
    const [second] = await receive(url, { ReceiveRequestAttemptId: 'try' });
    assert.equal(second!.MessageId, first!.MessageId);
    assert.deepEqual(await receive(url, { ReceiveRequestAttemptId: 'another' }), []);
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: first!.ReceiptHandle }));
    assert.deepEqual(await receive(url, { ReceiveRequestAttemptId: 'try' }), []);
  });

  test('send poison to a FIFO dead-letter queue, and then go on', async () => {
    const dead = await fifo('dead');
    const arn = await attribute(dead, 'QueueArn');
    const url = await fifo('poisoned', { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 1 }) });
    for (const body of ['bad', 'good']) await send(url, body, inGroup('g', body));
    await receive(url, { MaxNumberOfMessages: 1, VisibilityTimeout: 0 });
    assert.deepEqual(bodies(await receive(url, { MaxNumberOfMessages: 1 })), ['good']);
    assert.deepEqual(bodies(await receive(dead)), ['bad']);
  });
});
