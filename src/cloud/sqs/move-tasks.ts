/** Message move tasks: out of a dead-letter queue, back to where the messages came from or to another queue. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { operation, type Reconciler, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { keptSince } from './attributes.ts';
import { invalidParameter, invalidValue } from './errors.ts';
import { lockQueue, parseQueueArn, queueCheck, queueTopic, readQueue } from './queue.ts';
import type { MoveTasksTable, Queue } from './tables.ts';

const MOVED_AT_ONCE = 500;
const ACTIVE = ['RUNNING', 'CANCELLING'];

async function requireQueue(ctx: RequestContext, arn: string, parameter: string): Promise<Queue> {
  const place = parseQueueArn(arn);
  if (!place || place.region !== ctx.region) throw invalidValue(arn, parameter, 'The queue ARN is invalid for this endpoint.');
  const queue = place.account === ctx.account ? await readQueue(ctx.read, place) : undefined;
  if (!queue)
    throw new AwsError('ResourceNotFoundException', `The resource that you specified for the ${parameter} parameter doesn't exist.`);
  return queue;
}

export const startMessageMoveTask = operation('sqs', 'StartMessageMoveTask', {
  async authorize({ SourceArn, DestinationArn }, ctx) {
    const source = await requireQueue(ctx, SourceArn, 'SourceArn');
    const moving = ['StartMessageMoveTask', 'ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes'].map((action) =>
      queueCheck(ctx, source, action),
    );
    if (DestinationArn === undefined) return moving;
    return [...moving, queueCheck(ctx, await requireQueue(ctx, DestinationArn, 'DestinationArn'), 'SendMessage')];
  },
  async handle(ctx, { SourceArn: source, DestinationArn: destination, MaxNumberOfMessagesPerSecond: perSecond }) {
    const queue = await requireQueue(ctx, source, 'SourceArn');
    if (perSecond !== undefined && (perSecond < 1 || perSecond > 500)) {
      throw invalidValue(perSecond, 'MaxNumberOfMessagesPerSecond', 'Must be between 1 and 500, if provided.');
    }
    if (destination === source) throw invalidParameter('Source queue arn and destination queue arn cannot be the same.');
    const target = destination === undefined ? queue : await requireQueue(ctx, destination, 'DestinationArn');
    if (target.fifo !== queue.fifo) throw invalidParameter('Source and destination queues must be of the same type.');
    const id = randomUUID();
    await ctx.transaction(async (tx) => {
      const isDeadLetters = await tx.sql.selectFrom('sqs.queues').select('id').where('dead_letter_arn', '=', source).executeTakeFirst();
      if (!isDeadLetters) throw invalidParameter('Source queue must be configured as a Dead Letter Queue.');
      const made = await tx.sql
        .insertInto('sqs.move_tasks')
        .values({
          id,
          account: ctx.account,
          region: ctx.region,
          source_arn: source,
          destination_arn: destination ?? null,
          per_second: perSecond ?? null,
          status: 'RUNNING',
          moved: 0,
          to_move: await countVisible(tx, ctx, queue),
          failure: null,
          started_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .executeTakeFirst();
      if (!made) {
        throw new AwsError(
          'UnsupportedOperation',
          'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
        );
      }
      await tx.reconcile('sqs.move', id);
    });
    return { TaskHandle: taskHandle({ id, source_arn: source }) };
  },
});

async function countVisible(tx: Transaction, platform: Pick<Platform, 'now'>, queue: Queue): Promise<number> {
  const now = platform.now();
  const { count } = await tx.sql
    .selectFrom('sqs.messages')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('queue_id', '=', queue.id)
    .where('visible_at', '<=', now)
    .where('seq', '>', queue.purged_seq)
    .where('sent_at', '>', keptSince(queue, now))
    .executeTakeFirstOrThrow();
  return count;
}

function taskHandle({ id, source_arn }: Pick<MoveTasksTable, 'id' | 'source_arn'>): string {
  return Buffer.from(JSON.stringify({ taskId: id, sourceArn: source_arn })).toString('base64');
}

function parseHandle(handle: string): { id: string; source: string } {
  try {
    const { taskId, sourceArn } = JSON.parse(Buffer.from(handle, 'base64').toString()) as { taskId: string; sourceArn: string };
    if (/^[0-9a-f-]{36}$/.test(taskId) && parseQueueArn(sourceArn)) return { id: taskId, source: sourceArn };
  } catch {
    // Told below.
  }
  throw invalidValue(handle, 'TaskHandle', 'The task handle is not valid.');
}

export const cancelMessageMoveTask = operation('sqs', 'CancelMessageMoveTask', {
  async authorize({ TaskHandle }, ctx) {
    return queueCheck(ctx, await requireQueue(ctx, parseHandle(TaskHandle).source, 'TaskHandle'), 'CancelMessageMoveTask');
  },
  async handle(ctx, { TaskHandle }) {
    const { id, source } = parseHandle(TaskHandle);
    const task = await ctx.transaction(async (tx) => {
      const changed = await tx.sql
        .updateTable('sqs.move_tasks')
        .set({ status: 'CANCELLING' })
        .where('id', '=', id)
        .where('source_arn', '=', source)
        .where('status', '=', 'RUNNING')
        .returning('moved')
        .executeTakeFirst();
      if (changed) await tx.reconcile('sqs.move', id);
      return changed;
    });
    if (!task) {
      const known = await ctx.read
        .selectFrom('sqs.move_tasks')
        .select('id')
        .where('id', '=', id)
        .where('source_arn', '=', source)
        .executeTakeFirst();
      if (!known) throw new AwsError('ResourceNotFoundException', 'Task does not exist.');
      throw new AwsError('UnsupportedOperation', 'Only active tasks can be cancelled.');
    }
    return { ApproximateNumberOfMessagesMoved: task.moved };
  },
});

export const listMessageMoveTasks = operation('sqs', 'ListMessageMoveTasks', {
  async authorize({ SourceArn }, ctx) {
    return queueCheck(ctx, await requireQueue(ctx, SourceArn, 'SourceArn'), 'ListMessageMoveTasks');
  },
  async handle(ctx, { SourceArn, MaxResults: limit = 1 }) {
    if (limit < 1 || limit > 10) throw invalidValue(limit, 'MaxResults', 'Value for parameter MaxResults must be between 1 and 10.');
    const tasks = await ctx.read
      .selectFrom('sqs.move_tasks')
      .selectAll()
      .where('source_arn', '=', SourceArn)
      .orderBy('started_at', 'desc')
      .limit(limit)
      .execute();
    return {
      Results: tasks.map(
        (task): ShapeOf<'sqs', 'ListMessageMoveTasksResultEntry'> => ({
          TaskHandle: task.status === 'RUNNING' ? taskHandle(task) : undefined,
          Status: task.status,
          SourceArn: task.source_arn,
          DestinationArn: task.destination_arn ?? undefined,
          MaxNumberOfMessagesPerSecond: task.per_second ?? undefined,
          ApproximateNumberOfMessagesMoved: task.moved,
          ApproximateNumberOfMessagesToMove: task.to_move,
          FailureReason: task.failure ?? undefined,
          StartedTimestamp: task.started_at.getTime(),
        }),
      ),
    };
  },
});

/** Moves a handful at a time, each with its count in one transaction; a kill in between leaves the rest for the next run. */
export const moveTasks: Reconciler = {
  async run(platform, id, signal) {
    while (!signal.aborted) {
      const goesOn = await platform.transaction((tx) => step(tx, platform, id));
      if (!goesOn) return;
    }
  },
  async pending(platform) {
    const tasks = await platform.read.selectFrom('sqs.move_tasks').select('id').where('status', 'in', ACTIVE).execute();
    return tasks.map(({ id }) => id);
  },
};

