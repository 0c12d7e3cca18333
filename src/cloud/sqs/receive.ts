/** Messages out of queues: each to one receiver at a time, and to a dead-letter queue when it was received too often. */
import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { keptSince, numberOf } from './attributes.ts';
import { invalidParameter, invalidValue } from './errors.ts';
import { digestOf, fromStored, selected } from './message-attributes.ts';
import { findQueue, lockQueue, onQueue, parseQueueArn, queueArn, queueTopic, readQueue } from './queue.ts';
import { sealHandle } from './receipts.ts';
import { checkId, md5, sequenceNumber } from './send.ts';
import type { MessageRow, Queue } from './tables.ts';

const ATTEMPT_MS = 5 * 60_000;
/** Looks again by itself after this long at most: signals are hints. */
const AGAIN_MS = 5_000;
const SYSTEM_NAMES = new Set([
  'All',
  'SenderId',
  'SentTimestamp',
  'ApproximateReceiveCount',
  'ApproximateFirstReceiveTimestamp',
  'SequenceNumber',
  'MessageDeduplicationId',
  'MessageGroupId',
  'AWSTraceHeader',
  'DeadLetterQueueSourceArn',
]);

interface Wish {
  count: number;
  visibilityMs: number;
  attemptId: string | undefined;
}

export const receiveMessage = operation('sqs', 'ReceiveMessage', {
  authorize: onQueue('ReceiveMessage'),
  async handle(ctx, input) {
    const queue = await findQueue(ctx, input.QueueUrl);
    const { MaxNumberOfMessages: count = 1, VisibilityTimeout: visibility = numberOf(queue, 'VisibilityTimeout') } = input;
    const { WaitTimeSeconds: wait = numberOf(queue, 'ReceiveMessageWaitTimeSeconds'), ReceiveRequestAttemptId: attemptId } = input;
    if (count < 1 || count > 10) throw invalidValue(count, 'MaxNumberOfMessages', 'Must be between 1 and 10, if provided.');
    if (wait < 0 || wait > 20) throw invalidValue(wait, 'WaitTimeSeconds', 'Must be >= 0 and <= 20, if provided.');
    if (visibility < 0 || visibility > 43_200)
      throw invalidValue(visibility, 'VisibilityTimeout', 'Must be between 0 and 43200, if provided.');
    if (attemptId !== undefined && !queue.fifo) {
      throw invalidValue(attemptId, 'ReceiveRequestAttemptId', 'The request include parameter that is not valid for this queue type.');
    }
    checkId('ReceiveRequestAttemptId', attemptId);
    const wantedSystem = [...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])];
    const unknown = wantedSystem.find((name) => !SYSTEM_NAMES.has(name));
    if (unknown !== undefined) throw invalidParameter(`Unknown Attribute ${unknown.slice(0, 300)}.`);
    const rows = await receiveWithin(ctx, queue, { count, visibilityMs: visibility * 1000, attemptId }, wait * 1000);
    if (rows.length === 0) return {};
    return { Messages: rows.map((row) => toMessage(ctx, queue, row, wantedSystem, input.MessageAttributeNames ?? [])) };
  },
});

/** Waits for messages as long as it may; whoever has gone away meanwhile is given none. */
async function receiveWithin(ctx: RequestContext, queue: Queue, wish: Wish, waitMs: number): Promise<MessageRow[]> {
  const until = performance.now() + waitMs;
  const gone = new AbortController();
  const stopWatching = ctx.http?.onGone(() => gone.abort());
  try {
    for (;;) {
      const looked = new AbortController();
      // Listens first and looks then: what is sent in between is not missed.
      const woken = waker(ctx, queue, AbortSignal.any([looked.signal, gone.signal]));
      try {
        const rows = await receiveNow(ctx, queue, wish);
        const left = until - performance.now();
        if (rows.length > 0 || left <= 0 || gone.signal.aborted) return rows;
        await woken(Math.min(left, await dueIn(ctx, queue)));
        if (gone.signal.aborted) return [];
      } finally {
        looked.abort();
      }
    }
  } finally {
    stopWatching?.();
  }
}

