/** From a message to the subscriptions that want it: a row and a job for each. */
import { createHash } from 'node:crypto';
import type { Transaction } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import { wants } from './filter.ts';
import type { Delivery, Message, Subscription } from './tables.ts';

/** A receiver that does not answer holds so many workers at most. */
const LANES = 4;
/** Of a job that fails by itself, apart from its endpoint: with the pauses between them these last for weeks. */
const MAX_ATTEMPTS = 100;

/** Job `sns.fan-out`: once for each message, however often it runs. */
export const fanOutMessage: JobHandler = async (platform, { message: id }: { message: string }) => {
  await platform.transaction(async (tx) => {
    const message = await tx.sql.selectFrom('sns.messages').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
    if (!message) return;
    const begun = await tx.sql.selectFrom('sns.deliveries').select('id').where('message_id', '=', id).limit(1).executeTakeFirst();
    if (!begun) await fanOut(tx, message);
  });
};

export async function fanOut(tx: Transaction, message: Message): Promise<void> {
  const subscriptions = await tx.sql
    .selectFrom('sns.subscriptions')
    .selectAll()
    .where('topic_arn', '=', message.topic_arn)
    .where('confirmed_seq', '<', message.seq)
    .orderBy('arn')
    .execute();
  const wanting = subscriptions.filter((subscription) => wants(subscription, message));
  if (wanting.length === 0) {
    await tx.sql.deleteFrom('sns.messages').where('id', '=', message.id).execute();
    return;
  }
  const lane = message.dedup_id === null ? null : message.group_id;
  const deliveries = await tx.sql
    .insertInto('sns.deliveries')
    .values(wanting.map(({ arn }) => ({ message_id: message.id, subscription_arn: arn, lane })))
    .returningAll()
    .execute();
  const outside = new Map(wanting.map((subscription) => [subscription.arn, isOutside(subscription)]));
  for (const delivery of deliveries) await queueDelivery(tx, delivery, outside.get(delivery.subscription_arn)!);
}

/** Whether its endpoint is not ours to answer. */
export function isOutside({ protocol }: Pick<Subscription, 'protocol'>): boolean {
  return protocol !== 'sqs';
}

/** A lane has one job at a time, which takes its oldest delivery; other deliveries have a job each. */
export async function queueDelivery(tx: Transaction, delivery: Delivery, outside: boolean, runAt?: Date): Promise<void> {
  const { id, subscription_arn: subscription, lane } = delivery;
  if (lane !== null) {
    const queue = queueName(subscription, lane);
    await tx.enqueue('sns.deliver-lane', { subscription, lane }, { queue, key: queue, runAt, maxAttempts: MAX_ATTEMPTS });
    return;
  }
  const queue = outside ? queueName(subscription, String(id % LANES)) : undefined;
  await tx.enqueue('sns.deliver', { delivery: id, outside }, { queue, runAt, maxAttempts: MAX_ATTEMPTS });
}

/** Short: names of queues have at most 128 characters. */
function queueName(subscription: string, lane: string): string {
  return `sns:${createHash('sha256').update(`${subscription} ${lane}`).digest('hex').slice(0, 40)}`;
}
