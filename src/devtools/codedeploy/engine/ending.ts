/** The end of a deployment, and the rollback that may follow it. */
import type { Transaction } from '../../../platform/platform.ts';
import type { Deployment } from '../deployment-rows.ts';
import { insertDeployment } from '../deployment-rows.ts';
import type { DeploymentErrorCode } from '../tables.ts';
import { tellDeployment } from './notifications.ts';

export interface Problem {
  code: DeploymentErrorCode;
  message: string;
}

export type Ending = { status: 'Succeeded' } | { status: 'Stopped' } | { status: 'Failed'; problem: Problem };

const STOPPED: Problem = { code: 'MANUAL_STOP', message: 'The deployment was stopped by a user.' };

/** What stopped a deployment: an alarm, if one did, or a user. */
function stopOf({ stopped_by_alarm }: Deployment): Problem {
  return stopped_by_alarm === null ? STOPPED : { code: 'ALARM_ACTIVE', message: stopped_by_alarm };
}

/** Ends a deployment whose row the transaction holds, frees its group, and begins a rollback in the same step if there is to be one. */
export async function endDeployment(tx: Transaction, deployment: Deployment, ending: Ending, now: Date): Promise<void> {
  const problem = ending.status === 'Failed' ? ending.problem : ending.status === 'Stopped' ? stopOf(deployment) : undefined;
  await skipTheRest(tx, deployment.id, now);
  await tx.sql
    .updateTable('codedeploy.deployments')
    .set({ status: ending.status, completed_at: now, error_code: problem?.code ?? null, error_message: problem?.message ?? null })
    .where('id', '=', deployment.id)
    .execute();
  await tx.sql
    .updateTable('codedeploy.groups')
    .set({ active_deployment: null, ...(ending.status === 'Succeeded' && { last_successful_deployment: deployment.id }) })
    .where('id', '=', deployment.group_id)
    .where('active_deployment', '=', deployment.id)
    .execute();
  const state = { Succeeded: 'SUCCESS', Failed: 'FAILURE', Stopped: 'STOP' } as const;
  await tellDeployment(tx, deployment, state[ending.status], now);
  if (rollbackWanted(deployment, ending)) await rollBack(tx, deployment, now);
}

async function skipTheRest(tx: Transaction, id: string, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ status: 'Skipped', ended_at: now })
    .where('deployment_id', '=', id)
    .where('ended_at', 'is', null)
    .execute();
  await tx.sql
    .updateTable('codedeploy.targets')
    .set({ status: 'Skipped', updated_at: now })
    .where('deployment_id', '=', id)
    .where('status', '=', 'Pending')
    .execute();
}

/** A rollback is never rolled back itself. */
function rollbackWanted(deployment: Deployment, ending: Ending): boolean {
  if (deployment.creator === 'codeDeployRollback') return false;
  const { enabled, events = [] } = deployment.options.autoRollbackConfiguration ?? {};
  if (ending.status === 'Stopped') {
    const onAlarm = deployment.stopped_by_alarm !== null && enabled === true && events.includes('DEPLOYMENT_STOP_ON_ALARM');
    return onAlarm || deployment.rollback_on_stop;
  }
  return ending.status === 'Failed' && enabled === true && events.includes('DEPLOYMENT_FAILURE');
}

async function rollBack(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  const group = await tx.sql
    .selectFrom('codedeploy.groups')
    .selectAll()
    .where('id', '=', deployment.group_id)
    .forUpdate()
    .executeTakeFirst();
  const good =
    group?.last_successful_deployment &&
    (await tx.sql.selectFrom('codedeploy.deployments').selectAll().where('id', '=', group.last_successful_deployment).executeTakeFirst());
  let rolledBackBy: string | null = null;
  let message = 'The deployment was not rolled back: its group has no successful deployment to go back to.';
  if (group && good) {
    rolledBackBy = await insertDeployment(tx, {
      group,
      applicationName: deployment.application_name,
      config: { name: deployment.config_name, minimumHealthyHosts: deployment.minimum_healthy_hosts },
      revision: { location: good.revision, digest: good.revision_digest },
      creator: 'codeDeployRollback',
      options: {
        description: `Rollback of the deployment ${deployment.id} to the revision of ${good.id}.`,
        ignoreApplicationStopFailures: deployment.options.ignoreApplicationStopFailures,
        updateOutdatedInstancesOnly: false,
        fileExistsBehavior: deployment.options.fileExistsBehavior,
      },
      rollbackOf: deployment.id,
      now,
    });
    message = `The deployment ${rolledBackBy} rolls back to the revision of ${good.id}.`;
  }
  await tx.sql
    .updateTable('codedeploy.deployments')
    .set({ rolled_back_by: rolledBackBy, rollback_message: message })
    .where('id', '=', deployment.id)
    .execute();
}