/** Starts to listen at once; the wait's length is only known later. */
function waker(ctx: RequestContext, queue: Queue, over: AbortSignal): (ms: number) => Promise<void> {
  let signalled = false;
  let wake = (): void => {};
  const stop = ctx.signals.on(queueTopic(queue), () => {
    signalled = true;
    wake();
  });
  over.addEventListener('abort', stop, { once: true });
  return (ms) =>
    new Promise((resolve) => {
      if (signalled || over.aborted) return resolve();
      const timer = setTimeout(() => wake(), Math.max(ms, 0));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      over.addEventListener('abort', () => wake(), { once: true });
    });
}

/** Milliseconds until the next delayed or unreturned message is to be had. */
async function dueIn(ctx: RequestContext, queue: Queue): Promise<number> {
  const now = ctx.now();
  const next = await ctx.read
    .selectFrom('sqs.messages')
    .select('visible_at')
    .where('queue_id', '=', queue.id)
    .where('visible_at', '>', now)
    .orderBy('visible_at')
    .limit(1)
    .executeTakeFirst();
  return next ? Math.min(AGAIN_MS, next.visible_at.getTime() - now.getTime() + 1) : AGAIN_MS;
}

function receiveNow(ctx: RequestContext, queue: Queue, wish: Wish): Promise<MessageRow[]> {
  return ctx.transaction(async (tx) => {
    if (!queue.fifo) return take(tx, ctx, queue, wish, pickAny);
    const locked = await lockQueue(tx, queue.id);
    const repeated = await repeatedAttempt(tx, ctx, locked, wish);
    if (repeated.length > 0) return repeated;
    const rows = await take(tx, ctx, locked, wish, pickInOrder);
    await rememberAttempt(tx, ctx, locked, wish, rows);
    return rows;
  });
}

type Pick = (tx: Transaction, queue: Queue, now: Date, count: number) => Promise<{ seq: number; received: number }[]>;

/** Oldest first, past those that other receivers hold. */
const pickAny: Pick = async (tx, queue, now, count) => {
  const { rows } = await sql<{ seq: number; received: number }>`
    select seq, received from sqs.messages
    where queue_id = ${queue.id} and visible_at <= ${now} and seq > ${queue.purged_seq} and sent_at > ${keptSince(queue, now)}
    order by visible_at limit ${count} for update skip locked`.execute(tx.sql);
  return rows;
};

/** In order of sending; nothing of a group while one of its messages is with a receiver, or an earlier one still delayed. */
const pickInOrder: Pick = async (tx, queue, now, count) => {
  const { rows } = await sql<{ seq: number; received: number }>`
    with waiting as (
      select group_id, bool_or(receipt is not null) as held, min(seq) as first from sqs.messages
      where queue_id = ${queue.id} and visible_at > ${now} and seq > ${queue.purged_seq} and sent_at > ${keptSince(queue, now)}
      group by group_id)
    select seq, received from sqs.messages messages
    where queue_id = ${queue.id} and group_id is not null and visible_at <= ${now} and seq > ${queue.purged_seq}
      and sent_at > ${keptSince(queue, now)}
      and not exists (select 1 from waiting where waiting.group_id = messages.group_id and (held or first < messages.seq))
    order by seq limit ${count} for update`.execute(tx.sql);
  return rows;
};

async function take(tx: Transaction, ctx: RequestContext, queue: Queue, wish: Wish, pick: Pick): Promise<MessageRow[]> {
  const now = ctx.now();
  const deadLetters = queue.dead_letter_arn === null ? undefined : await readQueue(tx.sql, parseQueueArn(queue.dead_letter_arn)!);
  for (;;) {
    const picked = await pick(tx, queue, now, wish.count);
    if (picked.length === 0) return [];
    const spent = deadLetters ? picked.filter(({ received }) => received >= queue.max_receive_count!) : [];
    if (spent.length === 0) {
      return handOut(
        tx,
        picked.map(({ seq }) => seq),
        now,
        wish.visibilityMs,
      );
    }
    await giveUp(
      tx,
      queue,
      deadLetters!,
      spent.map(({ seq }) => seq),
      now,
    );
  }
}

async function handOut(tx: Transaction, seqs: number[], now: Date, visibilityMs: number): Promise<MessageRow[]> {
  const rows = await tx.sql
    .updateTable('sqs.messages')
    .set((eb) => ({
      visible_at: new Date(now.getTime() + visibilityMs),
      receipt: sql<string>`gen_random_uuid()`,
      received: eb('received', '+', 1),
      first_received_at: eb.fn.coalesce('first_received_at', eb.val(now)),
    }))
    .where('seq', 'in', seqs)
    .returningAll()
    .execute();
  return rows.sort((a, b) => a.seq - b.seq);
}

