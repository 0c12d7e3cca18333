/** Topics: made, set, told of, listed, deleted. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalid } from './errors.ts';
import type { Topic } from './tables.ts';
import { checkTags, tagRecord } from './tags.ts';
import { findTopic, lockTopic, onTopic, readTopic, topicArn } from './topic.ts';
import { checkTopicAttribute, describeTopic } from './topic-attributes.ts';

const PAGE = 100;

export const createTopic = operation('sns', 'CreateTopic', {
  authorize: ({ Name, Tags }, ctx) => ({ resource: topicArn({ ...ctx, name: Name }), requestTags: tagRecord(Tags) }),
  partial:
    'a KMS key is recorded, but messages are not encrypted under it; delivery logs, archives and data protection policies are refused',
  async handle(ctx, { Name: name, Attributes: attributes = {}, Tags, DataProtectionPolicy }) {
    if (DataProtectionPolicy) throw invalid('DataProtectionPolicy', 'Penstock does not look for data to protect in messages.');
    const fifo = attributes.FifoTopic === 'true';
    if (!(fifo ? /^[\w-]{1,251}\.fifo$/ : /^[\w-]{1,256}$/).test(name)) throw invalid('Topic Name');
    for (const [attribute, value] of Object.entries(attributes)) checkTopicAttribute(attribute, value, fifo);
    const tags = tagRecord(Tags);
    checkTags(tags);
    const { account, region } = ctx;
    const { Policy, FifoTopic: _, ...kept } = attributes;
    await ctx.transaction(async (tx) => {
      const made = await tx.sql
        .insertInto('sns.topics')
        .values({
          account,
          region,
          name,
          fifo,
          attributes: JSON.stringify(kept),
          policy: Policy || null,
          tags: JSON.stringify(tags),
          created_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('name')
        .executeTakeFirst();
      if (!made) requireSame((await readTopic(tx.sql, { account, region, name }))!, kept, Tags && tags);
    });
    return { TopicArn: topicArn({ account, region, name }) };
  },
});

/** Making a topic again is no error as long as nothing else is asked of it. */
function requireSame(topic: Topic, attributes: Record<string, string>, tags: Record<string, string> | undefined): void {
  const current = describeTopic(topic, { confirmed: 0, pending: 0 });
  const differs = Object.entries(attributes).some(([name, value]) => current[name] !== value);
  if (differs) throw invalid('Attributes', 'Topic already exists with different attributes');
  const tagged = Object.entries(tags ?? {});
  if (tagged.some(([key, value]) => topic.tags[key] !== value)) throw invalid('Tags', 'Topic already exists with different tags');
}

export const deleteTopic = operation('sns', 'DeleteTopic', {
  // Deleting what is not there is no error.
  authorize: async ({ TopicArn }, ctx) => {
    try {
      return await onTopic({ TopicArn }, ctx);
    } catch (error) {
      if (error instanceof AwsError && error.code === 'NotFound') return TopicArn;
      throw error;
    }
  },
  async handle(ctx, { TopicArn }) {
    const [, , , region, account, name] = TopicArn.split(':') as string[];
    await ctx.transaction(async (tx) => {
      await tx.sql
        .deleteFrom('sns.topics')
        .where('account', '=', account!)
        .where('region', '=', region!)
        .where('name', '=', name!)
        .execute();
      await tx.sql.deleteFrom('sns.subscriptions').where('topic_arn', '=', TopicArn).execute();
      await tx.sql.deleteFrom('sns.deduplication').where('topic_arn', '=', TopicArn).execute();
    });
    return {};
  },
});

export const getTopicAttributes = operation('sns', 'GetTopicAttributes', {
  authorize: onTopic,
  async handle(ctx, { TopicArn }) {
    return { Attributes: describeTopic(await findTopic(ctx, TopicArn), await subscriptionCounts(ctx.read, TopicArn)) };
  },
});

async function subscriptionCounts(read: Reader, arn: string): Promise<{ confirmed: number; pending: number }> {
  const { rows } = await sql<{ confirmed: number; pending: number }>`
    select count(*) filter (where confirmed) as confirmed, count(*) filter (where not confirmed) as pending
    from sns.subscriptions where topic_arn = ${arn}`.execute(read);
  return rows[0]!;
}

export const setTopicAttributes = operation('sns', 'SetTopicAttributes', {
  authorize: onTopic,
  partial: 'a KMS key is recorded, but messages are not encrypted under it; delivery logs and archives are refused',
  async handle(ctx, { TopicArn, AttributeName: name, AttributeValue: value = '' }) {
    const found = await findTopic(ctx, TopicArn);
    if (name === 'FifoTopic') throw invalid('AttributeName');
    checkTopicAttribute(name, value, found.fifo);
    await ctx.transaction(async (tx) => {
      const topic = await lockTopic(tx, found);
      const { [name]: _, ...others } = topic.attributes;
      const change =
        name === 'Policy'
          ? { policy: value || null }
          : { attributes: JSON.stringify(value === '' ? others : { ...others, [name]: value }) };
      await tx.sql
        .updateTable('sns.topics')
        .set(change)
        .where('account', '=', topic.account)
        .where('region', '=', topic.region)
        .where('name', '=', topic.name)
        .execute();
    });
    return {};
  },
});

export const listTopics = operation('sns', 'ListTopics', {
  authorize: () => '*',
  async handle(ctx, { NextToken }) {
    const after = openPage(ctx, scopeOf(ctx), NextToken);
    const rows = await ctx.read
      .selectFrom('sns.topics')
      .select('name')
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where(sql<boolean>`name collate "C" > ${after}`)
      .orderBy(sql`name collate "C"`)
      .limit(PAGE + 1)
      .execute();
    const page = rows.slice(0, PAGE);
    return {
      Topics: page.map(({ name }) => ({ TopicArn: topicArn({ ...ctx, name }) })),
      NextToken: rows.length > PAGE ? ctx.paging.seal(scopeOf(ctx), page.at(-1)!.name) : undefined,
    };
  },
});

function scopeOf({ account, region }: RequestContext): string {
  return `sns:ListTopics:${account}:${region}`;
}

/** Where a list goes on; throws InvalidParameter for a token that is none of it. */
export function openPage(ctx: RequestContext, scope: string, token: string | undefined): string {
  const after = token === undefined ? '' : ctx.paging.open<string>(scope, token);
  if (after === undefined) throw invalid('NextToken', 'NextToken is invalid');
  return after;
}
