/** SQS by the SDK: dead-letter queues, message move tasks, FIFO queues. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CancelMessageMoveTaskCommand,
  DeleteMessageCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  type Message,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { bodies, queueTools } from '../support/messaging.ts';
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

const { queue, attribute, send, receive } = queueTools(() => sqs);

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
