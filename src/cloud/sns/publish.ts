/** Publish: a message is a row, and a job of the same transaction hands it to the topic's subscriptions. */
import { createHash, randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { invalid } from './errors.ts';
import { fanOut } from './fan-out.ts';
import { sizeOf, toStored } from './message-attributes.ts';
import { sequenceNumber } from './sequence.ts';
import type { Message, StoredAttributes, Topic } from './tables.ts';
import { isText } from './text.ts';
import { findTopic, lockTopic, topicArn, topicCheck } from './topic.ts';

const MAX_BYTES = 262_144;
const MAX_ENTRIES = 10;
/** With the growing pauses between them these last for weeks. */
const FAN_OUT_ATTEMPTS = 100;
const DEDUPLICATION_MS = 5 * 60_000;

type Entry = Omit<ShapeOf<'sns', 'PublishBatchRequestEntry'>, 'Id'>;

interface Prepared {
  id: string;
  subject: string | null;
  message: string;
  byProtocol: Record<string, string> | null;
  attributes: StoredAttributes | null;
  groupId: string | null;
  dedupId: string | null;
  bytes: number;
}

function prepare(topic: Topic, entry: Entry): Prepared {
  const {
    Message: message,
    Subject: subject,
    MessageStructure: structure,
    MessageGroupId: groupId,
    MessageDeduplicationId: dedupId,
  } = entry;
  if (message === '') throw invalid('Empty message');
  if (!isText(message)) throw invalid('Message', 'it holds characters that are not allowed');
  checkSubject(subject);
  if (structure !== undefined && structure !== 'json') throw invalid('MessageStructure');
  const attributes = toStored(entry.MessageAttributes);
  const bytes = Buffer.byteLength(message) + sizeOf(attributes);
  if (bytes > MAX_BYTES) throw invalid('Message too long');
  checkId('MessageGroupId', groupId);
  checkId('MessageDeduplicationId', dedupId);
  if (topic.fifo && groupId === undefined) throw invalid('The MessageGroupId parameter is required for FIFO topics');
  if (!topic.fifo && dedupId !== undefined) {
    throw invalid('MessageDeduplicationId', 'The request includes MessageDeduplicationId parameter that is not valid for this topic type');
  }
  return {
    id: randomUUID(),
    subject: subject ?? null,
    message,
    byProtocol: structure === undefined ? null : protocolTexts(message),
    attributes,
    groupId: groupId ?? null,
    dedupId: topic.fifo ? (dedupId ?? contentId(topic, message)) : null,
    bytes,
  };
}

/** One line of up to 100 characters that does not begin with white space (API reference, Publish). */
function checkSubject(subject: string | undefined): void {
  if (subject === undefined) return;
  if (subject === '' || [...subject].length > 100 || /[\u0000-\u001f\u007f]/.test(subject) || /^\s/.test(subject)) throw invalid('Subject');
}

function checkId(name: string, id: string | undefined): void {
  if (id !== undefined && !/^[\x21-\x7e]{1,128}$/.test(id)) {
    throw invalid(name, `${name} can only include alphanumeric and punctuation characters. 1 to 128 in length`);
  }
}

function protocolTexts(message: string): Record<string, string> {
  let texts: unknown;
  try {
    texts = JSON.parse(message);
  } catch {
    throw invalid('Message Structure - JSON message body failed to parse');
  }
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts))
    throw invalid('Message Structure - JSON message body failed to parse');
  const { default: fallback } = texts as Record<string, unknown>;
  if (!Object.values(texts).every((text) => typeof text !== 'string' || isText(text)))
    throw invalid('Message', 'it holds characters that are not allowed');
  if (typeof fallback !== 'string') throw invalid('Message Structure - No default entry in JSON message body');
  return Object.fromEntries(
    Object.entries(texts).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && /^[\w-]{1,30}$/.test(entry[0])),
  );
}

function contentId(topic: Topic, message: string): string {
  if (topic.attributes.ContentBasedDeduplication === 'true') return createHash('sha256').update(message).digest('hex');
  throw invalid('The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly');
}

type Published = Pick<Message, 'id' | 'seq'>;

async function store(ctx: RequestContext, topic: Topic, messages: Prepared[]): Promise<Published[]> {
  return ctx.transaction(async (tx) => {
    // One after the other: the order of a FIFO topic is that of its commits.
    const current = topic.fifo ? await lockTopic(tx, topic) : topic;
    const published: Published[] = [];
    for (const message of messages) published.push(await storeOne(tx, ctx, current, message));
    return published;
  });
}