/** Into the dead-letter queue, behind what is there. A standard message keeps its age, a FIFO one begins anew (developer guide). */
async function giveUp(tx: Transaction, queue: Queue, target: Queue, seqs: number[], now: Date): Promise<void> {
  await sql`update sqs.messages set queue_id = ${target.id}, seq = nextval('sqs.order'), visible_at = ${now}, receipt = null,
      sent_at = ${queue.fifo ? sql`${now}::timestamptz` : sql.ref('sent_at')},
      received_before = received_before + received, received = 0, source_arn = ${queueArn(queue)}
    where seq in (${sql.join(seqs)})`.execute(tx.sql);
  await tx.signal(queueTopic(target));
}

/** What the same attempt was given before, as long as nothing happened to it since; its time begins anew. */
async function repeatedAttempt(
  tx: Transaction,
  ctx: RequestContext,
  queue: Queue,
  { attemptId, visibilityMs }: Wish,
): Promise<MessageRow[]> {
  if (attemptId === undefined) return [];
  const now = ctx.now();
  const attempt = await tx.sql
    .selectFrom('sqs.attempts')
    .select('receipts')
    .where('queue_id', '=', queue.id)
    .where('attempt_id', '=', attemptId)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  if (!attempt?.receipts.length) return [];
  const rows = await tx.sql
    .updateTable('sqs.messages')
    .set({ visible_at: new Date(now.getTime() + visibilityMs) })
    .where('queue_id', '=', queue.id)
    .where('group_id', 'is not', null)
    .where('receipt', 'in', attempt.receipts)
    .where('visible_at', '>', now)
    .returningAll()
    .execute();
  return rows.sort((a, b) => a.seq - b.seq);
}

async function rememberAttempt(tx: Transaction, ctx: RequestContext, queue: Queue, { attemptId }: Wish, rows: MessageRow[]): Promise<void> {
  if (attemptId === undefined || rows.length === 0) return;
  const value = { receipts: rows.map(({ receipt }) => receipt!), expires_at: new Date(ctx.now().getTime() + ATTEMPT_MS) };
  await tx.sql
    .insertInto('sqs.attempts')
    .values({ queue_id: queue.id, attempt_id: attemptId, ...value })
    .onConflict((conflict) => conflict.columns(['queue_id', 'attempt_id']).doUpdateSet(value))
    .execute();
}

function toMessage(ctx: RequestContext, queue: Queue, row: MessageRow, system: string[], names: string[]): ShapeOf<'sqs', 'Message'> {
  const attributes = selected(row.attributes, names);
  const told = systemAttributes(queue, row);
  const wanted = system.includes('All') ? told : Object.fromEntries(Object.entries(told).filter(([name]) => system.includes(name)));
  return {
    MessageId: row.id,
    ReceiptHandle: sealHandle(ctx, queue, { seq: row.seq, receipt: row.receipt! }),
    MD5OfBody: md5(row.body),
    Body: row.body,
    ...(Object.keys(wanted).length > 0 && { Attributes: wanted }),
    ...(attributes && { MD5OfMessageAttributes: digestOf(attributes), MessageAttributes: fromStored(attributes) }),
  };
}

function systemAttributes(queue: Queue, row: MessageRow): Record<string, string> {
  return {
    SenderId: row.sender_id,
    SentTimestamp: String(row.sent_at.getTime()),
    ApproximateReceiveCount: String(row.received_before + row.received),
    ApproximateFirstReceiveTimestamp: String(row.first_received_at!.getTime()),
    ...(queue.fifo && { SequenceNumber: sequenceNumber(row.seq) }),
    ...(row.dedup_id !== null && { MessageDeduplicationId: row.dedup_id }),
    ...(row.group_id !== null && { MessageGroupId: row.group_id }),
    ...(row.system_attributes?.AWSTraceHeader && { AWSTraceHeader: row.system_attributes.AWSTraceHeader.text! }),
    ...(row.source_arn !== null && { DeadLetterQueueSourceArn: row.source_arn }),
  };
}
