/** SNS and SQS as the end of other services' ways: rules of EventBridge, notifications of S3, approvals of CodePipeline. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EventBridgeClient, PutEventsCommand, PutRuleCommand, PutTargetsCommand, type Target } from '@aws-sdk/client-eventbridge';
import {
  DeleteObjectCommand,
  GetBucketNotificationConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { CreateTopicCommand, SetTopicAttributesCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Rollouts } from '../support/codedeploy.ts';
import { approval, Pipelines, stage } from '../support/codepipeline.ts';
import { queueFor, receiveAll } from '../support/messaging.ts';
import { refused } from '../support/refused.ts';
import { newBucket, s3Client } from '../support/s3.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let events: EventBridgeClient;
let sns: SNSClient;
let sqs: SQSClient;

before(async () => {
  server = await startServer();
  events = new EventBridgeClient(server.client);
  sns = new SNSClient(server.client);
  sqs = new SQSClient(server.client);
});
after(async () => {
  for (const client of [events, sns, sqs]) client?.destroy();
  await server?.stop();
});

/** A topic that `service` may publish to, and a queue that gets what it is given, bare. */
async function heardTopic(name: string, service: string) {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: name }));
  const statement = { Effect: 'Allow', Principal: { Service: `${service}.amazonaws.com` }, Action: 'sns:Publish', Resource: TopicArn };
  const AttributeValue = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'Policy', AttributeValue }));
  const queue = await queueFor(sqs, name, { from: TopicArn! });
  await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: queue.arn, Attributes: { RawMessageDelivery: 'true' } }));
  return { TopicArn: TopicArn!, queue };
}

describe('EventBridge', () => {
  const rule = async (name: string, targets: Target[]): Promise<void> => {
    await events.send(new PutRuleCommand({ Name: name, EventPattern: JSON.stringify({ source: [name] }) }));
    await events.send(new PutTargetsCommand({ Rule: name, Targets: targets }));
  };
  const emit = (Source: string, Detail: object) =>
    events.send(new PutEventsCommand({ Entries: [{ Source, DetailType: 'Test', Detail: JSON.stringify(Detail) }] }));

  test('sends events to topics and queues, FIFO ones too', async () => {
    const topic = await heardTopic('from-rule', 'events');
    const ruleArn = `arn:aws:events:${server.region}:${server.account}:rule/app.one`;
    const plain = await queueFor(sqs, 'rule-plain', { from: ruleArn });
    const fifo = await queueFor(sqs, 'rule-ordered.fifo', { from: ruleArn });
    await rule('app.one', [
      { Id: 'topic', Arn: topic.TopicArn, InputTransformer: { InputPathsMap: { n: '$.detail.n' }, InputTemplate: '"Number <n>"' } },
      { Id: 'plain', Arn: plain.arn },
      { Id: 'fifo', Arn: fifo.arn, SqsParameters: { MessageGroupId: 'g' }, InputPath: '$.detail' },
    ]);
    await emit('app.one', { n: 7 });
    assert.equal((await receiveAll(sqs, topic.queue.url, 1))[0]!.Body, '"Number 7"');
    assert.deepEqual(JSON.parse((await receiveAll(sqs, plain.url, 1))[0]!.Body!).detail, { n: 7 });
    assert.equal((await receiveAll(sqs, fifo.url, 1))[0]!.Body, '{"n":7}');
  });

  test('gives what its target refuses to the dead-letter queue', async () => {
    const dead = await queueFor(sqs, 'rule-dead', { from: '*' });
    const closed = await queueFor(sqs, 'rule-closed', {});
    await rule('app.two', [{ Id: 'closed', Arn: closed.arn, DeadLetterConfig: { Arn: dead.arn } }]);
    await emit('app.two', { n: 1 });
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: dead.url, WaitTimeSeconds: 20, MessageAttributeNames: ['All'] }),
    );
    const { Body, MessageAttributes } = Messages![0]!;
    assert.deepEqual(JSON.parse(Body!).detail, { n: 1 });
    assert.equal(MessageAttributes!.TARGET_ARN!.StringValue, closed.arn);
    assert.equal(MessageAttributes!.ERROR_CODE!.StringValue, 'AccessDeniedException');
  });

  test('refuses FIFO queues without a group, and dead letters to what is no queue', async () => {
    const arn = `arn:aws:sqs:${server.region}:${server.account}:x`;
    await refused(rule('app.three', [{ Id: 'x', Arn: `${arn}.fifo` }]), 'ValidationException', /MessageGroupId/);
    await refused(
      rule('app.three', [{ Id: 'x', Arn: arn, DeadLetterConfig: { Arn: `${arn}.fifo` } }]),
      'ValidationException',
      /standard queue/,
    );
  });
});

