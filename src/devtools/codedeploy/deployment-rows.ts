/** Making, finding and describing deployments. */
import type { Selectable } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import type { Check, RequestContext, ShapeOf } from '../../platform/service.ts';
import { deploymentMissing, groupArn, newDeploymentId } from './names.ts';
import type { DeploymentOptions, DeploymentsTable, GroupsTable, MinimumHealthyHosts, RevisionLocation } from './tables.ts';

export type Deployment = Selectable<DeploymentsTable>;

export function lookUpDeployment(ctx: RequestContext, id: string): Promise<Deployment | undefined> {
  return ctx.read
    .selectFrom('codedeploy.deployments')
    .selectAll()
    .where('id', '=', id)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .executeTakeFirst();
}

export async function findDeployment(ctx: RequestContext, id: string): Promise<Deployment> {
  const deployment = await lookUpDeployment(ctx, id);
  if (!deployment) throw deploymentMissing(id);
  return deployment;
}

/** Permissions on a deployment are those on its group. */
export async function onDeployment(ctx: RequestContext, id: string | undefined): Promise<Check> {
  const deployment = id === undefined ? undefined : await lookUpDeployment(ctx, id);
  return { resource: deployment ? groupArn(ctx, deployment.application_name, deployment.group_name) : '*' };
}

export interface NewDeployment {
  group: Selectable<GroupsTable>;
  applicationName: string;
  config: { name: string; minimumHealthyHosts: MinimumHealthyHosts };
  revision: { location: RevisionLocation; digest: string };
  creator: Deployment['creator'];
  options: DeploymentOptions;
  rollbackOf?: string;
  /** The successful deployment whose revision is installed again. */
  restartOf?: string | undefined;
  now: Date;
}

/** Makes a deployment the one that runs in its group, which the caller has locked and found free. Its id. */
export async function insertDeployment(tx: Transaction, made: NewDeployment): Promise<string> {
  const { group, revision, now } = made;
  const id = newDeploymentId();
  const previous =
    group.last_successful_deployment === null
      ? undefined
      : await tx.sql
          .selectFrom('codedeploy.deployments')
          .select('revision')
          .where('id', '=', group.last_successful_deployment)
          .executeTakeFirst();
  await tx.sql
    .insertInto('codedeploy.deployments')
    .values({
      id,
      account: group.account,
      region: group.region,
      application_id: group.application_id,
      application_name: made.applicationName,
      group_id: group.id,
      group_name: group.name,
      service_role_arn: group.service_role_arn,
      config_name: made.config.name,
      minimum_healthy_hosts: JSON.stringify(made.config.minimumHealthyHosts),
      status: 'Created',
      creator: made.creator,
      revision: JSON.stringify(revision.location),
      revision_digest: revision.digest,
      previous_revision: previous ? JSON.stringify(previous.revision) : null,
      options: JSON.stringify(made.options),
      rollback_of: made.rollbackOf ?? null,
      restart_of: made.restartOf ?? null,
      rollback_on_stop: false,
      created_at: now,
    })
    .execute();
  await tx.sql
    .updateTable('codedeploy.groups')
    .set({ active_deployment: id, last_attempted_deployment: id, target_revision: revision.digest })
    .where('id', '=', group.id)
    .execute();
  await tx.reconcile('codedeploy.deployment', id);
  return id;
}

type Overview = ShapeOf<'codedeploy', 'DeploymentOverview'>;

/** How many targets of each deployment have which status. */
async function overviews(ctx: RequestContext, ids: string[]): Promise<Map<string, Overview>> {
  const rows = await ctx.read
    .selectFrom('codedeploy.targets')
    .select(({ fn }) => ['deployment_id', 'status', fn.countAll<number>().as('count')])
    .where('deployment_id', 'in', ids)
    .groupBy(['deployment_id', 'status'])
    .execute();
  const counted = new Map<string, Overview>();
  for (const { deployment_id, status, count } of rows) {
    const zero = { Pending: 0, InProgress: 0, Succeeded: 0, Failed: 0, Skipped: 0, Ready: 0 };
    counted.set(deployment_id, { ...zero, ...counted.get(deployment_id), [status]: count });
  }
  return counted;
}

export async function describeDeployments(ctx: RequestContext, rows: Deployment[]): Promise<ShapeOf<'codedeploy', 'DeploymentInfo'>[]> {
  if (rows.length === 0) return [];
  const counted = await overviews(
    ctx,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => ({
    ...row.options,
    applicationName: row.application_name,
    deploymentGroupName: row.group_name,
    deploymentConfigName: row.config_name,
    deploymentId: row.id,
    previousRevision: row.previous_revision ?? undefined,
    revision: row.revision,
    status: row.status,
    errorInformation: row.error_code ? { code: row.error_code, message: row.error_message ?? '' } : undefined,
    createTime: row.created_at,
    startTime: row.started_at ?? undefined,
    completeTime: row.completed_at ?? undefined,
    deploymentOverview: counted.get(row.id),
    creator: row.creator,
    rollbackInfo: rollbackInfo(row),
    deploymentStyle: { deploymentType: 'IN_PLACE', deploymentOption: 'WITHOUT_TRAFFIC_CONTROL' },
    instanceTerminationWaitTimeStarted: false,
    deploymentMode: row.restart_of === null ? 'STANDARD' : 'RESTART',
    computePlatform: 'Server',
  }));
}

function rollbackInfo(row: Deployment): ShapeOf<'codedeploy', 'RollbackInfo'> | undefined {
  if (!row.rollback_of && !row.rolled_back_by && !row.rollback_message) return undefined;
  return {
    rollbackDeploymentId: row.rolled_back_by ?? undefined,
    rollbackTriggeringDeploymentId: row.rollback_of ?? undefined,
    rollbackMessage: row.rollback_message ?? undefined,
  };
}
