/** Deliveries as jobs: tried until the endpoint takes them or its retry policy ends, then into its dead-letter queue. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { pauseAfter, retryPolicy } from './delivery-policy.ts';
import { bodyFor, deliver, isFinal, queueClient } from './endpoints.ts';
import { isOutside, queueDelivery } from './fan-out.ts';
import { withPlace } from './outside.ts';
import type { Delivery, Message, Subscription, Topic } from './tables.ts';
import { parseTopicArn, readTopic } from './topic.ts';

/** Job `sns.deliver`: one try of one delivery. */
export const deliverOne: JobHandler = async (platform, job: { delivery: number; outside: boolean }) => {
  const delivery = await platform.read.selectFrom('sns.deliveries').selectAll().where('id', '=', job.delivery).executeTakeFirst();
  if (!delivery) return;
  const tryNow = () => attempt(platform, delivery);
  if (!job.outside) await tryNow();
  else await withPlace(platform.now(), tryNow, (again) => platform.transaction((tx) => queueDelivery(tx, delivery, true, again)));
};

/** Job `sns.deliver-lane`: all that one subscription is to get of one group, in order; a failure holds up what comes after it. */
export const deliverLane: JobHandler = async (platform, { subscription, lane }: { subscription: string; lane: string }, { signal }) => {
  while (!signal.aborted) {
    const delivery = await platform.read
      .selectFrom('sns.deliveries')
      .selectAll()
      .where('subscription_arn', '=', subscription)
      .where('lane', '=', lane)
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    if (!delivery || !(await attempt(platform, delivery))) return;
  }
  throw new Error('The process ends; the rest is delivered by another one.');
};

interface Concerned {
  topic: Topic;
  subscription: Subscription;
  message: Message;
}

/** Whether the delivery is over, one way or another. */
async function attempt(platform: Platform, delivery: Delivery): Promise<boolean> {
  const concerned = await find(platform, delivery);
  try {
    // Whoever unsubscribed meanwhile gets nothing more.
    if (concerned) await deliver(platform, concerned.topic, concerned.subscription, concerned.message);
  } catch (error) {
    return failed(platform, delivery, concerned!, error as Error);
  }
  await platform.transaction((tx) => finish(tx, delivery));
  return true;
}

async function find(platform: Platform, delivery: Delivery): Promise<Concerned | undefined> {
  const { read } = platform;
  const subscription = await read
    .selectFrom('sns.subscriptions')
    .selectAll()
    .where('arn', '=', delivery.subscription_arn)
    .executeTakeFirst();
  const message =
    subscription && (await read.selectFrom('sns.messages').selectAll().where('id', '=', delivery.message_id).executeTakeFirst());
  const topic = message && (await readTopic(read, parseTopicArn(message.topic_arn)!));
  return topic && { topic, subscription, message };
}

/** The message goes with its last delivery. */
async function finish(tx: Transaction, { id, message_id: message }: Delivery): Promise<void> {
  // The lock makes one of two last deliveries see the other's end.
  await tx.sql.selectFrom('sns.messages').select('id').where('id', '=', message).forUpdate().execute();
  await tx.sql.deleteFrom('sns.deliveries').where('id', '=', id).execute();
  await tx.sql
    .deleteFrom('sns.messages')
    .where('id', '=', message)
    .where(({ not, exists, selectFrom }) => not(exists(selectFrom('sns.deliveries').select('id').where('message_id', '=', message))))
    .execute();
}

async function failed(platform: Platform, delivery: Delivery, concerned: Concerned, error: Error): Promise<boolean> {
  const { topic, subscription } = concerned;
  const attempts = delivery.attempts + 1;
  const policy = retryPolicy(subscription.protocol, subscription.attributes.DeliveryPolicy, topic.attributes.DeliveryPolicy);
  const pause = isFinal(error) ? undefined : pauseAfter(policy, attempts);
  const where = {
    subscription: subscription.arn,
    endpoint: subscription.endpoint,
    message: concerned.message.id,
    attempts,
    reason: error.message,
  };
  if (pause === undefined) {
    platform.log.error(where, 'a notification was not delivered');
    await toDeadLetters(platform, concerned, error);
    await platform.transaction((tx) => finish(tx, delivery));
    return true;
  }
  platform.log.warn(where, 'a notification could not be delivered yet');
  await platform.transaction(async (tx) => {
    await tx.sql.updateTable('sns.deliveries').set({ attempts }).where('id', '=', delivery.id).execute();
    await queueDelivery(tx, delivery, isOutside(subscription), new Date(platform.now().getTime() + pause * 1000));
  });
  return false;
}

/** Throws when the queue cannot be reached now: then the job is tried again, and nothing is lost. */
async function toDeadLetters(platform: Platform, { topic, subscription, message }: Concerned, error: Error): Promise<void> {
  const { RedrivePolicy: text } = subscription.attributes;
  if (!text) return;
  const { deadLetterTargetArn: arn } = JSON.parse(text) as { deadLetterTargetArn: string };
  const { sqs, QueueUrl } = queueClient(platform, topic, arn);
  const fifo = arn.endsWith('.fifo');
  try {
    await sqs.sendMessage({
      QueueUrl,
      MessageBody: await bodyFor(platform, topic, subscription, message),
      MessageAttributes: {
        ErrorCode: { DataType: 'String', StringValue: error instanceof AwsError ? error.code : error.name },
        ErrorMessage: { DataType: 'String', StringValue: error.message.slice(0, 1000) || error.name },
      },
      MessageGroupId: message.group_id ?? undefined,
      MessageDeduplicationId: fifo ? (message.dedup_id ?? undefined) : undefined,
    });
  } catch (refusal) {
    if (!isFinal(refusal)) throw refusal;
    platform.log.error(
      { subscription: subscription.arn, queue: arn, reason: (refusal as Error).message },
      'a dead-letter queue refused a notification',
    );
  }
}
