/** Queues as requests name them: by URL, by ARN, by name; and the IAM questions that are asked about them. */
import { AwsError } from '../../platform/errors.ts';
import type { Reader, Transaction } from '../../platform/platform.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { noSuchQueue } from './errors.ts';
import type { Queue } from './tables.ts';
import './tables.ts';

export interface Place {
  account: string;
  region: string;
}

/** No service is let in by a queue that has no policy, as on AWS. */
const NOBODY =
  '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"000000000000"},"Action":"sqs:none","Resource":"*"}]}';

export function queueArn({ account, region, name }: Place & { name: string }): string {
  return `arn:aws:sqs:${region}:${account}:${name}`;
}

export function parseQueueArn(arn: string): (Place & { name: string }) | undefined {
  const match = /^arn:aws[\w-]*:sqs:([a-z0-9-]+):(\d{12}):([\w-]{1,80}(?:\.fifo)?)$/.exec(arn);
  return match ? { region: match[1]!, account: match[2]!, name: match[3]! } : undefined;
}

/** Under the address by which the client reached us; any other that leads here does as well. */
export function queueUrl(ctx: RequestContext, { account, name }: { account: string; name: string }): string {
  return `${ctx.http?.origin ?? ctx.config.endpoints.http}/${account}/${name}`;
}

/** Account and name are the end of the URL's path, whatever host stands before. */
export function parseQueueUrl(url: string): { account: string; name: string } {
  const match = /^(?:https?:\/\/[^/]+(?:\/[^?#]*)?)?\/(\d{12})\/([\w-]{1,80}(?:\.fifo)?)\/?$/.exec(url.slice(0, 2048));
  if (!match) throw new AwsError('InvalidAddress', `The address ${url.slice(0, 300)} is not valid for this endpoint.`);
  return { account: match[1]!, name: match[2]! };
}

export async function readQueue(read: Pick<Reader, 'selectFrom'>, place: Place & { name: string }): Promise<Queue | undefined> {
  if (!/^[\w-]{1,80}(\.fifo)?$/.test(place.name)) return undefined;
  return read
    .selectFrom('sqs.queues')
    .selectAll()
    .where('account', '=', place.account)
    .where('region', '=', place.region)
    .where('name', '=', place.name)
    .executeTakeFirst();
}

/** Each request reads its queue once: what was authorized is what the handler sees. */
const known = new WeakMap<RequestContext, Queue>();

/** The queue of a request; QueueDoesNotExist when there is none. */
export async function findQueue(ctx: RequestContext, url: string): Promise<Queue> {
  const kept = known.get(ctx);
  if (kept) return kept;
  const queue = await readQueue(ctx.read, { region: ctx.region, ...parseQueueUrl(url) });
  if (!queue) throw noSuchQueue();
  known.set(ctx, queue);
  return queue;
}

/** Changes of one queue, one after the other. */
export async function lockQueue(tx: Transaction, id: string): Promise<Queue> {
  const queue = await tx.sql.selectFrom('sqs.queues').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!queue) throw noSuchQueue();
  return queue;
}

/** Asks for an action on the queue of the input's URL, its policy included. */
export function onQueue(action: string) {
  return async ({ QueueUrl }: { QueueUrl: string }, ctx: RequestContext): Promise<Check> =>
    queueCheck(ctx, await findQueue(ctx, QueueUrl), action);
}

/** The same for what only the queue's own account may do, whatever its policy says (developer guide, "Limitations of custom policies"). */
export function onOwnQueue(action: string) {
  return async ({ QueueUrl }: { QueueUrl: string }, ctx: RequestContext): Promise<Check> => {
    const check = queueCheck(ctx, await findQueue(ctx, QueueUrl), action);
    return ctx.principal.account === check.resourceAccount ? check : { ...check, resourcePolicy: NOBODY };
  };
}

export function queueCheck(ctx: RequestContext, queue: Queue, action: string): Check {
  const policy = queue.policy ?? (ctx.principal.type === 'Service' ? NOBODY : undefined);
  return {
    action: `sqs:${action}`,
    resource: queueArn(queue),
    resourceAccount: queue.account,
    resourceTags: queue.tags,
    ...(policy !== undefined && { resourcePolicy: policy }),
  };
}

/** The signal that wakes those who wait for messages. */
export function queueTopic(queue: { id: string }): string {
  return `sqs:${queue.id}`;
}