/** Whether there is more to do at once. */
async function step(tx: Transaction, platform: Platform, id: string): Promise<boolean> {
  const task = await tx.sql
    .selectFrom('sqs.move_tasks')
    .selectAll()
    .where('id', '=', id)
    .where('status', 'in', ACTIVE)
    .forUpdate()
    .executeTakeFirst();
  if (!task) return false;
  const end = async (status: string, failure: string | null = null): Promise<false> => {
    await tx.sql.updateTable('sqs.move_tasks').set({ status, failure }).where('id', '=', id).execute();
    return false;
  };
  if (task.status === 'CANCELLING') return end('CANCELLED');
  const found = await readQueue(tx.sql, parseQueueArn(task.source_arn)!);
  if (!found) return end('FAILED', 'AWS.SimpleQueueService.NonExistentQueue');
  const source = await lockQueue(tx, found.id);
  const messages = await nextMessages(tx, platform, source, task.per_second ?? MOVED_AT_ONCE);
  if (messages.length === 0) return end('COMPLETED');
  for (const [arn, seqs] of byTarget(task, messages)) {
    const target = arn === null ? undefined : await readQueue(tx.sql, parseQueueArn(arn)!);
    if (!target) return end('FAILED', arn === null ? 'CouldNotDetermineMessageSource' : 'AWS.SimpleQueueService.NonExistentQueue');
    await move(tx, platform, target, seqs);
  }
  await tx.sql
    .updateTable('sqs.move_tasks')
    .set({ moved: task.moved + messages.length })
    .where('id', '=', id)
    .execute();
  if (task.per_second === null) return true;
  await tx.reconcile('sqs.move', id, new Date(platform.now().getTime() + 1000));
  return false;
}

async function nextMessages(tx: Transaction, platform: Platform, source: Queue, limit: number) {
  const now = platform.now();
  return tx.sql
    .selectFrom('sqs.messages')
    .select(['seq', 'source_arn'])
    .where('queue_id', '=', source.id)
    .where('visible_at', '<=', now)
    .where('seq', '>', source.purged_seq)
    .where('sent_at', '>', keptSince(source, now))
    .orderBy('seq')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute();
}

function byTarget(
  task: Pick<MoveTasksTable, 'destination_arn'>,
  messages: { seq: number; source_arn: string | null }[],
): Map<string | null, number[]> {
  const targets = new Map<string | null, number[]>();
  for (const { seq, source_arn } of messages) {
    const arn = task.destination_arn ?? source_arn;
    targets.set(arn, [...(targets.get(arn) ?? []), seq]);
  }
  return targets;
}

/** What is moved counts as newly sent: another id, another age (developer guide, "dead-letter queue redrive"). */
async function move(tx: Transaction, platform: Platform, target: Queue, seqs: number[]): Promise<void> {
  const now = platform.now();
  await sql`update sqs.messages set queue_id = ${target.id}, id = gen_random_uuid(), seq = moved.seq, sent_at = ${now}, visible_at = ${now},
      receipt = null, received = 0, received_before = 0, first_received_at = null, source_arn = null
    from (select old, nextval('sqs.order') as seq from unnest(${seqs}::bigint[]) as old order by old) as moved
    where sqs.messages.seq = moved.old`.execute(tx.sql);
  await tx.signal(queueTopic(target));
}
