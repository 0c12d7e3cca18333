/** Topics as requests name them, and the IAM questions that are asked about them. */
import type { Reader, Transaction } from '../../platform/platform.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { invalid, notFound } from './errors.ts';
import type { Topic } from './tables.ts';
import './tables.ts';

/** Services that do not say for which account they speak: the default policy does not let them in (user guide of EventBridge). */
const WITHOUT_OWNER = ['events.amazonaws.com', 's3.amazonaws.com'];
/** What the default policy lets the topic's owner do (API reference, AddPermission). */
const OWNER_ACTIONS =
  'GetTopicAttributes SetTopicAttributes AddPermission RemovePermission DeleteTopic Subscribe ListSubscriptionsByTopic Publish';

interface Name {
  account: string;
  region: string;
  name: string;
}

export function topicArn({ account, region, name }: Name): string {
  return `arn:aws:sns:${region}:${account}:${name}`;
}

export function parseTopicArn(arn: string): Name | undefined {
  const match = /^arn:aws[\w-]*:sns:([a-z0-9-]+):(\d{12}):([\w-]{1,256}(?:\.fifo)?)$/.exec(arn);
  return match ? { region: match[1]!, account: match[2]!, name: match[3]! } : undefined;
}

export function readTopic(read: Pick<Reader, 'selectFrom'>, { account, region, name }: Name): Promise<Topic | undefined> {
  return read
    .selectFrom('sns.topics')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** Each request reads its topic once: what was authorized is what the handler sees. */
const known = new WeakMap<RequestContext, Topic>();

export async function findTopic(ctx: RequestContext, arn: string | undefined): Promise<Topic> {
  const kept = known.get(ctx);
  if (kept && topicArn(kept) === arn) return kept;
  const name = parseTopicArn(arn ?? '');
  if (!name)
    throw invalid('TopicArn', arn === undefined ? 'no value for required parameter' : 'An ARN must have at least 6 elements, not that');
  if (name.region !== ctx.region) throw invalid('TopicArn');
  const topic = await readTopic(ctx.read, name);
  if (!topic) throw notFound('Topic');
  known.set(ctx, topic);
  return topic;
}

export async function lockTopic(tx: Transaction, name: Name): Promise<Topic> {
  const topic = await tx.sql
    .selectFrom('sns.topics')
    .selectAll()
    .where('account', '=', name.account)
    .where('region', '=', name.region)
    .where('name', '=', name.name)
    .forUpdate()
    .executeTakeFirst();
  if (!topic) throw notFound('Topic');
  return topic;
}

/** Asks for the operation on the topic of the input, its policy included. */
export async function onTopic({ TopicArn }: { TopicArn: string }, ctx: RequestContext): Promise<Check> {
  return topicCheck(ctx, await findTopic(ctx, TopicArn));
}

export function topicCheck(ctx: RequestContext, topic: Topic, more: Partial<Check> = {}): Check {
  const { principal } = ctx;
  const speaksForAccount = principal.type === 'Service' && !WITHOUT_OWNER.includes(principal.service);
  return {
    resource: topicArn(topic),
    resourceAccount: topic.account,
    resourceTags: topic.tags,
    resourcePolicy: policyOf(topic),
    ...more,
    conditions: { ...(speaksForAccount && { 'aws:SourceOwner': principal.account }), ...more.conditions },
  };
}

export function policyOf(topic: Topic): string {
  return topic.policy ?? JSON.stringify(defaultPolicy(topic));
}

export function defaultPolicy(topic: Name): { Version: string; Id: string; Statement: { Sid?: string }[] } {
  const statement = {
    Sid: '__default_statement_ID',
    Effect: 'Allow',
    Principal: { AWS: '*' },
    Action: OWNER_ACTIONS.split(' ').map((action) => `SNS:${action}`),
    Resource: topicArn(topic),
    Condition: { StringEquals: { 'AWS:SourceOwner': topic.account } },
  };
  return { Version: '2008-10-17', Id: '__default_policy_ID', Statement: [statement] };
}
