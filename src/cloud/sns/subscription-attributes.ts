/** Attributes of subscriptions: what may be set, and how they are told. */
import { checkSubscriptionPolicy, retryPolicy } from './delivery-policy.ts';
import { invalid } from './errors.ts';
import { checkFilterPolicy } from './filter.ts';
import type { Subscription, Topic } from './tables.ts';
import { isText } from './text.ts';
import { topicArn } from './topic.ts';

const SCOPES = ['MessageAttributes', 'MessageBody'];

/** Throws InvalidParameter unless a subscription of that protocol may have all of them together. */
export function checkAttributes(attributes: Record<string, string>, protocol: string, topic: Topic): void {
  const { FilterPolicyScope: scope = 'MessageAttributes' } = attributes;
  for (const [name, value] of Object.entries(attributes)) {
    if (!isText(value)) throw invalid('AttributeValue');
    switch (name) {
      case 'RawMessageDelivery':
        if (!/^(true|false)$/i.test(value))
          throw invalid('Attributes', `RawMessageDelivery: Invalid value [${value.slice(0, 100)}]. Must be true or false.`);
        if (value.toLowerCase() === 'true' && !['http', 'https', 'sqs'].includes(protocol)) {
          throw invalid('Attributes', `RawMessageDelivery: Not supported for the protocol ${protocol}.`);
        }
        break;
      case 'FilterPolicyScope':
        if (!SCOPES.includes(value))
          throw invalid(`FilterPolicyScope: Invalid value [${value.slice(0, 100)}]. Please use either MessageBody or MessageAttributes`);
        break;
      case 'FilterPolicy':
        if (value !== '') checkFilterPolicy(value, scope);
        break;
      case 'RedrivePolicy':
        if (value !== '') checkRedrivePolicy(value, topic);
        break;
      case 'DeliveryPolicy':
        if (value !== '') checkSubscriptionPolicy(value);
        break;
      default:
        throw invalid('AttributeName', `Penstock does not have the attribute ${name.slice(0, 100)} of subscriptions.`);
    }
  }
}

function checkRedrivePolicy(text: string, topic: Topic): void {
  let policy: { deadLetterTargetArn?: unknown } | null = null;
  try {
    policy = JSON.parse(text) as { deadLetterTargetArn?: unknown } | null;
  } catch {
    throw invalid('RedrivePolicy: failed to parse JSON.');
  }
  const arn = policy?.deadLetterTargetArn;
  const queue = typeof arn === 'string' ? /^arn:aws[\w-]*:sqs:([a-z0-9-]+):\d{12}:[\w-]{1,80}(\.fifo)?$/.exec(arn) : null;
  if (!queue) throw invalid('RedrivePolicy: deadLetterTargetArn is an invalid arn');
  if (queue[1] !== topic.region) throw invalid('RedrivePolicy: deadLetterTargetArn must be of the same region as the topic');
  if ((queue[2] === '.fifo') !== topic.fifo && queue[2] === '.fifo')
    throw invalid('RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic');
}

export function normalized(attributes: Record<string, string>): Record<string, string> {
  const given = Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== ''));
  return { ...given, ...(given.RawMessageDelivery && { RawMessageDelivery: given.RawMessageDelivery.toLowerCase() }) };
}

export function describeSubscription(subscription: Subscription, topic: Topic): Record<string, string> {
  const { attributes, protocol } = subscription;
  const { RawMessageDelivery = 'false', FilterPolicy, FilterPolicyScope = 'MessageAttributes', RedrivePolicy, DeliveryPolicy } = attributes;
  const overHttp = protocol === 'http' || protocol === 'https';
  return {
    SubscriptionArn: subscription.arn,
    TopicArn: topicArn(topic),
    Owner: subscription.account,
    Protocol: protocol,
    Endpoint: subscription.endpoint,
    PendingConfirmation: String(!subscription.confirmed),
    ConfirmationWasAuthenticated: String(subscription.authenticated),
    SubscriptionPrincipal: subscription.principal,
    RawMessageDelivery,
    ...(FilterPolicy && { FilterPolicy, FilterPolicyScope }),
    ...(RedrivePolicy && { RedrivePolicy }),
    ...(DeliveryPolicy && { DeliveryPolicy }),
    ...(overHttp && {
      EffectiveDeliveryPolicy: JSON.stringify({
        healthyRetryPolicy: retryPolicy(protocol, DeliveryPolicy, topic.attributes.DeliveryPolicy),
      }),
    }),
  };
}
