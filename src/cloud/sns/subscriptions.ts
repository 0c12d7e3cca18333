/** Subscriptions: made, told of, set, listed. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { isForbiddenHost } from '../../platform/guarded-lookup.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { queueConfirmation } from './confirmation.ts';
import { invalid, notFound } from './errors.ts';
import { checkAttributes, describeSubscription, normalized } from './subscription-attributes.ts';
import type { Subscription, Topic } from './tables.ts';
import { findTopic, lockTopic, onTopic, parseTopicArn, readTopic, topicArn, topicCheck } from './topic.ts';
import { openPage } from './topics.ts';

const PAGE = 100;
const PROTOCOLS = ['http', 'https', 'email', 'email-json', 'sqs', 'lambda'];
const ELSEWHERE = ['sms', 'application', 'firehose'];
const MAX_ENDPOINT = 2048;

/** Throws InvalidParameter for what this topic cannot deliver to. */
function checkEndpoint(ctx: RequestContext, topic: Topic, protocol: string, endpoint: string | undefined): asserts endpoint is string {
  if (ELSEWHERE.includes(protocol)) throw invalid('Protocol', `Penstock does not deliver by ${protocol}.`);
  if (!PROTOCOLS.includes(protocol)) throw invalid('Protocol', `Does not support this protocol string: ${protocol.slice(0, 100)}`);
  if (endpoint === undefined || endpoint === '' || endpoint.length > MAX_ENDPOINT) throw invalid('Endpoint');
  if (topic.fifo && protocol !== 'sqs') throw invalid(`Invalid protocol type: ${protocol}`);
  if (protocol === 'sqs') {
    if (!/^arn:aws[\w-]*:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}(\.fifo)?$/.test(endpoint)) throw invalid('SQS endpoint ARN');
    if (endpoint.endsWith('.fifo') && !topic.fifo) {
      throw invalid('Invalid parameter: Endpoint', 'FIFO SQS Queues can not be subscribed to standard SNS topics');
    }
  } else if (protocol === 'lambda') {
    if (!/^arn:aws[\w-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?$/.test(endpoint)) throw invalid('Lambda endpoint ARN');
    if (!ctx.config.serviceEndpoints.lambda)
      throw invalid('Protocol', 'Penstock has no functions: set PENSTOCK_ENDPOINT_LAMBDA to a place that has.');
  } else if (protocol.startsWith('email')) {
    if (!/^[^\s@<>"(),:;\\]+@[^\s@<>"(),:;\\]+$/.test(endpoint)) throw invalid('Email address');
  } else checkUrl(protocol, endpoint);
}

function checkUrl(protocol: string, endpoint: string): void {
  const url = URL.parse(endpoint);
  if (/[\u0000-\u0020\u007f]/.test(endpoint) || !endpoint.isWellFormed()) throw invalid('Endpoint');
  if (!endpoint.toLowerCase().startsWith(`${protocol}://`) || !url) throw invalid('Endpoint must match the specified protocol');
  if (isForbiddenHost(url.hostname)) throw invalid('Endpoint', 'Link-local addresses are not delivered to.');
}

export const subscribe = operation('sns', 'Subscribe', {
  authorize: async (input, ctx) =>
    topicCheck(ctx, await findTopic(ctx, input.TopicArn), {
      conditions: { 'sns:Protocol': input.Protocol, ...(input.Endpoint !== undefined && { 'sns:Endpoint': input.Endpoint }) },
    }),
  partial: 'protocols http, https, email, email-json, sqs, and lambda where PENSTOCK_ENDPOINT_LAMBDA is set; others are refused',
  async handle(ctx, { TopicArn, Protocol: protocol, Endpoint: endpoint, Attributes: given = {}, ReturnSubscriptionArn }) {
    const topic = await findTopic(ctx, TopicArn);
    checkEndpoint(ctx, topic, protocol, endpoint);
    checkAttributes(given, protocol, topic);
    const attributes = normalized(given);
    const subscription = await ctx.transaction(async (tx) => {
      // With the topic held, nobody deletes it under a new subscription.
      await lockTopic(tx, topic);
      const existing = await tx.sql
        .selectFrom('sns.subscriptions')
        .selectAll()
        .where((eb) => eb.and({ topic_arn: TopicArn, protocol, endpoint }))
        .executeTakeFirst();
      if (existing) requireSame(existing, attributes);
      const made =
        existing ??
        (await tx.sql
          .insertInto('sns.subscriptions')
          .values({
            arn: `${topicArn(topic)}:${randomUUID()}`,
            topic_arn: TopicArn,
            account: ctx.principal.account,
            region: topic.region,
            protocol,
            endpoint,
            attributes: JSON.stringify(attributes),
            ...agreement(ctx, protocol, endpoint),
            principal: ctx.principal.arn,
            created_at: ctx.now(),
          })
          .returningAll()
          .executeTakeFirstOrThrow());
      // Asking again is how one gets another confirmation message.
      if (!made.confirmed) await queueConfirmation(tx, ctx, made);
      return made;
    });
    return { SubscriptionArn: subscription.confirmed || ReturnSubscriptionArn ? subscription.arn : 'pending confirmation' };
  },
});

/** Whoever owns the queue or function has agreed by subscribing it. */
function agreement(ctx: RequestContext, protocol: string, endpoint: string) {
  const own = (protocol === 'sqs' || protocol === 'lambda') && endpoint.split(':')[4] === ctx.principal.account;
  return { confirmed_seq: own ? sql<number>`nextval('sns.order')` : null, authenticated: own };
}