async function storeOne(tx: Transaction, ctx: RequestContext, topic: Topic, message: Prepared): Promise<Published> {
  const earlier = topic.fifo ? await earlierOf(tx, ctx, topic, message) : undefined;
  if (earlier) return earlier;
  const row = await tx.sql
    .insertInto('sns.messages')
    .values({
      id: message.id,
      topic_arn: topicArn(topic),
      subject: message.subject,
      message: message.message,
      by_protocol: message.byProtocol && JSON.stringify(message.byProtocol),
      attributes: message.attributes && JSON.stringify(message.attributes),
      group_id: message.groupId,
      dedup_id: message.dedupId,
      published_at: ctx.now(),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  if (!topic.fifo) {
    await tx.enqueue('sns.fan-out', { message: row.id }, { maxAttempts: FAN_OUT_ATTEMPTS });
    return row;
  }
  await remember(tx, ctx, topic, row);
  await fanOut(tx, row);
  return row;
}

function dedupKey(topic: Topic, { groupId, dedupId }: Pick<Prepared, 'groupId' | 'dedupId'>) {
  const scope = topic.attributes.FifoThroughputScope === 'MessageGroup' ? groupId! : '';
  return { topic_arn: topicArn(topic), scope, dedup_id: dedupId! };
}

/** What the topic took within five minutes is answered as it was then, and not taken again. */
function earlierOf(tx: Transaction, ctx: RequestContext, topic: Topic, message: Prepared): Promise<Published | undefined> {
  return tx.sql
    .selectFrom('sns.deduplication')
    .select(['message_id as id', 'seq'])
    .where((eb) => eb.and(dedupKey(topic, message)))
    .where('expires_at', '>', ctx.now())
    .executeTakeFirst();
}

async function remember(tx: Transaction, ctx: RequestContext, topic: Topic, row: Message): Promise<void> {
  const value = { message_id: row.id, seq: row.seq, expires_at: new Date(ctx.now().getTime() + DEDUPLICATION_MS) };
  await tx.sql
    .insertInto('sns.deduplication')
    .values({ ...dedupKey(topic, { groupId: row.group_id, dedupId: row.dedup_id }), ...value })
    .onConflict((conflict) => conflict.columns(['topic_arn', 'scope', 'dedup_id']).doUpdateSet(value))
    .execute();
}

function answer(topic: Topic, { id, seq }: Published) {
  return { MessageId: id, SequenceNumber: topic.fifo ? sequenceNumber(seq) : undefined };
}

function targetOf({ TopicArn, TargetArn, PhoneNumber }: { TopicArn?: string; TargetArn?: string; PhoneNumber?: string }): string {
  const given = [TopicArn, TargetArn, PhoneNumber].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw invalid('TopicArn or TargetArn', given.length === 0 ? 'no value for required parameter' : 'one of them must be given');
  if (PhoneNumber !== undefined) throw invalid('PhoneNumber', 'Penstock does not send text messages.');
  const arn = TopicArn ?? TargetArn!;
  if (/:(endpoint|app)\//.test(arn)) throw invalid('TargetArn', 'Penstock does not send push notifications to mobile applications.');
  return arn;
}

export const publish = operation('sns', 'Publish', {
  authorize: async (input, ctx) => topicCheck(ctx, await findTopic(ctx, targetOf(input))),
  partial: 'to topics; text messages and push notifications are refused',
  async handle(ctx, input) {
    const topic = await findTopic(ctx, targetOf(input));
    const [published] = await store(ctx, topic, [prepare(topic, input)]);
    return answer(topic, published!);
  },
});

export const publishBatch = operation('sns', 'PublishBatch', {
  authorize: async ({ TopicArn }, ctx) => topicCheck(ctx, await findTopic(ctx, TopicArn), { action: 'sns:Publish' }),
  async handle(ctx, { TopicArn, PublishBatchRequestEntries: entries }) {
    const topic = await findTopic(ctx, TopicArn);
    checkEntries(entries.map(({ Id }) => Id));
    const prepared = new Map<string, Prepared>();
    const Failed: ShapeOf<'sns', 'BatchResultErrorEntry'>[] = [];
    for (const { Id, ...entry } of entries) {
      try {
        prepared.set(Id, prepare(topic, entry));
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        Failed.push({ Id, Code: error.code, Message: error.message, SenderFault: true });
      }
    }
    const bytes = [...prepared.values()].reduce((sum, message) => sum + message.bytes, 0);
    if (bytes > MAX_BYTES)
      throw new AwsError('BatchRequestTooLong', 'The length of all the batch messages put together is more than the limit.');
    const published = prepared.size > 0 ? await store(ctx, topic, [...prepared.values()]) : [];
    return { Successful: [...prepared.keys()].map((Id, index) => ({ Id, ...answer(topic, published[index]!) })), Failed };
  },
});

function checkEntries(ids: string[]): void {
  if (ids.length === 0) throw new AwsError('EmptyBatchRequest', "The batch request doesn't contain any entries.");
  if (ids.length > MAX_ENTRIES)
    throw new AwsError('TooManyEntriesInBatchRequest', 'The batch request contains more entries than permissible (more than 10).');
  if (ids.some((id) => !/^[\w-]{1,80}$/.test(id))) {
    throw new AwsError('InvalidBatchEntryId', "The Id of a batch entry in a batch request doesn't abide by the specification.");
  }
  if (new Set(ids).size < ids.length)
    throw new AwsError('BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.');
}
