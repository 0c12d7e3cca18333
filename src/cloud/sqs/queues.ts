/** Queues: made, set, told of, listed, emptied, deleted. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Reader } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { checkAttributes, checkNames, describe, keptSince, redriveAllowOf, redriveOf } from './attributes.ts';
import { invalidParameter, invalidValue, noSuchQueue } from './errors.ts';
import {
  findQueue,
  lockQueue,
  onOwnQueue,
  onQueue,
  type Place,
  parseQueueArn,
  queueArn,
  queueTopic,
  queueUrl,
  readQueue,
} from './queue.ts';
import type { Queue } from './tables.ts';
import { checkTags } from './tags.ts';

const PURGE_MS = 60_000;
const MAX_PAGE = 1000;

export const createQueue = operation('sqs', 'CreateQueue', {
  authorize: ({ QueueName, tags }, ctx) => ({ resource: queueArn({ ...ctx, name: QueueName }), requestTags: tags }),
  partial: 'a KMS key is recorded, but messages are not encrypted under it',
  async handle(ctx, { QueueName: name, Attributes: attributes = {}, tags = {} }) {
    const fifo = attributes.FifoQueue === 'true';
    checkName(name, fifo);
    if (attributes.FifoQueue !== undefined && !fifo) {
      // As on AWS: a queue is standard by saying nothing.
      throw new AwsError('InvalidAttributeValue', 'Invalid value for the parameter FifoQueue.');
    }
    checkAttributes(attributes, ctx, fifo);
    checkTags(tags);
    const { account, region } = ctx;
    await ctx.transaction(async (tx) => {
      const redrive = await checkRedrive(tx.sql, ctx, name, attributes.RedrivePolicy, fifo);
      const { Policy, ...kept } = withoutEmpty(attributes);
      const made = await tx.sql
        .insertInto('sqs.queues')
        .values({
          account,
          region,
          name,
          id: randomUUID(),
          fifo,
          attributes: JSON.stringify(kept),
          policy: Policy ?? null,
          tags: JSON.stringify(tags),
          ...redrive,
          created_at: ctx.now(),
          modified_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('name')
        .executeTakeFirst();
      if (!made) requireSame((await readQueue(tx.sql, { account, region, name }))!, attributes);
    });
    return { QueueUrl: queueUrl(ctx, { account, name }) };
  },
});

function checkName(name: string, fifo: boolean): void {
  if (fifo && !/^[\w-]{1,75}\.fifo$/.test(name)) {
    throw invalidParameter(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.',
    );
  }
  if (!fifo && !/^[\w-]{1,80}$/.test(name)) {
    throw invalidParameter('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length');
  }
}

/** Making a queue again is no error as long as nothing else is asked of it. */
function requireSame(queue: Queue, attributes: Record<string, string>): void {
  const current = describe(queue, queueArn(queue));
  const different = Object.entries(withoutEmpty(attributes)).find(([name, value]) => current[name] !== value);
  if (!different) return;
  throw new AwsError('QueueNameExists', `A queue already exists with the same name and a different value for attribute ${different[0]}`);
}

function withoutEmpty(attributes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== ''));
}

/** The columns of a redrive policy; throws unless its target is there and lets this queue name it. */
async function checkRedrive(read: Pick<Reader, 'selectFrom'>, place: Place, name: string, policy: string | undefined, fifo: boolean) {
  if (!policy) return { dead_letter_arn: null, max_receive_count: null };
  const { arn, maxReceiveCount } = redriveOf(policy, place, fifo);
  const target = await readQueue(read, parseQueueArn(arn)!);
  if (!target) throw invalidValue(policy, 'RedrivePolicy', 'Dead letter target does not exist.');
  const allow = target.attributes.RedriveAllowPolicy ? redriveAllowOf(target.attributes.RedriveAllowPolicy) : undefined;
  const refused =
    allow?.permission === 'denyAll' || (allow?.permission === 'byQueue' && !allow.sources.includes(queueArn({ ...place, name })));
  if (refused)
    throw invalidValue(policy, 'RedrivePolicy', 'The RedriveAllowPolicy of the dead letter target does not permit this source queue.');
  return { dead_letter_arn: arn, max_receive_count: maxReceiveCount };
}

