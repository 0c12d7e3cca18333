/** Tags of queues. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalidParameter } from './errors.ts';
import { findQueue, lockQueue, onOwnQueue } from './queue.ts';

const MAX_TAGS = 50;

export function checkTags(tags: Record<string, string>): void {
  if (Object.keys(tags).length > MAX_TAGS) throw invalidParameter(`Too many tags added for the queue; at most ${MAX_TAGS} are allowed.`);
  for (const [key, value] of Object.entries(tags)) {
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) || !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(value)) {
      throw invalidParameter(
        'Tag keys must be between 1 and 128 characters, tag values up to 256, of letters, digits, spaces and _.:/=+-@.',
      );
    }
    if (/^aws:/i.test(key)) throw invalidParameter('Tag keys that begin with aws: are reserved.');
  }
}

async function change(ctx: RequestContext, url: string, to: (tags: Record<string, string>) => Record<string, string>): Promise<void> {
  const { id } = await findQueue(ctx, url);
  await ctx.transaction(async (tx) => {
    const tags = to((await lockQueue(tx, id)).tags);
    checkTags(tags);
    await tx.sql
      .updateTable('sqs.queues')
      .set({ tags: JSON.stringify(tags) })
      .where('id', '=', id)
      .execute();
  });
}

export const tagQueue = operation('sqs', 'TagQueue', {
  authorize: async (input, ctx) => ({ ...(await onOwnQueue('TagQueue')(input, ctx)), requestTags: input.Tags }),
  async handle(ctx, { QueueUrl, Tags }) {
    await change(ctx, QueueUrl, (before) => ({ ...before, ...Tags }));
    return {};
  },
});

export const untagQueue = operation('sqs', 'UntagQueue', {
  authorize: onOwnQueue('UntagQueue'),
  async handle(ctx, { QueueUrl, TagKeys }) {
    const gone = new Set(TagKeys);
    await change(ctx, QueueUrl, (before) => Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key))));
    return {};
  },
});

export const listQueueTags = operation('sqs', 'ListQueueTags', {
  authorize: onOwnQueue('ListQueueTags'),
  async handle(ctx, { QueueUrl }) {
    const { tags } = await findQueue(ctx, QueueUrl);
    return Object.keys(tags).length > 0 ? { Tags: tags } : {};
  },
});
