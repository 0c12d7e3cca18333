/** SNS by the SDK: topics, subscriptions of queues, filters, FIFO, batches, permissions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AddPermissionCommand,
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListSubscriptionsCommand,
  ListTagsForResourceCommand,
  ListTopicsCommand,
  PublishBatchCommand,
  PublishCommand,
  RemovePermissionCommand,
  SetSubscriptionAttributesCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
  TagResourceCommand,
  UnsubscribeCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-sns';
import { DeleteQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { queueFor, receiveAll } from '../support/messaging.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let sns: SNSClient;
let sqs: SQSClient;

before(async () => {
  server = await startServer();
  sns = new SNSClient(server.client);
  sqs = new SQSClient(server.client);
});
after(async () => {
  sns?.destroy();
  sqs?.destroy();
  await server?.stop();
});

async function topic(Name: string, Attributes: Record<string, string> = {}): Promise<string> {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name, Attributes }));
  return TopicArn!;
}

/** A topic with a queue that may be sent to from it. */
async function pair(name: string, Attributes: Record<string, string> = {}, fifo = false) {
  const suffix = fifo ? '.fifo' : '';
  const TopicArn = await topic(`${name}${suffix}`, fifo ? { FifoTopic: 'true' } : {});
  const queue = await queueFor(sqs, `${name}${suffix}`, { from: TopicArn });
  const { SubscriptionArn } = await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes }));
  return { TopicArn, queue, SubscriptionArn: SubscriptionArn! };
}

const publish = (TopicArn: string, Message: string, more: object = {}) => sns.send(new PublishCommand({ TopicArn, Message, ...more }));

