/** A group's triggers: what happens is told to topics, by jobs of the transaction in which it happened. */
import { AwsError } from '../../../platform/errors.ts';
import type { Transaction } from '../../../platform/platform.ts';
import type { JobHandler } from '../../../platform/service.ts';
import type { Deployment } from '../deployment-rows.ts';
import type { GroupSettings } from '../tables.ts';

export const DELIVER_TRIGGER = 'codedeploy.trigger';

/** With the growing pauses between them these last for days. */
const MAX_ATTEMPTS = 25;
const MAX_SUBJECT = 100;
/** What no retry heals: the topic or the permission is not there. */
const FINAL = /^(AccessDenied|AuthorizationError|InvalidParameter|NotFound|NotImplemented|Validation)/;

type Trigger = NonNullable<GroupSettings['triggerConfigurations']>[number];
type TriggerEvent = NonNullable<Trigger['triggerEvents']>[number];

interface Told {
  role: string;
  region: string;
  topic: string;
  subject: string;
  message: object;
}

/** Asked once a transaction, however many instances it speaks of. */
const known = new WeakMap<Transaction, Map<string, Trigger[]>>();

async function triggersFor(tx: Transaction, { group_id: group }: Deployment, event: TriggerEvent): Promise<Trigger[]> {
  const ofGroups = known.get(tx) ?? new Map<string, Trigger[]>();
  known.set(tx, ofGroups);
  let triggers = ofGroups.get(group);
  if (!triggers) {
    const row = await tx.sql.selectFrom('codedeploy.groups').select('settings').where('id', '=', group).executeTakeFirst();
    triggers = row?.settings.triggerConfigurations ?? [];
    ofGroups.set(group, triggers);
  }
  return triggers.filter(({ triggerEvents }) => triggerEvents?.includes(event));
}

/** User guide, "JSON data formats for CodeDeploy triggers". */
export async function tellTopicsOfDeployment(tx: Transaction, deployment: Deployment, event: TriggerEvent): Promise<void> {
  const triggers = await triggersFor(tx, deployment, event);
  if (triggers.length === 0) return;
  const { status, error_code, error_message, completed_at } = await tx.sql
    .selectFrom('codedeploy.deployments')
    .select(['status', 'error_code', 'error_message', 'completed_at'])
    .where('id', '=', deployment.id)
    .executeTakeFirstOrThrow();
  const message = {
    applicationName: deployment.application_name,
    deploymentId: deployment.id,
    deploymentGroupName: deployment.group_name,
    createTime: seconds(deployment.created_at),
    completeTime: completed_at ? seconds(completed_at) : undefined,
    deploymentOverview: completed_at ? await overview(tx, deployment.id) : undefined,
    status: STATUS[status] ?? status.toUpperCase(),
    errorInformation: error_code ? { ErrorCode: error_code, ErrorMessage: error_message ?? '' } : undefined,
  };
  await queue(
    tx,
    deployment,
    triggers,
    `${message.status}: AWS CodeDeploy ${deployment.id} in ${deployment.region} to ${deployment.application_name}`,
    message,
  );
}

/** As its messages write them. */
const STATUS: Record<string, string> = { InProgress: 'CREATED' };

export async function tellTopicsOfInstance(tx: Transaction, deployment: Deployment, instance: string, event: TriggerEvent): Promise<void> {
  const triggers = await triggersFor(tx, deployment, event);
  if (triggers.length === 0) return;
  const target = await tx.sql
    .selectFrom('codedeploy.targets')
    .select(['position', 'arn', 'status', 'updated_at'])
    .where('deployment_id', '=', deployment.id)
    .where('name', '=', instance)
    .executeTakeFirstOrThrow();
  const events = await tx.sql
    .selectFrom('codedeploy.events')
    .select(['name', 'status', 'started_at', 'ended_at'])
    .where('deployment_id', '=', deployment.id)
    .where('target', '=', target.position)
    .orderBy('position')
    .execute();
  const message = {
    deploymentId: deployment.id,
    instanceId: target.arn,
    lastUpdatedAt: seconds(target.updated_at),
    instanceStatus: target.status,
    lifecycleEvents: events.map(({ name, status, started_at, ended_at }) => ({
      LifecycleEvent: name,
      LifecycleEventStatus: status,
      StartTime: started_at ? seconds(started_at) : undefined,
      EndTime: ended_at ? seconds(ended_at) : undefined,
    })),
  };
  await queue(
    tx,
    deployment,
    triggers,
    `${target.status.toUpperCase()}: AWS CodeDeploy ${deployment.id} in ${deployment.region} to ${instance}`,
    message,
  );
}

async function overview(tx: Transaction, id: string): Promise<Record<string, string>> {
  const rows = await tx.sql
    .selectFrom('codedeploy.targets')
    .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
    .where('deployment_id', '=', id)
    .groupBy('status')
    .execute();
  const zero = { Failed: '0', InProgress: '0', Pending: '0', Skipped: '0', Succeeded: '0' };
  return { ...zero, ...Object.fromEntries(rows.map(({ status, count }) => [status, String(count)])) };
}

/** Times are texts there. */
function seconds(time: Date): string {
  return (time.getTime() / 1000).toFixed(3);
}

async function queue(tx: Transaction, deployment: Deployment, triggers: Trigger[], subject: string, message: object): Promise<void> {
  const { account: accountId, region, service_role_arn: role } = deployment;
  for (const { triggerName: eventTriggerName, triggerTargetArn } of triggers) {
    const told: Told = {
      role,
      region,
      topic: triggerTargetArn!,
      subject: subject.slice(0, MAX_SUBJECT),
      message: { region, accountId, eventTriggerName, ...message },
    };
    await tx.enqueue(DELIVER_TRIGGER, told, { maxAttempts: MAX_ATTEMPTS });
  }
}

/** Job `codedeploy.trigger`: one message to one topic, as the group's service role; at least once. */
export const deliverTrigger: JobHandler = async (platform, { role, region, topic, subject, message }: Told) => {
  try {
    const { sns } = await platform.aws.as({ role, service: 'codedeploy', sessionName: 'triggers', region: topic.split(':')[3] || region });
    await sns.publish({ TopicArn: topic, Subject: subject, Message: JSON.stringify(message) });
  } catch (error) {
    if (!(error instanceof AwsError) || !FINAL.test(error.code)) throw error;
    platform.log.error({ topic, role, code: error.code, reason: error.message }, 'a trigger of a deployment group was not told');
  }
};