export const setQueueAttributes = operation('sqs', 'SetQueueAttributes', {
  authorize: onOwnQueue('SetQueueAttributes'),
  partial: 'a KMS key is recorded, but messages are not encrypted under it',
  async handle(ctx, { QueueUrl, Attributes: asked }) {
    const { account, region, name, fifo, id } = await findQueue(ctx, QueueUrl);
    const { FifoQueue, ...attributes } = asked;
    if (FifoQueue !== undefined && (FifoQueue === 'true') !== fifo)
      throw new AwsError('InvalidAttributeName', 'Unknown Attribute FifoQueue.');
    checkAttributes(attributes, ctx, fifo);
    await ctx.transaction(async (tx) => {
      const queue = await lockQueue(tx, id);
      const { Policy = queue.policy ?? '', ...kept } = { ...queue.attributes, ...attributes };
      // One kind of encryption takes the place of the other.
      if (attributes.KmsMasterKeyId) delete kept.SqsManagedSseEnabled;
      if (attributes.SqsManagedSseEnabled === 'true') delete kept.KmsMasterKeyId;
      const remaining = withoutEmpty(kept);
      await tx.sql
        .updateTable('sqs.queues')
        .set({
          attributes: JSON.stringify(remaining),
          policy: Policy === '' ? null : Policy,
          ...(await checkRedrive(tx.sql, { account, region }, name, attributes.RedrivePolicy ?? remaining.RedrivePolicy, fifo)),
          modified_at: ctx.now(),
        })
        .where('id', '=', id)
        .execute();
      await tx.signal(queueTopic(queue));
    });
    return {};
  },
});

export const getQueueAttributes = operation('sqs', 'GetQueueAttributes', {
  authorize: onQueue('GetQueueAttributes'),
  async handle(ctx, { QueueUrl, AttributeNames: names = [] }) {
    const queue = await findQueue(ctx, QueueUrl);
    checkNames(names);
    if (names.length === 0) return {};
    const all = { ...describe(queue, queueArn(queue)), ...(await counts(ctx, queue)) };
    if (names.includes('All')) return { Attributes: all };
    return { Attributes: Object.fromEntries(Object.entries(all).filter(([name]) => (names as string[]).includes(name))) };
  },
});

async function counts(ctx: RequestContext, queue: Queue): Promise<Record<string, string>> {
  const now = ctx.now();
  const { rows } = await sql<{ visible: number; delayed: number; flying: number }>`
    select count(*) filter (where visible_at <= ${now}) as visible,
      count(*) filter (where visible_at > ${now} and receipt is null) as delayed,
      count(*) filter (where visible_at > ${now} and receipt is not null) as flying
    from sqs.messages where queue_id = ${queue.id} and seq > ${queue.purged_seq} and sent_at > ${keptSince(queue, now)}`.execute(ctx.read);
  const { visible, delayed, flying } = rows[0]!;
  return {
    ApproximateNumberOfMessages: String(visible),
    ApproximateNumberOfMessagesDelayed: String(delayed),
    ApproximateNumberOfMessagesNotVisible: String(flying),
  };
}

export const getQueueUrl = operation('sqs', 'GetQueueUrl', {
  async authorize({ QueueName: name, QueueOwnerAWSAccountId: account }, ctx) {
    const place = { account: account ?? ctx.account, region: ctx.region, name };
    const queue = await readQueue(ctx.read, place);
    const policy = queue?.policy;
    return { resource: queueArn(place), resourceAccount: place.account, ...(policy && { resourcePolicy: policy }) };
  },
  async handle(ctx, { QueueName: name, QueueOwnerAWSAccountId: account = ctx.account }) {
    const queue = await readQueue(ctx.read, { account, region: ctx.region, name });
    if (!queue) throw noSuchQueue();
    return { QueueUrl: queueUrl(ctx, queue) };
  },
});

interface Page {
  token: string | undefined;
  size: number | undefined;
}

function pageSize({ size }: Page): number {
  if (size === undefined) return MAX_PAGE;
  if (size >= 1 && size <= MAX_PAGE) return size;
  throw invalidValue(size, 'MaxResults', `MaxResults must be an integer between 1 and ${MAX_PAGE}.`);
}