describe('topics', () => {
  test('are made once, told of, set, tagged, listed and deleted', async () => {
    const arn = await topic('first', { DisplayName: 'First' });
    assert.equal(arn, `arn:aws:sns:${server.region}:${server.account}:first`);
    assert.equal(await topic('first'), arn);
    await refused(topic('first', { DisplayName: 'Other' }), 'InvalidParameterException', /already exists with different attributes/);
    await sns.send(new SetTopicAttributesCommand({ TopicArn: arn, AttributeName: 'SignatureVersion', AttributeValue: '2' }));
    const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn: arn }));
    const { Policy, EffectiveDeliveryPolicy, ...others } = Attributes!;
    assert.deepEqual(others, {
      TopicArn: arn,
      Owner: server.account,
      DisplayName: 'First',
      SubscriptionsConfirmed: '0',
      SubscriptionsPending: '0',
      SubscriptionsDeleted: '0',
      SignatureVersion: '2',
    });
    assert.equal(JSON.parse(Policy!).Id, '__default_policy_ID');
    assert.equal(JSON.parse(EffectiveDeliveryPolicy!).http.defaultHealthyRetryPolicy.numRetries, 3);
    await sns.send(new TagResourceCommand({ ResourceArn: arn, Tags: [{ Key: 'a', Value: '1' }, { Key: 'b', Value: '2' }] })); // biome-ignore format: one line
    await sns.send(new UntagResourceCommand({ ResourceArn: arn, TagKeys: ['a'] }));
    assert.deepEqual((await sns.send(new ListTagsForResourceCommand({ ResourceArn: arn }))).Tags, [{ Key: 'b', Value: '2' }]);
    const { Topics } = await sns.send(new ListTopicsCommand({}));
    assert.ok(Topics!.some(({ TopicArn }) => TopicArn === arn));
    await sns.send(new DeleteTopicCommand({ TopicArn: arn }));
    await sns.send(new DeleteTopicCommand({ TopicArn: arn }));
    await refused(sns.send(new GetTopicAttributesCommand({ TopicArn: arn })), 'NotFoundException', 'Topic does not exist', 404);
    await refused(sns.send(new ListTagsForResourceCommand({ ResourceArn: arn })), 'ResourceNotFoundException');
  });

  test('refuse what SNS refuses', async () => {
    await refused(topic('a b'), 'InvalidParameterException', 'Invalid parameter: Topic Name');
    await refused(topic('x.fifo'), 'InvalidParameterException');
    await refused(topic('x', { FifoTopic: 'true' }), 'InvalidParameterException');
    await refused(topic('x', { Policy: '{' }), 'InvalidParameterException');
    await refused(
      topic('x', { DeliveryPolicy: '{"http":{"defaultHealthyRetryPolicy":{"numRetries":1000}}}' }),
      'InvalidParameterException',
    );
    await refused(topic('x', { HTTPSuccessFeedbackRoleArn: 'arn' }), 'InvalidParameterException', /does not have the attribute/);
    for (const name of ['constructor', '__proto__', 'toString']) {
      const Attributes = Object.fromEntries([[name, 'x']]);
      await refused(sns.send(new CreateTopicCommand({ Name: 'x', Attributes })), 'InvalidParameterException', undefined, 400);
    }
    await refused(topic('x', { DisplayName: 'a\u0000b' }), 'InvalidParameterException');
    await refused(topic('x', { KmsMasterKeyId: 'a\u0001' }), 'InvalidParameterException');
    const protecting = new CreateTopicCommand({ Name: 'x', DataProtectionPolicy: '{}' });
    await refused(sns.send(protecting), 'InvalidParameterException', /DataProtectionPolicy/);
    await refused(publish('nonsense', 'x'), 'InvalidParameterException', /TopicArn/);
    await refused(sns.send(new ListTopicsCommand({ NextToken: 'forged' })), 'InvalidParameterException');
  });

  test('are listed in pages of a hundred', async () => {
    for (let at = 0; at < 101; at++) await topic(`many-${at}`);
    const first = await sns.send(new ListTopicsCommand({}));
    assert.equal(first.Topics!.length, 100);
    const second = await sns.send(new ListTopicsCommand({ NextToken: first.NextToken }));
    assert.equal(second.NextToken, undefined);
    const all = [...first.Topics!, ...second.Topics!].map(({ TopicArn }) => TopicArn);
    assert.equal(new Set(all).size, all.length);
  });

  test('get statements by label', async () => {
    const TopicArn = await topic('permitted');
    const add = () =>
      sns.send(new AddPermissionCommand({ TopicArn, Label: 'them', AWSAccountId: ['111122223333'], ActionName: ['Publish'] }));
    const statements = async (): Promise<{ Sid: string }[]> => {
      const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn }));
      return JSON.parse(Attributes!.Policy!).Statement;
    };
    await add();
    assert.deepEqual((await statements()).map(({ Sid }) => Sid), ['__default_statement_ID', 'them']); // biome-ignore format: one line
    await refused(add(), 'InvalidParameterException', /already exists/);
    await sns.send(new RemovePermissionCommand({ TopicArn, Label: 'them' }));
    assert.equal((await statements()).length, 1);
  });
});

