/** Which topics and queues hear of which changes of a bucket. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { type Bucket, findBucket, onBucket } from './access.ts';
import { s3Error } from './errors.ts';
import { send } from './notify.ts';
import type { Notification } from './tables.ts';

const DESTINATION = /^arn:aws[\w-]*:(sns|sqs):([a-z0-9-]+):\d{12}:[\w-]{1,256}$/;
/** What happens here; others are refused, so that nobody waits for them. */
const EVENT = /^s3:Object(Created:(\*|Put|Post|Copy|CompleteMultipartUpload)|Removed:(\*|Delete|DeleteMarkerCreated))$/;
const MAX_CONFIGURATIONS = 100;

type Filter = ShapeOf<'s3', 'NotificationConfigurationFilter'> | undefined;

export const getBucketNotificationConfiguration = operation('s3', 'GetBucketNotificationConfiguration', {
  authorize: onBucket('s3:GetBucketNotification'),
  async handle(ctx, input) {
    const { event_bridge, notifications } = await findBucket(ctx, input);
    const of = (service: string) => notifications.filter(({ arn }) => arn.split(':')[2] === service);
    const topics = of('sns').map((one) => ({ ...told(one), TopicArn: one.arn }));
    const queues = of('sqs').map((one) => ({ ...told(one), QueueArn: one.arn }));
    return {
      ...(topics.length > 0 && { TopicConfigurations: topics }),
      ...(queues.length > 0 && { QueueConfigurations: queues }),
      ...(event_bridge && { EventBridgeConfiguration: {} }),
    };
  },
});

function told({ id, events, prefix, suffix }: Notification) {
  const rules = [
    ...(prefix === undefined ? [] : [{ Name: 'Prefix', Value: prefix }]),
    ...(suffix === undefined ? [] : [{ Name: 'Suffix', Value: suffix }]),
  ];
  return {
    Id: id,
    Events: events as NonNullable<ShapeOf<'s3', 'QueueConfiguration'>['Events']>,
    ...(rules.length > 0 && { Filter: { Key: { FilterRules: rules } } }),
  };
}

export const putBucketNotificationConfiguration = operation('s3', 'PutBucketNotificationConfiguration', {
  authorize: onBucket('s3:PutBucketNotification'),
  async handle(ctx, input) {
    const { NotificationConfiguration: asked, SkipDestinationValidation: unproven = false } = input;
    if (asked.LambdaFunctionConfigurations?.length) throw cannotValidate();
    const bucket = await findBucket(ctx, input);
    const notifications = [
      ...(asked.TopicConfigurations ?? []).map(({ TopicArn, ...rest }) => read(bucket, TopicArn, rest)),
      ...(asked.QueueConfigurations ?? []).map(({ QueueArn, ...rest }) => read(bucket, QueueArn, rest)),
    ];
    check(notifications);
    const known = new Set(bucket.notifications.map(({ arn }) => arn));
    const fresh = new Set(notifications.map(({ arn }) => arn).filter((arn) => !known.has(arn)));
    if (!unproven) for (const arn of fresh) await prove(ctx, bucket, arn);
    await ctx.transaction((tx) =>
      tx.sql
        .updateTable('s3.buckets')
        .set({ event_bridge: asked.EventBridgeConfiguration !== undefined, notifications: JSON.stringify(notifications) })
        .where('name', '=', input.Bucket)
        .execute(),
    );
    return {};
  },
  partial: 'EventBridge, and SNS topics and SQS queues for created and removed objects; Lambda functions and other events are refused',
});

function cannotValidate(): AwsError {
  return s3Error('InvalidArgument', 'Unable to validate the following destination configurations');
}

function read(
  bucket: Bucket,
  arn: string,
  { Id, Events, Filter: filter }: { Id?: string; Events: string[]; Filter?: Filter },
): Notification {
  const region = DESTINATION.exec(arn)?.[2];
  if (!region) throw s3Error('InvalidArgument', 'The ARN is not well formed, or of a FIFO topic or queue, which S3 does not notify.');
  if (region !== bucket.region)
    throw s3Error('InvalidArgument', 'The notification destination service region is not valid for the bucket location constraint');
  const event = Events.find((name) => !EVENT.test(name));
  if (event !== undefined) throw s3Error('InvalidArgument', `Penstock does not send the event ${event} to topics and queues.`);
  const rule = filter?.Key?.FilterRules?.find(({ Name }) => !/^(prefix|suffix)$/i.test(Name ?? ''));
  if (rule) throw s3Error('InvalidArgument', 'filter rule name must be either prefix or suffix');
  return { id: Id ?? randomUUID(), arn, events: Events, prefix: ruleOf(filter, 'prefix'), suffix: ruleOf(filter, 'suffix') };
}

function ruleOf(filter: Filter, name: string): string | undefined {
  const rules = (filter?.Key?.FilterRules ?? []).filter(({ Name }) => Name?.toLowerCase() === name);
  if (rules.length > 1) throw s3Error('InvalidArgument', `Cannot specify more than one ${name} rule in a filter.`);
  return rules[0]?.Value;
}

function check(notifications: Notification[]): void {
  if (notifications.length > MAX_CONFIGURATIONS)
    throw s3Error('InvalidArgument', `There can be at most ${MAX_CONFIGURATIONS} configurations.`);
  if (new Set(notifications.map(({ id }) => id)).size < notifications.length) {
    throw s3Error('InvalidArgument', 'Same ID used for multiple configurations. IDs must be unique.');
  }
  const overlapping = notifications.some((one, at) => notifications.slice(at + 1).some((other) => overlap(one, other)));
  if (overlapping)
    throw s3Error('InvalidArgument', 'Configurations overlap. Configurations on the same bucket cannot share a common event type.');
}

/** Whether one change could be for both. */
function overlap(one: Notification, other: Notification): boolean {
  const shared = one.events.some((event) => other.events.some((name) => sameEvent(event, name)));
  const prefixes = nested(one.prefix, other.prefix, (text, part) => text.startsWith(part));
  return shared && prefixes && nested(one.suffix, other.suffix, (text, part) => text.endsWith(part));
}

function nested(one = '', other = '', within: (text: string, part: string) => boolean): boolean {
  return within(one, other) || within(other, one);
}

function sameEvent(one: string, other: string): boolean {
  return one === other || covers(one, other) || covers(other, one);
}

function covers(pattern: string, event: string): boolean {
  return pattern.endsWith('*') && event.startsWith(pattern.slice(0, -1));
}

/** Whether a bucket's change is for this destination; `event` without `s3:`. */
export function concerns({ events, prefix = '', suffix = '' }: Notification, event: string, key: string): boolean {
  const full = `s3:${event}`;
  return events.some((name) => name === full || covers(name, full)) && key.startsWith(prefix) && key.endsWith(suffix);
}

/** A destination that does not take the test event is none. */
async function prove(ctx: RequestContext, bucket: Bucket, arn: string): Promise<void> {
  const test = {
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Time: ctx.now().toISOString(),
    Bucket: bucket.name,
    RequestId: ctx.requestId,
    HostId: ctx.requestId,
  };
  try {
    await send(ctx, { arn, bucket: bucket.name, account: bucket.account, text: JSON.stringify(test) });
  } catch (error) {
    if (error instanceof AwsError) throw cannotValidate();
    throw error;
  }
}
