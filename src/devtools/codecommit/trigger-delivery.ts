/** From a change of references to the destinations of its triggers: a job for each message, made in the transaction of the change. */
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { JobHandler } from '../../platform/service.ts';
import type { ReferenceChange } from './references.ts';
import type { Repository } from './repository.ts';
import type { TriggerMessage } from './trigger-record.ts';
import { triggerMessages } from './trigger-record.ts';

export const DELIVER_TRIGGER = 'codecommit.trigger';

/** With the growing pauses between them these last for days. */
const MAX_ATTEMPTS = 25;
/** What no retry heals: the destination or the permission is not there. */
const FINAL = /^(AccessDenied|AuthorizationError|InvalidParameter|NotImplemented|Validation|.*NotFound|.*DoesNotExist)/;

/** Part of every change of references. */
export async function queueTriggers(
  platform: Platform,
  tx: Transaction,
  repository: Repository,
  changes: ReferenceChange[],
  caller: string,
): Promise<void> {
  if (changes.length === 0) return;
  const row = await tx.sql.selectFrom('codecommit.triggers').selectAll().where('repository_id', '=', repository.id).executeTakeFirst();
  if (!row) return;
  const occasion = { repository, configurationId: row.configuration_id, caller, time: platform.now() };
  for (const trigger of row.triggers) {
    for (const message of triggerMessages(trigger, changes, occasion)) {
      await tx.enqueue(DELIVER_TRIGGER, message, { maxAttempts: MAX_ATTEMPTS });
    }
  }
}

/** Job `codecommit.trigger`: one message to one destination, at least once. */
export const deliverTrigger: JobHandler = async (platform, message: TriggerMessage, { attempt, maxAttempts }) => {
  try {
    await send(platform, message);
  } catch (error) {
    const final = error instanceof AwsError && FINAL.test(error.code);
    const { repositoryArn: repository, trigger, destinationArn: destination } = message;
    const reason = error instanceof Error ? error.message : String(error);
    const text = final || attempt === maxAttempts ? 'a trigger was not delivered' : 'a trigger could not be delivered yet';
    platform.log[final || attempt === maxAttempts ? 'error' : 'warn']({ repository, trigger, destination, attempt, reason }, text);
    if (!final) throw error;
  }
};

interface LambdaClient {
  invoke(input: { FunctionName: string; InvocationType: 'Event'; Payload: Uint8Array }): Promise<unknown>;
}

/** Fails with the destination's own error. */
export async function send(platform: Pick<Platform, 'aws'>, message: TriggerMessage): Promise<void> {
  const { destinationArn, payload, subject, account, region, repositoryArn: sourceArn } = message;
  const clients = platform.aws.asService('codecommit', { account, region, sourceArn });
  if (destinationArn.startsWith('arn:aws:sns:')) {
    await clients.sns.publish({ TopicArn: destinationArn, Subject: subject, Message: payload });
    return;
  }
  // There is no model of Lambda here: its calls go to the endpoint that PENSTOCK_ENDPOINT_LAMBDA names, or fail as not implemented.
  const { lambda } = clients as unknown as { lambda: LambdaClient };
  await lambda.invoke({ FunctionName: destinationArn, InvocationType: 'Event', Payload: Buffer.from(payload) });
}
