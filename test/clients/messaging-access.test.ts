/** Two accounts and two processes: what the policies of queues and topics let whom do, and what both processes see of one queue. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { AddPermissionCommand, CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import {
  AddPermissionCommand as AddQueuePermissionCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { Penstock } from '../../src/compose.ts';
import { readConfig } from '../../src/platform/config.ts';
import { startPenstock } from '../../src/start.ts';
import { queueFor, receiveAll } from '../support/messaging.ts';
import { refused } from '../support/refused.ts';

const OTHER = '111122223333';
const OWNER = '123456789012';
const REGION = 'us-east-1';

let dataDir: string;
let first: Penstock;
let second: Penstock;
const clients: { destroy(): void }[] = [];
let sqs: SQSClient;
let sns: SNSClient;
let theirs: { sqs: SQSClient; sns: SNSClient };

type Keys = { accessKeyId: string; secretAccessKey: string };

function open(penstock: Penstock, credentials: Keys) {
  const settings = { endpoint: penstock.config.endpoints.http, region: REGION, credentials, maxAttempts: 1 };
  const opened = { sqs: new SQSClient(settings), sns: new SNSClient(settings), iam: new IAMClient(settings) };
  clients.push(...Object.values(opened));
  return opened;
}

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-test-'));
  const start = () => {
    const settings = { data: dataDir, port: '0', tlsPort: '0', sshPort: '0', machines: 'process' };
    const { config, ports } = readConfig(settings, { PENSTOCK_LOG_LEVEL: 'silent', PENSTOCK_REGION: REGION });
    return startPenstock(config, ports, {});
  };
  first = await start();
  second = await start();
  ({ sqs, sns } = open(first, first.administrator));
  theirs = open(first, await first.addAccount(OTHER));
});
after(async () => {
  for (const client of clients) client.destroy();
  await second?.stop();
  await first?.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

const policy = (...Statement: object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });

describe('queues of another account', () => {
  test('are open as far as their policy says', async () => {
    const { url, arn } = await queueFor(sqs, 'shared', {});
    const send = () => theirs.sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'from outside' }));
    const read = () => theirs.sqs.send(new ReceiveMessageCommand({ QueueUrl: url }));
    const remove = () => theirs.sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
    for (const call of [send, read, remove]) await refused(call(), 'AccessDenied', /is not authorized to perform: sqs:/);
    const grant = { QueueUrl: url, Label: 'them', AWSAccountIds: [OTHER], Actions: ['SendMessage', 'GetQueueUrl'] };
    await sqs.send(new AddQueuePermissionCommand(grant));
    await send();
    const found = await theirs.sqs.send(new GetQueueUrlCommand({ QueueName: 'shared', QueueOwnerAWSAccountId: OWNER }));
    assert.equal(found.QueueUrl, url);
    await refused(read(), 'AccessDenied');
    assert.equal((await receiveAll(sqs, url, 1))[0]!.Body, 'from outside');
    // Even a policy that allows everything does not let others manage the queue.
    const Policy = policy({ Effect: 'Allow', Principal: { AWS: OTHER }, Action: 'sqs:*', Resource: arn });
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { Policy } }));
    await read();
    await refused(theirs.sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { DelaySeconds: '1' } })), 'AccessDenied');
    await refused(remove(), 'AccessDenied');
  });

  test('get their topics’ messages only where they name the topic', async () => {
    const { TopicArn } = await theirs.sns.send(new CreateTopicCommand({ Name: 'theirs' }));
    const { TopicArn: another } = await theirs.sns.send(new CreateTopicCommand({ Name: 'another' }));
    const queue = await queueFor(sqs, 'from-theirs', { from: TopicArn });
    for (const arn of [TopicArn, another]) {
      const { SubscriptionArn } = await theirs.sns.send(new SubscribeCommand({ TopicArn: arn, Protocol: 'sqs', Endpoint: queue.arn }));
      // Whoever owns the queue has not agreed yet; the question is in the queue, if it may get there.
      assert.equal(SubscriptionArn, 'pending confirmation');
    }
    const question = JSON.parse((await receiveAll(sqs, queue.url, 1))[0]!.Body!);
    assert.deepEqual([question.Type, question.TopicArn], ['SubscriptionConfirmation', TopicArn]);
    assert.equal((await fetch(question.SubscribeURL)).status, 200);
    await theirs.sns.send(new PublishCommand({ TopicArn: another, Message: 'no' }));
    await theirs.sns.send(new PublishCommand({ TopicArn, Message: 'yes' }));
    assert.equal(JSON.parse((await receiveAll(sqs, queue.url, 1))[0]!.Body!).Message, 'yes');
  });
});

describe('topics', () => {
  test('of another account take messages from whom they permit', async () => {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'permitting' }));
    const publish = () => theirs.sns.send(new PublishCommand({ TopicArn, Message: 'x' }));
    await refused(publish(), 'AuthorizationErrorException', /is not authorized to perform: sns:Publish/i, 403);
    await sns.send(new AddPermissionCommand({ TopicArn, Label: 'them', AWSAccountId: [OTHER], ActionName: ['Publish'] }));
    assert.ok((await publish()).MessageId);
  });

  test('of the own account ask for the user’s own policies', async () => {
    const { iam } = open(first, first.administrator);
    await iam.send(new CreateUserCommand({ UserName: 'poor' }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'poor' }));
    const poor = open(first, { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! });
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'asking' }));
    const publish = () => poor.sns.send(new PublishCommand({ TopicArn, Message: 'x' }));
    await refused(publish(), 'AuthorizationErrorException');
    await refused(poor.sqs.send(new CreateQueueCommand({ QueueName: 'poor' })), 'AccessDenied');
    const PolicyDocument = policy({ Effect: 'Allow', Action: 'sns:Publish', Resource: TopicArn });
    await iam.send(new PutUserPolicyCommand({ UserName: 'poor', PolicyName: 'publish', PolicyDocument }));
    assert.ok((await publish()).MessageId);
  });
});

describe('two processes on one queue', () => {
  test('wake each other’s waiters, and hand out each message once', async () => {
    const beside = open(second, first.administrator).sqs;
    const { url } = await queueFor(sqs, 'both', {});
    // The URL says another port than the one it is used at: its path is what counts.
    const waiting = beside.send(new ReceiveMessageCommand({ QueueUrl: url, WaitTimeSeconds: 20 }));
    await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'woken' }));
    const { Messages } = await waiting;
    assert.equal(Messages![0]!.Body, 'woken');
    await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: Messages![0]!.ReceiptHandle }));
    const count = 60;
    const seen: string[] = [];
    const take = async (client: SQSClient): Promise<void> => {
      while (seen.length < count) {
        const found = await client.send(new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 3, WaitTimeSeconds: 1 }));
        for (const { Body } of found.Messages ?? []) seen.push(Body!);
      }
    };
    const receivers = [sqs, beside, sqs, beside].map(take);
    for (let at = 0; at < count; at++) await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: `${at}` }));
    await Promise.all(receivers);
    assert.equal(new Set(seen).size, count);
    assert.equal(seen.length, count);
  });
});
