/** How often and after which pauses a delivery is tried again (developer guide, "Amazon SNS message delivery retries"). */
import { invalid } from './errors.ts';

export interface RetryPolicy {
  numRetries: number;
  numNoDelayRetries: number;
  minDelayTarget: number;
  numMinDelayRetries: number;
  maxDelayTarget: number;
  numMaxDelayRetries: number;
  backoffFunction: 'linear' | 'arithmetic' | 'geometric' | 'exponential';
}

const HTTP_DEFAULT: RetryPolicy = {
  numRetries: 3,
  numNoDelayRetries: 0,
  minDelayTarget: 20,
  numMinDelayRetries: 0,
  maxDelayTarget: 20,
  numMaxDelayRetries: 0,
  backoffFunction: 'linear',
};
/** To AWS's own services it is tried 100,015 times in 23 days. */
const OWN_SERVICES: RetryPolicy = {
  numRetries: 100_015,
  numNoDelayRetries: 3,
  minDelayTarget: 1,
  numMinDelayRetries: 2,
  maxDelayTarget: 20,
  numMaxDelayRetries: 100_000,
  backoffFunction: 'exponential',
};
/** Of mail and the like: 50 times in 6 hours. */
const MAIL: RetryPolicy = {
  numRetries: 50,
  numNoDelayRetries: 0,
  minDelayTarget: 10,
  numMinDelayRetries: 2,
  maxDelayTarget: 600,
  numMaxDelayRetries: 38,
  backoffFunction: 'exponential',
};
const FUNCTIONS = ['linear', 'arithmetic', 'geometric', 'exponential'];
const MAX_RETRIES = 100;
const MAX_DELAY_SECONDS = 3600;

type Json = Record<string, unknown>;

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw invalid('DeliveryPolicy', `${what} must be a JSON object`);
}

function parse(text: string): Json {
  try {
    return objectOf(JSON.parse(text), 'DeliveryPolicy');
  } catch (error) {
    throw error instanceof SyntaxError ? invalid('DeliveryPolicy', 'failed to parse JSON') : error;
  }
}

/** Of a topic: `{"http":{"defaultHealthyRetryPolicy":{…}}}`. Throws InvalidParameter. */
export function checkTopicPolicy(text: string): void {
  const { http, ...others } = parse(text);
  if (Object.keys(others).length > 0) throw invalid('DeliveryPolicy', `Unexpected JSON member: ${Object.keys(others)[0]}`);
  const { defaultHealthyRetryPolicy: retries } = objectOf(http, 'http');
  if (retries !== undefined) readRetries(objectOf(retries, 'http.defaultHealthyRetryPolicy'));
}

/** Of a subscription: `{"healthyRetryPolicy":{…}}`. Throws InvalidParameter. */
export function checkSubscriptionPolicy(text: string): void {
  const { healthyRetryPolicy: retries } = parse(text);
  if (retries !== undefined) readRetries(objectOf(retries, 'healthyRetryPolicy'));
}

function readRetries(given: Json): RetryPolicy {
  const policy = { ...HTTP_DEFAULT };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(policy, name)) throw invalid('DeliveryPolicy', `Unexpected JSON member: ${name.slice(0, 100)}`);
    if (name === 'backoffFunction') {
      if (!FUNCTIONS.includes(value as string)) throw invalid('DeliveryPolicy', `backoffFunction must be one of ${FUNCTIONS.join(', ')}`);
      policy.backoffFunction = value as RetryPolicy['backoffFunction'];
      continue;
    }
    const [least, most] = name.endsWith('DelayTarget') ? [1, MAX_DELAY_SECONDS] : [0, MAX_RETRIES];
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      throw invalid('DeliveryPolicy', `${name} must be from ${least} to ${most}`);
    }
    policy[name as Exclude<keyof RetryPolicy, 'backoffFunction'>] = value as number;
  }
  if (policy.minDelayTarget > policy.maxDelayTarget)
    throw invalid('DeliveryPolicy', 'maxDelayTarget must be greater than or equal to minDelayTarget');
  if (policy.numNoDelayRetries + policy.numMinDelayRetries + policy.numMaxDelayRetries > policy.numRetries) {
    throw invalid('DeliveryPolicy', 'numRetries must be at least the sum of numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries');
  }
  return policy;
}

/** What holds for a subscription: its own policy, else its topic's, else the default of its protocol. */
export function retryPolicy(protocol: string, own: string | undefined, topic: string | undefined): RetryPolicy {
  if (protocol === 'sqs' || protocol === 'lambda') return OWN_SERVICES;
  if (protocol !== 'http' && protocol !== 'https') return MAIL;
  const ofTopic = topicSettings(topic);
  const ofSubscription = own && (JSON.parse(own) as { healthyRetryPolicy?: Json }).healthyRetryPolicy;
  if (ofSubscription && !ofTopic.disableSubscriptionOverrides) return readRetries(ofSubscription);
  const { defaultHealthyRetryPolicy: retries } = ofTopic;
  return retries ? readRetries(retries) : HTTP_DEFAULT;
}

function topicSettings(topic: string | undefined): { defaultHealthyRetryPolicy?: Json; disableSubscriptionOverrides?: boolean } {
  return topic === undefined ? {} : ((JSON.parse(topic) as { http?: object }).http ?? {});
}

/** As GetTopicAttributes tells it. */
export function effectiveTopicPolicy(topic: string | undefined): string {
  const { disableSubscriptionOverrides = false } = topicSettings(topic);
  const defaultHealthyRetryPolicy = retryPolicy('http', undefined, topic);
  return JSON.stringify({
    http: {
      defaultHealthyRetryPolicy,
      disableSubscriptionOverrides,
      defaultRequestPolicy: { headerContentType: 'text/plain; charset=UTF-8' },
    },
  });
}

/** Seconds until the next try after `failed` of them; undefined when that was the last. */
export function pauseAfter(policy: RetryPolicy, failed: number): number | undefined {
  if (failed > policy.numRetries) return undefined;
  let retry = failed;
  if (retry <= policy.numNoDelayRetries) return 0;
  retry -= policy.numNoDelayRetries;
  if (retry <= policy.numMinDelayRetries) return policy.minDelayTarget;
  retry -= policy.numMinDelayRetries;
  const between = policy.numRetries - policy.numNoDelayRetries - policy.numMinDelayRetries - policy.numMaxDelayRetries;
  if (retry > between) return policy.maxDelayTarget;
  return policy.minDelayTarget + (policy.maxDelayTarget - policy.minDelayTarget) * curve(policy.backoffFunction, retry / (between + 1));
}

/** From 0 to 1: how far between the least pause and the longest. */
function curve(kind: RetryPolicy['backoffFunction'], share: number): number {
  if (kind === 'linear') return share;
  if (kind === 'arithmetic') return (share * (share + 1)) / 2;
  return kind === 'geometric' ? share ** 2 : (2 ** (share * 8) - 1) / 255;
}