describe('CodePipeline', () => {
  test('tells a topic that an approval waits, and what answers it', async () => {
    const { TopicArn, queue } = await heardTopic('approvals', 'nobody');
    const pipelines = await Pipelines.open(server);
    await pipelines.repository('approved');
    const configuration = {
      NotificationArn: TopicArn,
      ExternalEntityLink: 'https://example.com/a',
      CustomData: 'Commit #{Source.CommitMessage}?',
    };
    const id = await pipelines.create('approved', [
      stage('Source', pipelines.source('approved')),
      stage('Gate', approval('Release', { configuration })),
    ]);
    const { expires, token, approvalReviewLink, ...approvalSaid } = await (async () => {
      const { region, consoleLink, approval: said } = JSON.parse((await receiveAll(sqs, queue.url, 1))[0]!.Body!);
      assert.deepEqual([region, consoleLink.endsWith('#/view/approved')], [server.region, true]);
      return said;
    })();
    assert.deepEqual(approvalSaid, {
      pipelineName: 'approved',
      stageName: 'Gate',
      actionName: 'Release',
      externalEntityLink: 'https://example.com/a',
      customData: 'Commit Change?',
    });
    assert.match(expires, /^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/);
    assert.ok(approvalReviewLink.endsWith(`/approved/Gate/Release/approve/${token}`));
    const result = { status: 'Approved', summary: 'fine' } as const;
    await pipelines.codepipeline.putApprovalResult({ pipelineName: 'approved', stageName: 'Gate', actionName: 'Release', token, result });
    await pipelines.ended('approved', id);
  });
});

describe('CodeDeploy', () => {
  test('tells topics of deployments and of their instances', async () => {
    const { TopicArn, queue } = await heardTopic('deployments', 'nobody');
    const rollouts = await Rollouts.open(server);
    try {
      const triggerEvents = ['DeploymentStart', 'DeploymentSuccess', 'DeploymentFailure', 'InstanceSuccess', 'InstanceFailure'] as const;
      const { name } = await rollouts.fleet(1, undefined, {
        triggerConfigurations: [{ triggerName: 'all', triggerTargetArn: TopicArn, triggerEvents: [...triggerEvents] }],
      });
      const deploymentId = await rollouts.deploy(name, await rollouts.revision('one.zip'));
      await rollouts.settled(deploymentId);
      const told = (await receiveAll(sqs, queue.url, 3)).map(({ Body }) => JSON.parse(Body!));
      for (const each of told) {
        assert.deepEqual(
          [each.region, each.accountId, each.eventTriggerName, each.deploymentId],
          [server.region, server.account, 'all', deploymentId],
        );
      }
      const ended = told.find(({ completeTime }) => completeTime);
      assert.equal(ended.status, 'SUCCEEDED');
      assert.deepEqual(ended.deploymentOverview, { Failed: '0', InProgress: '0', Pending: '0', Skipped: '0', Succeeded: '1' });
      assert.match(ended.createTime, /^\d{10}\.\d{3}$/);
      const instance = told.find(({ instanceId }) => instanceId);
      assert.equal(instance.instanceStatus, 'Succeeded');
      assert.ok(
        instance.lifecycleEvents.every(
          ({ LifecycleEventStatus }: { LifecycleEventStatus: string }) => LifecycleEventStatus === 'Succeeded',
        ),
      );
      assert.equal(told.find(({ applicationName, completeTime }) => applicationName && !completeTime).status, 'CREATED');
    } finally {
      await rollouts.close();
    }
  });
});