function requireSame(existing: Subscription, attributes: Record<string, string>): void {
  const differs = Object.entries(attributes).some(([name, value]) => existing.attributes[name] !== value);
  if (differs) throw invalid('Attributes', 'Subscription already exists with different attributes');
}

/** Of a request; NotFound when there is none. */
async function findSubscription(ctx: RequestContext, arn: string): Promise<{ subscription: Subscription; topic: Topic }> {
  const topicName = parseTopicArn(arn.slice(0, arn.lastIndexOf(':')));
  if (!topicName || !/:[0-9a-f-]{36}$/.test(arn)) throw invalid('SubscriptionArn');
  const subscription = await ctx.read.selectFrom('sns.subscriptions').selectAll().where('arn', '=', arn).executeTakeFirst();
  const topic = subscription && (await readTopic(ctx.read, topicName));
  if (!topic) throw notFound('Subscription');
  return { subscription, topic };
}

/** Subscriptions have no ARNs of their own in policies: one asks for the topic. Its owner and the subscriber may. */
async function onSubscription({ SubscriptionArn }: { SubscriptionArn: string }, ctx: RequestContext) {
  const { subscription, topic } = await findSubscription(ctx, SubscriptionArn);
  const mine = subscription.account === ctx.principal.account;
  return topicCheck(ctx, topic, mine ? { resourceAccount: subscription.account } : {});
}

export const getSubscriptionAttributes = operation('sns', 'GetSubscriptionAttributes', {
  authorize: onSubscription,
  async handle(ctx, { SubscriptionArn }) {
    const { subscription, topic } = await findSubscription(ctx, SubscriptionArn);
    return { Attributes: describeSubscription(subscription, topic) };
  },
});

export const setSubscriptionAttributes = operation('sns', 'SetSubscriptionAttributes', {
  authorize: onSubscription,
  async handle(ctx, { SubscriptionArn: arn, AttributeName: name, AttributeValue: value = '' }) {
    const { topic, subscription } = await findSubscription(ctx, arn);
    // Both are checked together: what a policy may say depends on what it looks at.
    const { FilterPolicy, FilterPolicyScope } = subscription.attributes;
    const together = name.startsWith('FilterPolicy')
      ? { ...(FilterPolicy && { FilterPolicy }), ...(FilterPolicyScope && { FilterPolicyScope }) }
      : {};
    checkAttributes({ ...together, [name]: value }, subscription.protocol, topic);
    await ctx.transaction(async (tx) => {
      const row = await tx.sql.selectFrom('sns.subscriptions').select('attributes').where('arn', '=', arn).forUpdate().executeTakeFirst();
      if (!row) throw notFound('Subscription');
      const attributes = normalized({ ...row.attributes, [name]: value });
      await tx.sql
        .updateTable('sns.subscriptions')
        .set({ attributes: JSON.stringify(attributes) })
        .where('arn', '=', arn)
        .execute();
    });
    return {};
  },
});

export const unsubscribe = operation('sns', 'Unsubscribe', {
  async authorize({ SubscriptionArn }, ctx) {
    try {
      const { subscription } = await findSubscription(ctx, SubscriptionArn);
      // The link in each message needs no account, unless the subscriber said so when he confirmed.
      if (ctx.principal.type === 'WebIdentity' && !subscription.guarded) return [];
      return await onSubscription({ SubscriptionArn }, ctx);
    } catch (error) {
      // Ending what is not there is no error.
      if (error instanceof AwsError && error.code === 'NotFound') return [];
      throw error;
    }
  },
  async handle(ctx, { SubscriptionArn }) {
    await ctx.transaction((tx) => tx.sql.deleteFrom('sns.subscriptions').where('arn', '=', SubscriptionArn).execute());
    return {};
  },
});

function toListed(row: Subscription): ShapeOf<'sns', 'Subscription'> {
  return {
    SubscriptionArn: row.confirmed ? row.arn : 'PendingConfirmation',
    Owner: row.account,
    Protocol: row.protocol,
    Endpoint: row.endpoint,
    TopicArn: row.topic_arn,
  };
}

async function pageOf(
  ctx: RequestContext,
  scope: string,
  token: string | undefined,
  where: Partial<Pick<Subscription, 'topic_arn' | 'account' | 'region'>>,
) {
  const after = openPage(ctx, scope, token);
  const rows = await ctx.read
    .selectFrom('sns.subscriptions')
    .selectAll()
    .where((eb) => eb.and(where))
    .where('arn', '>', after)
    .orderBy('arn')
    .limit(PAGE + 1)
    .execute();
  const page = rows.slice(0, PAGE);
  return {
    Subscriptions: page.map(toListed),
    NextToken: rows.length > PAGE ? ctx.paging.seal(scope, page.at(-1)!.arn) : undefined,
  };
}

export const listSubscriptions = operation('sns', 'ListSubscriptions', {
  authorize: () => '*',
  handle: (ctx, { NextToken }) =>
    pageOf(ctx, `sns:ListSubscriptions:${ctx.account}:${ctx.region}`, NextToken, { account: ctx.account, region: ctx.region }),
});

export const listSubscriptionsByTopic = operation('sns', 'ListSubscriptionsByTopic', {
  authorize: onTopic,
  async handle(ctx, { TopicArn, NextToken }) {
    await findTopic(ctx, TopicArn);
    return pageOf(ctx, `sns:ListSubscriptionsByTopic:${TopicArn}`, NextToken, { topic_arn: TopicArn });
  },
});