describe('queues as subscribers', () => {
  test('get signed envelopes, or the bare message', async () => {
    const { TopicArn, queue, SubscriptionArn } = await pair('envelopes');
    assert.ok(SubscriptionArn.startsWith(`${TopicArn}:`));
    const attributes = {
      color: { DataType: 'String', StringValue: 'red' },
      raw: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 2]) },
    };
    const { MessageId } = await publish(TopicArn, 'hällo', { Subject: 'A subject', MessageAttributes: attributes });
    const [message] = await receiveAll(sqs, queue.url, 1);
    const envelope = JSON.parse(message!.Body!);
    assert.deepEqual(
      [envelope.Type, envelope.MessageId, envelope.TopicArn, envelope.Subject, envelope.Message],
      ['Notification', MessageId, TopicArn, 'A subject', 'hällo'],
    );
    assert.deepEqual(envelope.MessageAttributes, { color: { Type: 'String', Value: 'red' }, raw: { Type: 'Binary', Value: 'AQI=' } });
    assert.match(envelope.Timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const raw = { SubscriptionArn, AttributeName: 'RawMessageDelivery', AttributeValue: 'true' };
    await sns.send(new SetSubscriptionAttributesCommand(raw));
    await publish(TopicArn, 'bare', { MessageAttributes: attributes });
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: queue.url, WaitTimeSeconds: 20, MessageAttributeNames: ['All'] }),
    );
    assert.equal(Messages![0]!.Body, 'bare');
    assert.equal(Messages![0]!.MessageAttributes!.color!.StringValue, 'red');
    assert.deepEqual(Messages![0]!.MessageAttributes!.raw!.BinaryValue, new Uint8Array([1, 2]));
  });

  test('are told of, listed, and end', async () => {
    const { TopicArn, queue, SubscriptionArn } = await pair('listed');
    const again = new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn });
    assert.equal((await sns.send(again)).SubscriptionArn, SubscriptionArn);
    const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
    assert.deepEqual(
      [Attributes!.PendingConfirmation, Attributes!.Protocol, Attributes!.Endpoint, Attributes!.RawMessageDelivery],
      ['false', 'sqs', queue.arn, 'false'],
    );
    const expected = { SubscriptionArn, Owner: server.account, Protocol: 'sqs', Endpoint: queue.arn, TopicArn };
    assert.deepEqual((await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }))).Subscriptions, [expected]);
    const { Subscriptions } = await sns.send(new ListSubscriptionsCommand({}));
    assert.ok(Subscriptions!.some((found) => found.SubscriptionArn === SubscriptionArn));
    await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
    await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
    await refused(sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn })), 'NotFoundException');
  });

  test('get the text for their protocol', async () => {
    const { TopicArn, queue } = await pair('structured', { RawMessageDelivery: 'true' });
    const Message = JSON.stringify({ default: 'for all', sqs: 'for queues', http: 5 });
    await publish(TopicArn, Message, { MessageStructure: 'json' });
    const [message] = await receiveAll(sqs, queue.url, 1);
    assert.equal(message!.Body, 'for queues');
    await refused(publish(TopicArn, '{"sqs":"x"}', { MessageStructure: 'json' }), 'InvalidParameterException', /No default entry/);
    await refused(publish(TopicArn, 'x', { MessageStructure: 'json' }), 'InvalidParameterException', /failed to parse/);
    const withNul = JSON.stringify({ default: 'a\u0000b' });
    await refused(publish(TopicArn, withNul, { MessageStructure: 'json' }), 'InvalidParameterException', /not allowed/);
  });

  test('get only what their filter wants, by attributes or by body', async () => {
    const byAttribute = await pair('filtered', {
      RawMessageDelivery: 'true',
      FilterPolicy: JSON.stringify({ color: ['red', { prefix: 'bl' }], size: [{ numeric: ['>', 5] }], tags: ['x'] }),
    });
    const send = (Message: string, color: string, size: string, tags = '["x","y"]') =>
      publish(byAttribute.TopicArn, Message, {
        MessageAttributes: {
          color: { DataType: 'String', StringValue: color },
          size: { DataType: 'Number', StringValue: size },
          tags: { DataType: 'String.Array', StringValue: tags },
        },
      });
    await send('one', 'red', '6');
    await send('no', 'green', '6');
    await send('no', 'red', '5');
    await send('no', 'red', '6', '["z"]');
    await publish(byAttribute.TopicArn, 'no');
    await send('two', 'blue', '10.5');
    const seen = await receiveAll(sqs, byAttribute.queue.url, 2);
    assert.deepEqual(seen.map(({ Body }) => Body).sort(), ['one', 'two']);
    const byBody = await pair('filtered-body', {
      RawMessageDelivery: 'true',
      FilterPolicyScope: 'MessageBody',
      FilterPolicy: JSON.stringify({ detail: { state: [{ 'anything-but': 'ok' }] } }),
    });
    await publish(byBody.TopicArn, 'no JSON');
    await publish(byBody.TopicArn, '{"detail":{"state":"ok"}}');
    await publish(byBody.TopicArn, '{"detail":{"state":"bad"}}');
    assert.deepEqual((await receiveAll(sqs, byBody.queue.url, 1)).map(({ Body }) => Body), ['{"detail":{"state":"bad"}}']); // biome-ignore format: one line
  });

  test('refuse filters that are none or cost too much', async () => {
    const { SubscriptionArn } = await pair('hostile');
    const set = (AttributeValue: string, AttributeName = 'FilterPolicy') =>
      sns.send(new SetSubscriptionAttributesCommand({ SubscriptionArn, AttributeName, AttributeValue }));
    const bad = [
      '{',
      '[]',
      '{"a":"x"}',
      '{"a":[]}',
      '{"a":[{"like":"x"}]}',
      '{"a":{"b":["x"]}}',
      JSON.stringify(Object.fromEntries(Array.from({ length: 6 }, (_, at) => [`k${at}`, ['x']]))),
      JSON.stringify({ a: Array.from({ length: 20 }, (_, at) => `${at}`), b: Array.from({ length: 20 }, (_, at) => `${at}`) }),
      `${'{"a":'.repeat(50_000)}["x"]${'}'.repeat(50_000)}`,
      JSON.stringify({ $or: [{ a: 'x' }, { b: ['x'] }] }),
    ];
    for (const policy of bad) await refused(set(policy), 'InvalidParameterException', undefined, 400);
    await refused(set('x', 'FilterPolicyScope'), 'InvalidParameterException');
    await refused(set('{}', 'RedrivePolicy'), 'InvalidParameterException');
    await refused(set('true', 'SubscriptionRoleArn'), 'InvalidParameterException');
    // A pattern that would take a backtracking matcher for ever is tried on a long text, and does not hold up the next request.
    await set(JSON.stringify({ a: [{ wildcard: `${'a*'.repeat(500)}b` }] }));
  });

  test('without leave from the queue get nothing, but their dead-letter queue does', async () => {
    const TopicArn = await topic('refusing');
    const closed = await queueFor(sqs, 'closed', {});
    const dead = await queueFor(sqs, 'sns-dead', { from: TopicArn });
    const Attributes = { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.arn }) };
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: closed.arn, Attributes }));
    await publish(TopicArn, 'lost?');
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: dead.url, WaitTimeSeconds: 20, MessageAttributeNames: ['All'] }),
    );
    assert.equal(JSON.parse(Messages![0]!.Body!).Message, 'lost?');
    assert.equal(Messages![0]!.MessageAttributes!.ErrorCode!.StringValue, 'AccessDeniedException');
    await sqs.send(new DeleteQueueCommand({ QueueUrl: closed.url }));
    await publish(TopicArn, 'gone');
    const [gone] = await receiveAll(sqs, dead.url, 1);
    assert.equal(JSON.parse(gone!.Body!).Message, 'gone');
  });
});

