/** AddPermission and RemovePermission: statements of the queue's policy by their label. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalidValue, missingParameter } from './errors.ts';
import { findQueue, lockQueue, onOwnQueue, queueArn } from './queue.ts';
import type { Queue } from './tables.ts';

const MAX_ACTIONS = 7;
/** What another account may be permitted (API reference, AddPermission). */
const ACTIONS = [
  '*',
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'PurgeQueue',
  'ReceiveMessage',
  'SendMessage',
];

interface PolicyDocument {
  Version: string;
  Id?: string;
  Statement: { Sid?: string }[];
}

async function changePolicy(ctx: RequestContext, url: string, change: (policy: PolicyDocument, queue: Queue) => void): Promise<void> {
  const { id } = await findQueue(ctx, url);
  await ctx.transaction(async (tx) => {
    const queue = await lockQueue(tx, id);
    const policy = readPolicy(queue);
    change(policy, queue);
    const text = policy.Statement.length > 0 ? JSON.stringify(policy) : null;
    await tx.sql.updateTable('sqs.queues').set({ policy: text, modified_at: ctx.now() }).where('id', '=', id).execute();
  });
}

function readPolicy(queue: Queue): PolicyDocument {
  if (queue.policy === null) return { Version: '2012-10-17', Id: `${queueArn(queue)}/SQSDefaultPolicy`, Statement: [] };
  const policy = JSON.parse(queue.policy) as PolicyDocument;
  return { ...policy, Statement: [policy.Statement].flat() };
}

export const addPermission = operation('sqs', 'AddPermission', {
  authorize: onOwnQueue('AddPermission'),
  async handle(ctx, { QueueUrl, Label, AWSAccountIds, Actions }) {
    if (!/^[\w-]{1,80}$/.test(Label)) {
      throw invalidValue(Label, 'Label', 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.');
    }
    if (AWSAccountIds.length === 0) throw missingParameter('PrincipalId');
    if (Actions.length === 0) throw missingParameter('ActionName');
    if (Actions.length > MAX_ACTIONS)
      throw new AwsError('OverLimit', `${Actions.length} Actions were found, maximum allowed is ${MAX_ACTIONS}.`);
    const account = AWSAccountIds.find((id) => !/^\d{12}$/.test(id));
    if (account !== undefined) throw invalidValue(account, 'PrincipalId', 'Unable to verify.');
    const action = Actions.find((name) => !ACTIONS.includes(name));
    if (action !== undefined) throw invalidValue(`SQS:${action}`, 'ActionName', 'Only the queue owner is allowed to invoke this action.');
    await changePolicy(ctx, QueueUrl, (policy, queue) => {
      if (policy.Statement.some(({ Sid }) => Sid === Label)) throw invalidValue(Label, 'Label', 'Already exists.');
      const statement = {
        Sid: Label,
        Effect: 'Allow',
        Principal: { AWS: one(AWSAccountIds.map((id) => `arn:aws:iam::${id}:root`)) },
        Action: one(Actions.map((name) => `SQS:${name}`)),
        Resource: queueArn(queue),
      };
      policy.Statement.push(statement);
    });
    return {};
  },
});

function one(values: string[]): string | string[] {
  return values.length === 1 ? values[0]! : values;
}

export const removePermission = operation('sqs', 'RemovePermission', {
  authorize: onOwnQueue('RemovePermission'),
  async handle(ctx, { QueueUrl, Label }) {
    await changePolicy(ctx, QueueUrl, (policy) => {
      const rest = policy.Statement.filter(({ Sid }) => Sid !== Label);
      if (rest.length === policy.Statement.length) {
        throw invalidValue(Label, 'Label', "can't find label on existing policy.");
      }
      policy.Statement = rest;
    });
    return {};
  },
});