/** Without MaxResults AWS gives up to 1,000 and no token for the rest. */
async function pageOfUrls(ctx: RequestContext, scope: string, page: Page, names: (after: string, limit: number) => Promise<string[]>) {
  const limit = pageSize(page);
  const after = page.token === undefined ? '' : ctx.paging.open<string>(scope, page.token);
  if (after === undefined) throw invalidParameter('Invalid or expired next token.');
  const found = await names(after, limit + 1);
  const urls = found.slice(0, limit).map((name) => queueUrl(ctx, { account: ctx.account, name }));
  const more = page.size !== undefined && found.length > limit;
  return { urls, NextToken: more ? ctx.paging.seal(scope, found[limit - 1]) : undefined };
}

export const listQueues = operation('sqs', 'ListQueues', {
  authorize: () => '*',
  async handle(ctx, { QueueNamePrefix: prefix = '', NextToken: token, MaxResults: size }) {
    if (!/^[\w.-]{0,80}$/.test(prefix)) return {};
    const scope = `sqs:ListQueues:${ctx.account}:${ctx.region}:${prefix}`;
    const { urls, NextToken } = await pageOfUrls(ctx, scope, { token, size }, async (after, limit) => {
      const rows = await ctx.read
        .selectFrom('sqs.queues')
        .select('name')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where(sql<boolean>`starts_with(name, ${prefix})`)
        .where(sql<boolean>`name collate "C" > ${after}`)
        .orderBy(sql`name collate "C"`)
        .limit(limit)
        .execute();
      return rows.map(({ name }) => name);
    });
    return { ...(urls.length > 0 && { QueueUrls: urls }), NextToken };
  },
});

export const listDeadLetterSourceQueues = operation('sqs', 'ListDeadLetterSourceQueues', {
  authorize: onOwnQueue('ListDeadLetterSourceQueues'),
  async handle(ctx, { QueueUrl, NextToken: token, MaxResults: size }) {
    const arn = queueArn(await findQueue(ctx, QueueUrl));
    const { urls, NextToken } = await pageOfUrls(ctx, `sqs:ListDeadLetterSourceQueues:${arn}`, { token, size }, async (after, limit) => {
      const rows = await ctx.read
        .selectFrom('sqs.queues')
        .select('name')
        .where('dead_letter_arn', '=', arn)
        .where(sql<boolean>`name collate "C" > ${after}`)
        .orderBy(sql`name collate "C"`)
        .limit(limit)
        .execute();
      return rows.map(({ name }) => name);
    });
    return { queueUrls: urls, NextToken };
  },
});

export const purgeQueue = operation('sqs', 'PurgeQueue', {
  authorize: onQueue('PurgeQueue'),
  async handle(ctx, { QueueUrl }) {
    const { id, name } = await findQueue(ctx, QueueUrl);
    await ctx.transaction(async (tx) => {
      const { purged_at: before } = await lockQueue(tx, id);
      if (before && ctx.now().getTime() - before.getTime() < PURGE_MS) {
        throw new AwsError('PurgeQueueInProgress', `Only one PurgeQueue operation on ${name} is allowed every 60 seconds.`);
      }
      await sql`update sqs.queues set purged_at = ${ctx.now()}, purged_seq = nextval('sqs.order') where id = ${id}`.execute(tx.sql);
      await tx.sql.deleteFrom('sqs.attempts').where('queue_id', '=', id).execute();
      await tx.reconcile('sqs.sweep', id);
    });
    return {};
  },
});

export const deleteQueue = operation('sqs', 'DeleteQueue', {
  authorize: onOwnQueue('DeleteQueue'),
  async handle(ctx, { QueueUrl }) {
    const { id } = await findQueue(ctx, QueueUrl);
    await ctx.transaction(async (tx) => {
      const queue = await lockQueue(tx, id);
      await tx.sql.deleteFrom('sqs.queues').where('id', '=', id).execute();
      await tx.sql.insertInto('sqs.dropped').values({ queue_id: id, at: ctx.now() }).execute();
      await tx.reconcile('sqs.sweep', id);
      await tx.signal(queueTopic(queue));
    });
    return {};
  },
});