describe('publishing', () => {
  test('refuses what is no message', async () => {
    const arn = await topic('strict');
    await refused(publish(arn, ''), 'InvalidParameterException', 'Invalid parameter: Empty message');
    await refused(publish(arn, 'x'.repeat(262_145)), 'InvalidParameterException', 'Invalid parameter: Message too long');
    for (const Subject of ['a\nb', 'x'.repeat(101), ' x'])
      await refused(publish(arn, 'x', { Subject }), 'InvalidParameterException', /Subject/);
    const attribute = (value: object) => publish(arn, 'x', { MessageAttributes: { a: value } });
    await refused(attribute({ DataType: 'Other', StringValue: 'x' }), 'InvalidParameterValueException');
    await refused(attribute({ DataType: 'Number', StringValue: 'x' }), 'InvalidParameterValueException');
    await refused(attribute({ DataType: 'String.Array', StringValue: '{}' }), 'InvalidParameterValueException');
    await refused(attribute({ DataType: 'String' }), 'InvalidParameterValueException');
    await refused(publish(arn, 'x', { MessageDeduplicationId: 'x' }), 'InvalidParameterException');
    await refused(sns.send(new PublishCommand({ PhoneNumber: '+4912345678', Message: 'x' })), 'InvalidParameterException', /text messages/);
    await refused(publish(`arn:aws:sns:${server.region}:${server.account}:none`, 'x'), 'NotFoundException');
    const subscribe = (Protocol: string, Endpoint: string) => sns.send(new SubscribeCommand({ TopicArn: arn, Protocol, Endpoint }));
    await refused(subscribe('sms', '+49123'), 'InvalidParameterException', /does not deliver by sms/);
    await refused(subscribe('pigeon', 'x'), 'InvalidParameterException', /Does not support this protocol string/);
    await refused(subscribe('http', 'https://x'), 'InvalidParameterException');
    await refused(subscribe('http', 'http://169.254.169.254/latest'), 'InvalidParameterException', /Link-local/);
    await refused(subscribe('http', 'http://0xa9fea9fe/'), 'InvalidParameterException', /Link-local/);
    await refused(subscribe('http', 'http://x/\u0000'), 'InvalidParameterException');
    await refused(sns.send(new UnsubscribeCommand({ SubscriptionArn: `${arn}:\u0000` })), 'InvalidParameterException');
    await refused(subscribe('email', 'x@y\r\nBcc: z@z'), 'InvalidParameterException');
    await refused(
      subscribe('lambda', `arn:aws:lambda:${server.region}:${server.account}:function:f`),
      'InvalidParameterException',
      /LAMBDA/,
    );
  });

  test('in batches succeeds and fails one by one', async () => {
    const { TopicArn, queue } = await pair('batch', { RawMessageDelivery: 'true' });
    const batch = (entries: object[]) => sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: entries as never }));
    const answer = await batch([
      { Id: 'a', Message: 'one' },
      { Id: 'b', Message: '' },
      { Id: 'c', Message: 'two' },
    ]);
    assert.deepEqual(
      [answer.Successful!.map(({ Id }) => Id), answer.Failed!.map(({ Id, Code }) => [Id, Code])],
      [['a', 'c'], [['b', 'InvalidParameter']]],
    );
    assert.deepEqual((await receiveAll(sqs, queue.url, 2)).map(({ Body }) => Body).sort(), ['one', 'two']);
    await refused(batch([]), 'EmptyBatchRequestException');
    await refused(batch([{ Id: 'a', Message: 'x' }, { Id: 'a', Message: 'x' }]), 'BatchEntryIdsNotDistinctException'); // biome-ignore format: one line
    await refused(batch(Array.from({ length: 11 }, (_, at) => ({ Id: `${at}`, Message: 'x' }))), 'TooManyEntriesInBatchRequestException');
  });

  test('to a FIFO topic keeps order and takes each message once', async () => {
    const { TopicArn, queue } = await pair('ordered', { RawMessageDelivery: 'true' }, true);
    const bodies = Array.from({ length: 20 }, (_, at) => `${at}`);
    for (const body of bodies) await publish(TopicArn, body, { MessageGroupId: 'g', MessageDeduplicationId: body });
    const repeated = await publish(TopicArn, 'again', { MessageGroupId: 'g', MessageDeduplicationId: '3' });
    assert.match(repeated.SequenceNumber!, /^\d{20}$/);
    const seen = await receiveAll(sqs, queue.url, 20);
    assert.deepEqual(seen.map(({ Body }) => Body), bodies); // biome-ignore format: one line
    await refused(publish(TopicArn, 'x'), 'InvalidParameterException', /MessageGroupId parameter is required/);
    await refused(publish(TopicArn, 'x', { MessageGroupId: 'g' }), 'InvalidParameterException', /ContentBasedDeduplication/);
  });
});
