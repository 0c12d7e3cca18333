/** Messages into queues. A FIFO queue takes them one request after the other, so that their order is that of their commits. */
import { createHash, randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { MAX_MESSAGE_BYTES, numberOf, textOf } from './attributes.ts';
import { checkBatch, failure } from './batch.ts';
import { invalidParameter, invalidValue, missingParameter } from './errors.ts';
import { digestOf, isText, sizeOf, toStored } from './message-attributes.ts';
import { findQueue, lockQueue, onQueue, queueTopic } from './queue.ts';
import type { Queue, StoredAttributes } from './tables.ts';

const DEDUPLICATION_MS = 5 * 60_000;
const NOT_OF_THIS_TYPE = 'The request include parameter that is not valid for this queue type.';

type Entry = Omit<ShapeOf<'sqs', 'SendMessageBatchRequestEntry'>, 'Id'>;

interface Prepared {
  id: string;
  body: string;
  attributes: StoredAttributes | null;
  system: StoredAttributes | null;
  delaySeconds: number;
  groupId: string | null;
  dedupId: string | null;
  bytes: number;
}

/** Throws what is wrong with a message for this queue. */
function prepare(queue: Queue, entry: Entry): Prepared {
  const { MessageBody: body, DelaySeconds: delay, MessageGroupId: groupId, MessageDeduplicationId: dedupId } = entry;
  if (body === '') throw missingParameter('MessageBody');
  if (!isText(body)) {
    throw new AwsError(
      'InvalidMessageContents',
      'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.',
    );
  }
  if (delay !== undefined && (delay < 0 || delay > 900)) throw invalidValue(delay, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.');
  checkId('MessageGroupId', groupId);
  checkId('MessageDeduplicationId', dedupId);
  if (queue.fifo && groupId === undefined) throw missingParameter('MessageGroupId');
  if (queue.fifo && delay) throw invalidValue(delay, 'DelaySeconds', NOT_OF_THIS_TYPE);
  if (!queue.fifo && dedupId !== undefined) throw invalidValue(dedupId, 'MessageDeduplicationId', NOT_OF_THIS_TYPE);
  const attributes = toStored(entry.MessageAttributes);
  const system = systemAttributes(entry.MessageSystemAttributes);
  const bytes = Buffer.byteLength(body) + sizeOf(attributes);
  const limit = numberOf(queue, 'MaximumMessageSize');
  if (bytes > limit) throw invalidParameter(`One or more parameters are invalid. Reason: Message must be shorter than ${limit} bytes.`);
  return {
    id: randomUUID(),
    body,
    attributes,
    system,
    bytes,
    delaySeconds: delay ?? numberOf(queue, 'DelaySeconds'),
    groupId: groupId ?? null,
    dedupId: queue.fifo ? (dedupId ?? contentId(queue, body)) : null,
  };
}

export function checkId(name: string, id: string | undefined): void {
  if (id !== undefined && !/^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/.test(id)) {
    throw invalidValue(id, name, `${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`);
  }
}

function contentId(queue: Queue, body: string): string {
  if (textOf(queue, 'ContentBasedDeduplication') === 'true') return createHash('sha256').update(body).digest('hex');
  throw invalidParameter('The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly');
}

function systemAttributes(given: Entry['MessageSystemAttributes']): StoredAttributes | null {
  const other = Object.entries(given ?? {}).find(([name, { DataType }]) => name !== 'AWSTraceHeader' || DataType !== 'String');
  if (other)
    throw invalidParameter(
      `Message system attribute name '${other[0].slice(0, 256)}' or its type is invalid: AWSTraceHeader of type String is the one that can be sent.`,
    );
  return toStored(given);
}

interface Sent {
  id: string;
  seq: number;
}

/** All of them, in their order. What a FIFO queue took lately already is answered as it was then, and not taken again. */
async function store(ctx: RequestContext, queue: Queue, messages: Prepared[]): Promise<Sent[]> {
  return ctx.transaction(async (tx) => {
    const sent = queue.fifo ? await storeInOrder(tx, ctx, await lockQueue(tx, queue.id), messages) : await insert(tx, ctx, queue, messages);
    await tx.signal(queueTopic(queue));
    return sent;
  });
}

async function insert(tx: Transaction, ctx: RequestContext, queue: Queue, messages: Prepared[]): Promise<Sent[]> {
  const now = ctx.now();
  const rows = messages.map(({ id, body, attributes, system, delaySeconds, groupId, dedupId }) => ({
    queue_id: queue.id,
    id,
    body,
    attributes: attributes && JSON.stringify(attributes),
    system_attributes: system && JSON.stringify(system),
    sender_id: ctx.principal.id,
    sent_at: now,
    visible_at: new Date(now.getTime() + delaySeconds * 1000),
    group_id: groupId,
    dedup_id: dedupId,
  }));
  return tx.sql.insertInto('sqs.messages').values(rows).returning(['id', 'seq']).execute();
}

async function storeInOrder(tx: Transaction, ctx: RequestContext, queue: Queue, messages: Prepared[]): Promise<Sent[]> {
  const perGroup = textOf(queue, 'DeduplicationScope') === 'messageGroup';
  const now = ctx.now();
  const expires = new Date(now.getTime() + DEDUPLICATION_MS);
  const sent: Sent[] = [];
  for (const message of messages) {
    const key = { queue_id: queue.id, scope: perGroup ? message.groupId! : '', dedup_id: message.dedupId! };
    const earlier = await tx.sql
      .selectFrom('sqs.deduplication')
      .select(['message_id as id', 'seq'])
      .where((eb) => eb.and(key))
      .where('expires_at', '>', now)
      .executeTakeFirst();
    if (earlier) {
      sent.push(earlier);
      continue;
    }
    const [made] = await insert(tx, ctx, queue, [message]);
    const value = { message_id: made!.id, seq: made!.seq, expires_at: expires };
    await tx.sql
      .insertInto('sqs.deduplication')
      .values({ ...key, ...value })
      .onConflict((conflict) => conflict.columns(['queue_id', 'scope', 'dedup_id']).doUpdateSet(value))
      .execute();
    sent.push(made!);
  }
  return sent;
}

/** Twenty digits, as AWS's are. */
export function sequenceNumber(seq: number): string {
  return `1${String(seq).padStart(19, '0')}`;
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

function answer(queue: Queue, message: Prepared, { id, seq }: Sent) {
  return {
    MessageId: id,
    MD5OfMessageBody: md5(message.body),
    MD5OfMessageAttributes: digestOf(message.attributes),
    MD5OfMessageSystemAttributes: digestOf(message.system),
    SequenceNumber: queue.fifo ? sequenceNumber(seq) : undefined,
  };
}

export const sendMessage = operation('sqs', 'SendMessage', {
  authorize: onQueue('SendMessage'),
  async handle(ctx, input) {
    const queue = await findQueue(ctx, input.QueueUrl);
    const message = prepare(queue, input);
    const [sent] = await store(ctx, queue, [message]);
    return answer(queue, message, sent!);
  },
});

export const sendMessageBatch = operation('sqs', 'SendMessageBatch', {
  authorize: onQueue('SendMessage'),
  async handle(ctx, { QueueUrl, Entries: entries }) {
    const queue = await findQueue(ctx, QueueUrl);
    checkBatch(entries, 'SendMessageBatchRequestEntry');
    const total = entries.reduce((sum, { MessageBody }) => sum + Buffer.byteLength(MessageBody), 0);
    if (total > MAX_MESSAGE_BYTES) throw tooLong(total);
    const prepared = new Map<string, Prepared>();
    const Failed = entries.flatMap((entry) => {
      try {
        prepared.set(entry.Id, prepare(queue, entry));
        return [];
      } catch (error) {
        return [failure(entry.Id, error)];
      }
    });
    const bytes = [...prepared.values()].reduce((sum, message) => sum + message.bytes, 0);
    if (bytes > MAX_MESSAGE_BYTES) throw tooLong(bytes);
    const messages = [...prepared.values()];
    const sent = messages.length > 0 ? await store(ctx, queue, messages) : [];
    const Successful = [...prepared.keys()].map((Id, index) => ({ Id, ...answer(queue, messages[index]!, sent[index]!) }));
    return { Successful, Failed };
  },
});

function tooLong(bytes: number): AwsError {
  return new AwsError(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than ${MAX_MESSAGE_BYTES} bytes. You have sent ${bytes} bytes.`,
  );
}