describe('S3', () => {
  test('tells queues and topics of objects, after a test event', async () => {
    const s3 = s3Client(server);
    const Bucket = await newBucket(s3, 'told');
    const configure = (NotificationConfiguration: object) =>
      s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
    try {
      const closed = await queueFor(sqs, 's3-closed', {});
      const toQueue = (QueueArn: string, more: object = {}) => ({
        QueueConfigurations: [{ QueueArn, Events: ['s3:ObjectCreated:*'], ...more }],
      });
      await refused(configure(toQueue(closed.arn)), 'InvalidArgument', 'Unable to validate the following destination configurations');
      const queue = await queueFor(sqs, 's3-told', { from: `arn:aws:s3:::${Bucket}` });
      const { TopicArn, queue: heard } = await heardTopic('s3-heard', 's3');
      const filter = (Name: 'prefix' | 'suffix', Value: string) => ({ Filter: { Key: { FilterRules: [{ Name, Value }] } } });
      const twice = { QueueConfigurations: [...toQueue(queue.arn).QueueConfigurations, ...toQueue(queue.arn).QueueConfigurations] };
      await refused(configure(twice), 'InvalidArgument', /overlap/);
      await refused(configure(toQueue(queue.arn, { Events: ['s3:ObjectTagging:*'] })), 'InvalidArgument', /does not send/);
      await configure({
        ...toQueue(queue.arn, { Id: 'mine', ...filter('suffix', '.zip') }),
        TopicConfigurations: [{ TopicArn, Events: ['s3:ObjectRemoved:*'] }],
      });
      const tests = [...(await receiveAll(sqs, queue.url, 1)), ...(await receiveAll(sqs, heard.url, 1))].map(({ Body }) =>
        JSON.parse(Body!),
      );
      for (const { Service, Event, Bucket: named } of tests)
        assert.deepEqual([Service, Event, named], ['Amazon S3', 's3:TestEvent', Bucket]);
      const kept = await s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
      assert.deepEqual([kept.QueueConfigurations![0]!.Id, kept.TopicConfigurations![0]!.TopicArn], ['mine', TopicArn]);
      // What was read may be written again.
      const { TopicConfigurations, QueueConfigurations } = kept;
      await configure({ TopicConfigurations, QueueConfigurations });
      await s3.send(new PutObjectCommand({ Bucket, Key: 'not.txt', Body: 'x' }));
      const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key: 'a folder/ü.zip', Body: 'zipped' }));
      await s3.send(new DeleteObjectCommand({ Bucket, Key: 'not.txt' }));
      const [created] = JSON.parse((await receiveAll(sqs, queue.url, 1))[0]!.Body!).Records;
      assert.deepEqual([created.eventName, created.eventSource, created.s3.configurationId], ['ObjectCreated:Put', 'aws:s3', 'mine']);
      const { sequencer, ...object } = created.s3.object;
      assert.deepEqual(object, { key: 'a+folder/%C3%BC.zip', size: 6, eTag: ETag!.replaceAll('"', '') });
      assert.match(sequencer, /^[0-9A-F]{16}$/);
      const [removed] = JSON.parse((await receiveAll(sqs, heard.url, 1))[0]!.Body!).Records;
      assert.deepEqual([removed.eventName, removed.s3.object.key], ['ObjectRemoved:Delete', 'not.txt']);
      await configure({});
      assert.equal((await s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }))).QueueConfigurations, undefined);
    } finally {
      s3.destroy();
    }
  });
});
