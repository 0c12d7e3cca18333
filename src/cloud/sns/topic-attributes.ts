/** Attributes of topics: what may be set, and what they are when nothing was set. */
import { PolicyError } from '../../platform/policy/document.ts';
import { validatePolicy } from '../../platform/policy/validate.ts';
import { checkTopicPolicy, effectiveTopicPolicy } from './delivery-policy.ts';
import { invalid } from './errors.ts';
import type { Topic } from './tables.ts';
import { isText } from './text.ts';
import { policyOf, topicArn } from './topic.ts';

const MAX_POLICY_BYTES = 30_720;
const CHOICES = new Map<string, string[]>(
  Object.entries({
    ContentBasedDeduplication: ['true', 'false'],
    FifoThroughputScope: ['Topic', 'MessageGroup'],
    FifoTopic: ['true', 'false'],
    SignatureVersion: ['1', '2'],
    TracingConfig: ['PassThrough'],
  }),
);
const OF_FIFO = ['ContentBasedDeduplication', 'FifoThroughputScope'];

/** Throws InvalidParameter for what cannot be set on such a topic. */
export function checkTopicAttribute(name: string, value: string, fifo: boolean): void {
  if (!isText(value)) throw invalid('AttributeValue');
  const choices = CHOICES.get(name);
  if (choices && (fifo || !OF_FIFO.includes(name))) {
    if (!choices.includes(value))
      throw invalid(`Attributes Reason: ${name}: Invalid value [${value.slice(0, 100)}]. Must be ${choices.join(' or ')}.`);
    return;
  }
  switch (name) {
    case 'DisplayName':
      if (value.length > 100 || /[\r\n]/.test(value)) throw invalid('DisplayName', 'it must be one line of at most 100 characters');
      return;
    case 'DeliveryPolicy':
      if (value !== '') checkTopicPolicy(value);
      return;
    case 'KmsMasterKeyId':
      return;
    case 'Policy':
      if (value !== '') checkPolicy(value);
      return;
    default:
      // Delivery logs and archives are not kept, so that nobody may ask for them in vain.
      throw invalid('AttributeName', `Penstock does not have the attribute ${name.slice(0, 100)} of topics.`);
  }
}

function checkPolicy(text: string): void {
  if (Buffer.byteLength(text) > MAX_POLICY_BYTES) throw invalid('Policy', `it is longer than ${MAX_POLICY_BYTES} bytes`);
  try {
    validatePolicy(text, 'resource');
  } catch (error) {
    throw error instanceof PolicyError ? invalid('Policy Error', error.message) : error;
  }
}

export function describeTopic(topic: Topic, counts: { confirmed: number; pending: number }): Record<string, string> {
  const { DisplayName = '', DeliveryPolicy, SignatureVersion, KmsMasterKeyId, TracingConfig } = topic.attributes;
  const { ContentBasedDeduplication = 'false', FifoThroughputScope = 'Topic' } = topic.attributes;
  return {
    TopicArn: topicArn(topic),
    Owner: topic.account,
    Policy: policyOf(topic),
    DisplayName,
    SubscriptionsConfirmed: String(counts.confirmed),
    SubscriptionsPending: String(counts.pending),
    SubscriptionsDeleted: '0',
    EffectiveDeliveryPolicy: effectiveTopicPolicy(DeliveryPolicy),
    ...(DeliveryPolicy && { DeliveryPolicy }),
    ...(SignatureVersion && { SignatureVersion }),
    ...(TracingConfig && { TracingConfig }),
    ...(KmsMasterKeyId && { KmsMasterKeyId }),
    ...(topic.fifo && { FifoTopic: 'true', ContentBasedDeduplication, FifoThroughputScope }),
  };
}
