/** Alarms that stop deployments: read as the group's role when a deployment starts, at each of its steps, and when one changes its state. */
import { AwsError } from '../../../platform/errors.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { JobHandler } from '../../../platform/service.ts';
import type { Deployment } from '../deployment-rows.ts';
import { ACTIVE_STATUSES, type GroupSettings } from '../tables.ts';

type Settings = NonNullable<GroupSettings['alarmConfiguration']>;

/** Those of the deployment itself instead of its group's; undefined where none are to be looked at. */
function enabled(deployment: Pick<Deployment, 'options'>, group: GroupSettings | undefined): Settings | undefined {
  const settings = deployment.options.overrideAlarmConfiguration ?? group?.alarmConfiguration;
  return settings?.enabled && (settings.alarms ?? []).length > 0 ? settings : undefined;
}

/** Why the deployment must stop, if an alarm says so, or cannot be read and that was not to be ignored. */
export async function activeAlarm(platform: Platform, deployment: Deployment): Promise<string | undefined> {
  // A rollback is the answer to the alarm, which goes off until it is through.
  if (deployment.creator === 'codeDeployRollback') return undefined;
  const group = await platform.read
    .selectFrom('codedeploy.groups')
    .select('settings')
    .where('id', '=', deployment.group_id)
    .executeTakeFirst();
  const settings = enabled(deployment, group?.settings);
  if (!settings) return undefined;
  const names = (settings.alarms ?? []).map(({ name }) => name!);
  const { service_role_arn: role, id, region } = deployment;
  let assumed = false;
  try {
    const { cloudwatch } = await platform.aws.as({ role, service: 'codedeploy', sessionName: id, region });
    assumed = true;
    const { MetricAlarms = [], CompositeAlarms = [] } = await cloudwatch.describeAlarms({
      AlarmNames: names,
      AlarmTypes: ['MetricAlarm', 'CompositeAlarm'],
    });
    const found = [...MetricAlarms, ...CompositeAlarms];
    const active = found.filter(({ StateValue }) => StateValue === 'ALARM').map(({ AlarmName }) => AlarmName);
    if (active.length > 0) return `The deployment was stopped because of alarms that are in the state ALARM: ${active.join(', ')}.`;
    const missing = names.filter((name) => !found.some(({ AlarmName }) => AlarmName === name));
    if (missing.length === 0 || settings.ignorePollAlarmFailure) return undefined;
    return `The states of the deployment’s alarms could not be read: there is no alarm ${missing.join(', ')}.`;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    // A deployment that cannot have its role does not start, and says so itself.
    if (!assumed && deployment.status !== 'InProgress') return undefined;
    return settings.ignorePollAlarmFailure ? undefined : `The states of the deployment’s alarms could not be read: ${error.message}`;
  }
}

/** For each alarm that goes off: the deployments that it may stop look at once. */
export const onAlarmChange: JobHandler = async (
  platform,
  event: { account: string; region: string; detail: { alarmName: string; state: { value: string } } },
) => {
  const { account, region, detail } = event;
  if (detail.state.value !== 'ALARM') return;
  const active = await platform.read
    .selectFrom('codedeploy.deployments as deployment')
    .leftJoin('codedeploy.groups as group', 'group.id', 'deployment.group_id')
    .select(['deployment.id', 'deployment.options', 'group.settings'])
    .where('deployment.account', '=', account)
    .where('deployment.region', '=', region)
    .where('deployment.status', 'in', ACTIVE_STATUSES)
    .execute();
  const concerned = active.filter((deployment) =>
    enabled(deployment, deployment.settings ?? undefined)?.alarms?.some(({ name }) => name === detail.alarmName),
  );
  if (concerned.length === 0) return;
  await platform.transaction(async (tx) => {
    for (const { id } of concerned) await tx.reconcile('codedeploy.deployment', id);
  });
};
