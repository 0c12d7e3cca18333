/** The JSON in which messages travel, signed, and the links in it. */
import { randomUUID } from 'node:crypto';
import type { Platform } from '../../platform/platform.ts';
import { toEnvelope } from './message-attributes.ts';
import { sequenceNumber } from './sequence.ts';
import { signed } from './signing.ts';
import type { Message, Subscription, Topic } from './tables.ts';

/** The text for a protocol: mail shares `email`, all fall back to `default`. */
export function textFor(message: Message, protocol: string): string {
  return message.by_protocol?.[protocol] ?? message.by_protocol?.default ?? message.message;
}

function baseUrl({ config }: Platform): string {
  return config.publicUrl ?? config.endpoints.http;
}

export function unsubscribeUrl(platform: Platform, subscription: Subscription): string {
  return `${baseUrl(platform)}/?Action=Unsubscribe&SubscriptionArn=${encodeURIComponent(subscription.arn)}`;
}

function signatureVersion(topic: Topic): string {
  return topic.attributes.SignatureVersion ?? '1';
}

export async function notification(platform: Platform, topic: Topic, subscription: Subscription, message: Message): Promise<string> {
  const core = {
    Type: 'Notification',
    MessageId: message.id,
    ...(topic.fifo && { SequenceNumber: sequenceNumber(message.seq) }),
    TopicArn: message.topic_arn,
    ...(message.subject !== null && { Subject: message.subject }),
    Message: textFor(message, subscription.protocol),
    Timestamp: message.published_at.toISOString(),
  };
  const envelope = await signed(platform, core, signatureVersion(topic));
  const attributes = message.attributes && { MessageAttributes: toEnvelope(message.attributes) };
  return JSON.stringify({ ...envelope, UnsubscribeURL: unsubscribeUrl(platform, subscription), ...attributes }, null, 2);
}

export function confirmUrl(platform: Platform, subscription: Subscription, token: string): string {
  const { topic_arn: topic } = subscription;
  return `${baseUrl(platform)}/?Action=ConfirmSubscription&TopicArn=${encodeURIComponent(topic)}&Token=${token}`;
}

export async function confirmation(
  platform: Platform,
  topic: Topic,
  subscription: Subscription,
  token: string,
): Promise<{ id: string; text: string }> {
  const { topic_arn: TopicArn } = subscription;
  const core = {
    Type: 'SubscriptionConfirmation',
    MessageId: randomUUID(),
    Token: token,
    TopicArn,
    Message: `You have chosen to subscribe to the topic ${TopicArn}.\nTo confirm the subscription, visit the SubscribeURL included in this message.`,
    SubscribeURL: confirmUrl(platform, subscription, token),
    Timestamp: platform.now().toISOString(),
  };
  return { id: core.MessageId, text: JSON.stringify(await signed(platform, core, signatureVersion(topic)), null, 2) };
}
