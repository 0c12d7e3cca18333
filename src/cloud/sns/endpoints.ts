/** Hands one text to one subscription's endpoint, each protocol in its way. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { confirmation, confirmUrl, notification, textFor, unsubscribeUrl } from './envelope.ts';
import { EndpointError, post } from './http-endpoint.ts';
import { sendMail } from './mail.ts';
import { toQueue } from './message-attributes.ts';
import type { Message, Subscription, Topic } from './tables.ts';
import { topicArn } from './topic.ts';

const SUBJECT = 'AWS Notification Message';

/** Whether trying again could help: a refusal stays one. */
export function isFinal(error: unknown): boolean {
  if (error instanceof EndpointError) return error.final;
  return error instanceof AwsError && (error.status ?? 400) < 500 && !/Throttl/i.test(error.code);
}

function isRaw(subscription: Subscription): boolean {
  return subscription.attributes.RawMessageDelivery === 'true';
}

/** What the endpoint gets as text, also what its dead-letter queue gets. */
export function bodyFor(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<string> | string {
  return isRaw(subscription) ? textFor(message, subscription.protocol) : notification(platform, topic, subscription, message);
}

export async function deliver(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<void> {
  switch (subscription.protocol) {
    case 'sqs':
      return toSqs(platform, topic, subscription, message);
    case 'http':
    case 'https': {
      const body = await bodyFor(platform, topic, subscription, message);
      return post(subscription.endpoint, headersOf(subscription, 'Notification', message.id), body, platform.authority.certificate);
    }
    case 'email':
      return toMail(platform, topic, subscription, message);
    case 'email-json': {
      const text = await notification(platform, topic, subscription, message);
      return sendMail(platform, { to: subscription.endpoint, name: senderOf(topic), subject: message.subject ?? SUBJECT, text });
    }
    default:
      return toLambda(platform, topic, subscription, message);
  }
}

function headersOf(subscription: Subscription, type: string, id: string): Record<string, string> {
  return {
    'x-amz-sns-message-type': type,
    'x-amz-sns-message-id': id,
    'x-amz-sns-topic-arn': subscription.topic_arn,
    ...(type === 'Notification' && { 'x-amz-sns-subscription-arn': subscription.arn }),
    ...(type === 'Notification' && isRaw(subscription) && { 'x-amz-sns-rawdelivery': 'true' }),
  };
}

/** A queue's client as SNS itself, on behalf of the topic: the queue's policy decides. */
export function queueClient(platform: Platform, topic: Topic, arn: string) {
  const [, , , region, account, name] = arn.split(':') as string[];
  const { sqs } = platform.aws.asService('sns', { account: topic.account, region: region!, sourceArn: topicArn(topic) });
  return { sqs, QueueUrl: `${platform.config.serviceEndpoints.sqs ?? platform.config.endpoints.http}/${account}/${name}` };
}

async function toSqs(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<void> {
  const { sqs, QueueUrl } = queueClient(platform, topic, subscription.endpoint);
  const fifo = subscription.endpoint.endsWith('.fifo');
  await sqs.sendMessage({
    QueueUrl,
    MessageBody: await bodyFor(platform, topic, subscription, message),
    MessageAttributes: isRaw(subscription) ? toQueue(message.attributes) : undefined,
    MessageGroupId: message.group_id ?? undefined,
    MessageDeduplicationId: fifo ? (message.dedup_id ?? undefined) : undefined,
  });
}

function senderOf(topic: Topic): string {
  return topic.attributes.DisplayName || 'AWS Notifications';
}

async function toMail(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<void> {
  const text = `${textFor(message, 'email')}

--
If you wish to stop receiving notifications from this topic, please click or visit the link below to unsubscribe:
${unsubscribeUrl(platform, subscription)}
`;
  await sendMail(platform, { to: subscription.endpoint, name: senderOf(topic), subject: message.subject ?? SUBJECT, text });
}

interface LambdaClient {
  invoke(input: { FunctionName: string; InvocationType: 'Event'; Payload: Uint8Array }): Promise<unknown>;
}

/** Functions live elsewhere: `PENSTOCK_ENDPOINT_LAMBDA` says where. */
async function toLambda(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<void> {
  const { UnsubscribeURL, SigningCertURL, ...envelope } = JSON.parse(await notification(platform, topic, subscription, message));
  const record = {
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: subscription.arn,
    Sns: { Subject: null, MessageAttributes: {}, ...envelope, SigningCertUrl: SigningCertURL, UnsubscribeUrl: UnsubscribeURL },
  };
  const where = { account: topic.account, region: subscription.endpoint.split(':')[3]!, sourceArn: topicArn(topic) };
  const { lambda } = platform.aws.asService('sns', where) as unknown as { lambda: LambdaClient };
  const Payload = Buffer.from(JSON.stringify({ Records: [record] }));
  await lambda.invoke({ FunctionName: subscription.endpoint, InvocationType: 'Event', Payload });
}

/** Asks whoever owns the endpoint whether he wants to get messages. */
export async function askToConfirm(platform: Platform, topic: Topic, subscription: Subscription, token: string): Promise<void> {
  const { id, text } = await confirmation(platform, topic, subscription, token);
  if (subscription.protocol === 'sqs') {
    const { sqs, QueueUrl } = queueClient(platform, topic, subscription.endpoint);
    await sqs.sendMessage({ QueueUrl, MessageBody: text });
  } else if (subscription.protocol.startsWith('http')) {
    await post(subscription.endpoint, headersOf(subscription, 'SubscriptionConfirmation', id), text, platform.authority.certificate);
  } else {
    const plain = `You have chosen to subscribe to the topic:
${subscription.topic_arn}

To confirm this subscription, click or visit the link below (If this was in error no action is necessary):
${confirmUrl(platform, subscription, token)}
`;
    const mail = { to: subscription.endpoint, name: senderOf(topic), subject: 'AWS Notification - Subscription Confirmation' };
    await sendMail(platform, { ...mail, text: subscription.protocol === 'email' ? plain : text });
  }
}
