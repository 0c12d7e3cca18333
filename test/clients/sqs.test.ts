/** SQS by the SDK: queues, messages, receipts, batches. The SDK checks each MD5 itself. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SetQueueAttributesCommand,
  SQSClient,
  TagQueueCommand,
  UntagQueueCommand,
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
    await refused(queue('x', { KmsMasterKeyId: 'a\u0000' }), 'InvalidAttributeValue');
    await refused(sqs.send(new GetQueueUrlCommand({ QueueName: 'a\u0000' })), 'QueueDoesNotExist');
    assert.deepEqual((await sqs.send(new ListQueuesCommand({ QueueNamePrefix: '\u0000' }))).QueueUrls, undefined);
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
