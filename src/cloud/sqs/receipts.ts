/** Receipt handles: what a receiver holds to delete a message or to keep it longer. Sealed, so that none can be made up. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { checkBatch, eachEntry } from './batch.ts';
import { invalidValue } from './errors.ts';
import { findQueue, onQueue, queueTopic } from './queue.ts';
import type { MessageRow, Queue } from './tables.ts';

const MAX_VISIBILITY_SECONDS = 43_200;
const MAX_HANDLE = 1024;

interface Receipt {
  seq: number;
  receipt: string;
}

function purposeOf(queue: Queue): string {
  return `sqs:receipt:${queue.id}`;
}

export function sealHandle(ctx: RequestContext, queue: Queue, { seq, receipt }: Receipt): string {
  return ctx.keyring.seal(purposeOf(queue), Buffer.from(`${seq}:${receipt}`));
}

function openHandle(ctx: RequestContext, queue: Queue, handle: string): Receipt {
  const plain = handle.length <= MAX_HANDLE ? ctx.keyring.open(purposeOf(queue), handle) : undefined;
  if (!plain)
    throw new AwsError('ReceiptHandleIsInvalid', `The input receipt handle "${handle.slice(0, 300)}" is not a valid receipt handle.`);
  const [seq, receipt] = plain.toString().split(':') as [string, string];
  return { seq: Number(seq), receipt };
}

function findMessage(tx: Transaction, queue: Queue, { seq, receipt }: Receipt): Promise<MessageRow | undefined> {
  return tx.sql
    .selectFrom('sqs.messages')
    .selectAll()
    .where('seq', '=', seq)
    .where('queue_id', '=', queue.id)
    .where('receipt', '=', receipt)
    .forUpdate()
    .executeTakeFirst();
}

/** A handle of an earlier receive, or of a message that is gone, deletes nothing and is no error; a FIFO queue refuses one that ran out. */
async function remove(ctx: RequestContext, queue: Queue, handle: string): Promise<void> {
  const held = openHandle(ctx, queue, handle);
  await ctx.transaction(async (tx) => {
    if (!queue.fifo) {
      await tx.sql
        .deleteFrom('sqs.messages')
        .where('seq', '=', held.seq)
        .where('queue_id', '=', queue.id)
        .where('receipt', '=', held.receipt)
        .execute();
      return;
    }
    const message = await findMessage(tx, queue, held);
    if (!message) return;
    if (message.visible_at <= ctx.now()) throw invalidValue(handle, 'ReceiptHandle', 'The receipt handle has expired.');
    await tx.sql.deleteFrom('sqs.messages').where('seq', '=', held.seq).execute();
    // Its group may go on.
    await tx.signal(queueTopic(queue));
  });
}

export const deleteMessage = operation('sqs', 'DeleteMessage', {
  authorize: onQueue('DeleteMessage'),
  async handle(ctx, { QueueUrl, ReceiptHandle }) {
    await remove(ctx, await findQueue(ctx, QueueUrl), ReceiptHandle);
    return {};
  },
});

export const deleteMessageBatch = operation('sqs', 'DeleteMessageBatch', {
  authorize: onQueue('DeleteMessage'),
  async handle(ctx, { QueueUrl, Entries }) {
    const queue = await findQueue(ctx, QueueUrl);
    checkBatch(Entries, 'DeleteMessageBatchRequestEntry');
    return eachEntry(Entries, ({ ReceiptHandle }) => remove(ctx, queue, ReceiptHandle));
  },
});

async function changeVisibility(ctx: RequestContext, queue: Queue, handle: string, seconds: number): Promise<void> {
  if (seconds < 0 || seconds > MAX_VISIBILITY_SECONDS) {
    throw invalidValue(seconds, 'VisibilityTimeout', `Must be between 0 and ${MAX_VISIBILITY_SECONDS}, if provided.`);
  }
  const held = openHandle(ctx, queue, handle);
  await ctx.transaction(async (tx) => {
    const now = ctx.now();
    const message = await findMessage(tx, queue, held);
    if (!message) throw invalidValue(handle, 'ReceiptHandle', 'Message does not exist or is not available for visibility timeout change.');
    if (message.visible_at <= now) {
      throw new AwsError(
        'MessageNotInflight',
        `Value ${handle.slice(0, 300)} for parameter ReceiptHandle is invalid. Reason: Message is not in flight.`,
      );
    }
    const until = new Date(now.getTime() + seconds * 1000);
    await tx.sql.updateTable('sqs.messages').set({ visible_at: until }).where('seq', '=', held.seq).execute();
    // Whoever waits may have it sooner than he reckoned.
    await tx.signal(queueTopic(queue));
  });
}

export const changeMessageVisibility = operation('sqs', 'ChangeMessageVisibility', {
  authorize: onQueue('ChangeMessageVisibility'),
  async handle(ctx, { QueueUrl, ReceiptHandle, VisibilityTimeout }) {
    await changeVisibility(ctx, await findQueue(ctx, QueueUrl), ReceiptHandle, VisibilityTimeout);
    return {};
  },
});

export const changeMessageVisibilityBatch = operation('sqs', 'ChangeMessageVisibilityBatch', {
  authorize: onQueue('ChangeMessageVisibility'),
  async handle(ctx, { QueueUrl, Entries }) {
    const queue = await findQueue(ctx, QueueUrl);
    checkBatch(Entries, 'ChangeMessageVisibilityBatchRequestEntry');
    return eachEntry(Entries, ({ ReceiptHandle, VisibilityTimeout = 0 }) => changeVisibility(ctx, queue, ReceiptHandle, VisibilityTimeout));
  },
});
