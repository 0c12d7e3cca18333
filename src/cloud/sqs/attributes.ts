/** Attributes of queues: what may be set, within which limits, and what they are when nothing was set. */
import { AwsError } from '../../platform/errors.ts';
import { PolicyError } from '../../platform/policy/document.ts';
import { policySize, validatePolicy } from '../../platform/policy/validate.ts';
import { isText } from './message-attributes.ts';
import { type Place, parseQueueArn } from './queue.ts';
import type { Queue } from './tables.ts';

/** A message and its attributes, in bytes (1 MiB since August 2025). */
export const MAX_MESSAGE_BYTES = 1_048_576;
const MAX_POLICY_BYTES = 8_192;

interface Range {
  least: number;
  most: number;
  fallback: number;
}
const NUMBERS: Record<string, Range> = {
  DelaySeconds: { least: 0, most: 900, fallback: 0 },
  MaximumMessageSize: { least: 1024, most: MAX_MESSAGE_BYTES, fallback: MAX_MESSAGE_BYTES },
  MessageRetentionPeriod: { least: 60, most: 1_209_600, fallback: 345_600 },
  ReceiveMessageWaitTimeSeconds: { least: 0, most: 20, fallback: 0 },
  VisibilityTimeout: { least: 0, most: 43_200, fallback: 30 },
};
const KMS_REUSE: Range = { least: 60, most: 86_400, fallback: 300 };
const FIFO_ONLY: Record<string, { values: string[]; fallback: string }> = {
  ContentBasedDeduplication: { values: ['true', 'false'], fallback: 'false' },
  DeduplicationScope: { values: ['queue', 'messageGroup'], fallback: 'queue' },
  FifoThroughputLimit: { values: ['perQueue', 'perMessageGroupId'], fallback: 'perQueue' },
};
/** Told, never set. */
const COUNTED = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
  'CreatedTimestamp',
  'LastModifiedTimestamp',
  'QueueArn',
];
const SETTABLE = new Set([
  ...Object.keys(NUMBERS),
  ...Object.keys(FIFO_ONLY),
  'FifoQueue',
  'KmsDataKeyReusePeriodSeconds',
  'KmsMasterKeyId',
  'Policy',
  'RedriveAllowPolicy',
  'RedrivePolicy',
  'SqsManagedSseEnabled',
]);
const KNOWN = new Set([...SETTABLE, ...COUNTED, 'All']);

export function numberOf(queue: Pick<Queue, 'attributes'>, name: keyof typeof NUMBERS & string): number {
  return Number(queue.attributes[name] ?? NUMBERS[name]!.fallback);
}

export function textOf(queue: Pick<Queue, 'attributes'>, name: keyof typeof FIFO_ONLY & string): string {
  return queue.attributes[name] ?? FIFO_ONLY[name]!.fallback;
}

export function checkNames(names: string[]): void {
  const unknown = names.find((name) => !KNOWN.has(name));
  if (unknown !== undefined) throw unknownAttribute(unknown);
}

function unknownAttribute(name: string): AwsError {
  return new AwsError('InvalidAttributeName', `Unknown Attribute ${name.slice(0, 300)}.`);
}

function invalid(name: string): AwsError {
  return new AwsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`);
}

/** Throws unless all may be set on such a queue. */
export function checkAttributes(attributes: Record<string, string>, place: Place, fifo: boolean): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (!SETTABLE.has(name)) throw unknownAttribute(name);
    if (!isText(value)) throw invalid(name);
    const range = name === 'KmsDataKeyReusePeriodSeconds' ? KMS_REUSE : NUMBERS[name];
    if (range && !(/^\d{1,9}$/.test(value) && Number(value) >= range.least && Number(value) <= range.most)) throw invalid(name);
    const choice = FIFO_ONLY[name];
    if (choice && !fifo) throw unknownAttribute(name);
    if (choice && !choice.values.includes(value)) throw invalid(name);
    if (name === 'SqsManagedSseEnabled' && value !== 'true' && value !== 'false') throw invalid(name);
    if (name === 'Policy' && value !== '') checkPolicy(value);
    if (name === 'RedrivePolicy' && value !== '') redriveOf(value, place, fifo);
    if (name === 'RedriveAllowPolicy' && value !== '') redriveAllowOf(value);
  }
  if (attributes.FifoThroughputLimit === 'perMessageGroupId' && attributes.DeduplicationScope === 'queue')
    throw invalid('FifoThroughputLimit');
  if (attributes.KmsMasterKeyId && attributes.SqsManagedSseEnabled === 'true') {
    throw new AwsError(
      'InvalidAttributeValue',
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    );
  }
}

function checkPolicy(text: string): void {
  try {
    if (policySize(text) > MAX_POLICY_BYTES) throw invalid('Policy');
    validatePolicy(text, 'resource');
  } catch (error) {
    throw error instanceof PolicyError ? invalid('Policy') : error;
  }
}

function parseObject(name: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What is no JSON is no object either.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AwsError(
      'InvalidParameterValueException',
      `Value ${text.slice(0, 300)} for parameter ${name} is invalid. Reason: Amazon SQS can't create the redrive policy, as it's in an unsupported format.`,
    );
  }
  return value as Record<string, unknown>;
}

/** Where messages go that were received too often. */
export function redriveOf(text: string, place: Place, fifo: boolean): { arn: string; maxReceiveCount: number } {
  const { deadLetterTargetArn, maxReceiveCount, ...others } = parseObject('RedrivePolicy', text);
  const complain = (reason: string): AwsError =>
    new AwsError('InvalidParameterValueException', `Value ${text.slice(0, 300)} for parameter RedrivePolicy is invalid. Reason: ${reason}`);
  if (Object.keys(others).length > 0) throw complain('Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].');
  if (typeof deadLetterTargetArn !== 'string') throw complain('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.');
  if (maxReceiveCount === undefined) throw complain('Redrive policy does not contain mandatory attribute: maxReceiveCount.');
  const count = Number(maxReceiveCount);
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw complain('Invalid value for maxReceiveCount: it must be from 1 to 1000.');
  const target = parseQueueArn(deadLetterTargetArn);
  if (!target || target.account !== place.account || target.region !== place.region) {
    throw complain('Dead letter target must be a queue of the same account and region.');
  }
  if (target.name.endsWith('.fifo') !== fifo) throw complain('Dead-letter queue must be same type of queue as the source.');
  return { arn: deadLetterTargetArn, maxReceiveCount: count };
}

/** Which queues may name this one as their dead-letter queue. */
export function redriveAllowOf(text: string): { permission: string; sources: string[] } {
  const { redrivePermission, sourceQueueArns } = parseObject('RedriveAllowPolicy', text);
  const sources = Array.isArray(sourceQueueArns) ? sourceQueueArns : [];
  const named = redrivePermission === 'byQueue';
  if (redrivePermission !== 'allowAll' && redrivePermission !== 'denyAll' && !named) throw invalid('RedriveAllowPolicy');
  if (named !== sources.length > 0 || sources.length > 10) throw invalid('RedriveAllowPolicy');
  if (!sources.every((arn) => typeof arn === 'string' && parseQueueArn(arn))) throw invalid('RedriveAllowPolicy');
  return { permission: redrivePermission, sources };
}

/** All that is told of a queue but its counts. */
export function describe(queue: Queue, arn: string): Record<string, string> {
  const seconds = (date: Date): string => String(Math.floor(date.getTime() / 1000));
  const numbers = Object.keys(NUMBERS).map((name) => [name, String(numberOf(queue, name))]);
  const fifo = queue.fifo ? Object.keys(FIFO_ONLY).map((name) => [name, textOf(queue, name)]) : [];
  const sse = queue.attributes.KmsMasterKeyId ? 'false' : 'true';
  const { KmsMasterKeyId, KmsDataKeyReusePeriodSeconds = String(KMS_REUSE.fallback), SqsManagedSseEnabled = sse } = queue.attributes;
  return {
    QueueArn: arn,
    CreatedTimestamp: seconds(queue.created_at),
    LastModifiedTimestamp: seconds(queue.modified_at),
    ...Object.fromEntries(numbers),
    ...(queue.fifo && { FifoQueue: 'true' }),
    ...Object.fromEntries(fifo),
    ...(KmsMasterKeyId && { KmsMasterKeyId, KmsDataKeyReusePeriodSeconds }),
    SqsManagedSseEnabled,
    ...(queue.policy !== null && { Policy: queue.policy }),
    ...(queue.attributes.RedrivePolicy && { RedrivePolicy: queue.attributes.RedrivePolicy }),
    ...(queue.attributes.RedriveAllowPolicy && { RedriveAllowPolicy: queue.attributes.RedriveAllowPolicy }),
  };
}

/** What was sent before is past its retention. */
export function keptSince(queue: Pick<Queue, 'attributes'>, now: Date): Date {
  return new Date(now.getTime() - numberOf(queue, 'MessageRetentionPeriod') * 1000);
}
