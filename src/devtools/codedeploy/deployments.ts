/** Deployments as users ask for them: making, finding, listing and stopping them. What then happens is in `engine/`. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { findApplication } from './applications.ts';
import { describeDeployments, findDeployment, insertDeployment, lookUpDeployment, onDeployment } from './deployment-rows.ts';
import { checkAlarms, checkRollback, checkSettings, serverConfig } from './group-settings.ts';
import { findGroup, type Group, onGroup } from './groups.ts';
import { deploymentMissing, groupMissing } from './names.ts';
import { limitBatch, onePage } from './pages.ts';
import { type CheckedRevision, checkDescription, checkedLocation, registerRevision } from './revisions.ts';
import { ACTIVE_STATUSES } from './tables.ts';

const MAX_IDS = 100;

export const createDeployment = operation('codedeploy', 'CreateDeployment', {
  authorize: ({ applicationName, deploymentGroupName }, ctx) => onGroup(ctx, applicationName, deploymentGroupName),
  async handle(ctx, input) {
    const { applicationName, deploymentGroupName, revision, description, overrideAlarmConfiguration, autoRollbackConfiguration } = input;
    if (deploymentGroupName === undefined) throw ctx.error('DeploymentGroupNameRequiredException', 'Deployment group name is required.');
    checkDescription(description);
    checkAlarms(overrideAlarmConfiguration);
    checkRollback(autoRollbackConfiguration);
    const restart = input.deploymentMode === 'RESTART';
    if (restart && (revision !== undefined || input.updateOutdatedInstancesOnly)) {
      throw ctx.error('InvalidInputException', 'A deployment of mode RESTART takes neither a revision nor updateOutdatedInstancesOnly.');
    }
    if (input.targetInstances && Object.values(input.targetInstances).some((given) => given !== undefined)) {
      throw ctx.error(
        'InvalidTargetInstancesException',
        'The target instance configuration is invalid: configuration data for target instances was entered for an in-place deployment.',
      );
    }
    const application = await findApplication(ctx, applicationName);
    const { id: groupId, config_name } = await findGroup(ctx, application, deploymentGroupName);
    if (!revision && !restart) throw ctx.error('RevisionRequiredException', 'The revision ID was not specified.');
    checkSettings({}, application.compute_platform);
    const given = revision && checkedLocation(application, revision);
    const config = await serverConfig(ctx, input.deploymentConfigName ?? config_name);
    const deploymentId = await ctx.transaction(async (tx) => {
      const group = await tx.sql.selectFrom('codedeploy.groups').selectAll().where('id', '=', groupId).forUpdate().executeTakeFirst();
      if (!group) throw groupMissing(deploymentGroupName);
      if (group.active_deployment) {
        throw ctx.error(
          'DeploymentLimitExceededException',
          `The Deployment Group '${group.name}' already has an active Deployment '${group.active_deployment}'`,
        );
      }
      const now = ctx.now();
      const checked = given ?? (await lastGoodRevision(tx, group));
      await registerRevision(tx, application, checked, { now, used: true });
      return insertDeployment(tx, {
        group,
        applicationName,
        config: { name: config.deploymentConfigName!, minimumHealthyHosts: config.minimumHealthyHosts! },
        revision: checked,
        creator: 'user',
        restartOf: given ? undefined : group.last_successful_deployment!,
        options: {
          description,
          ignoreApplicationStopFailures: input.ignoreApplicationStopFailures ?? false,
          updateOutdatedInstancesOnly: input.updateOutdatedInstancesOnly ?? false,
          fileExistsBehavior: input.fileExistsBehavior ?? 'DISALLOW',
          autoRollbackConfiguration: autoRollbackConfiguration ?? group.settings.autoRollbackConfiguration,
          overrideAlarmConfiguration,
        },
        now,
      });
    });
    return { deploymentId };
  },
});

/** What a restart installs again. */
async function lastGoodRevision(tx: Transaction, { name, last_successful_deployment }: Group): Promise<CheckedRevision> {
  const good =
    last_successful_deployment &&
    (await tx.sql
      .selectFrom('codedeploy.deployments')
      .select(['revision', 'revision_digest'])
      .where('id', '=', last_successful_deployment)
      .executeTakeFirst());
  if (!good) throw new AwsError('InvalidInputException', `The deployment group ${name} has no successful deployment to restart.`);
  return { location: good.revision, digest: good.revision_digest };
}

export const getDeployment = operation('codedeploy', 'GetDeployment', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId }) {
    const [deploymentInfo] = await describeDeployments(ctx, [await findDeployment(ctx, deploymentId)]);
    return { deploymentInfo };
  },
});

export const batchGetDeployments = operation('codedeploy', 'BatchGetDeployments', {
  authorize: ({ deploymentIds }, ctx) => Promise.all(deploymentIds.slice(0, MAX_IDS).map((id) => onDeployment(ctx, id))),
  async handle(ctx, { deploymentIds }) {
    if (deploymentIds.length === 0) throw ctx.error('DeploymentIdRequiredException', 'At least one deployment ID must be specified.');
    limitBatch(deploymentIds, MAX_IDS);
    const found = await Promise.all(
      [...new Set(deploymentIds)].map(async (id) => {
        const deployment = await lookUpDeployment(ctx, id);
        const missing = deploymentMissing(id);
        if (!deployment && missing.code === 'InvalidDeploymentIdException') throw missing;
        return deployment;
      }),
    );
    return {
      deploymentsInfo: await describeDeployments(
        ctx,
        found.filter((one) => one !== undefined),
      ),
    };
  },
});

export const listDeployments = operation('codedeploy', 'ListDeployments', {
  authorize: ({ applicationName, deploymentGroupName }, ctx) =>
    applicationName === undefined ? '*' : onGroup(ctx, applicationName, deploymentGroupName),
  async handle(ctx, { applicationName, deploymentGroupName, externalId, includeOnlyStatuses = [], createTimeRange, nextToken: token }) {
    if (externalId !== undefined && (applicationName !== undefined || deploymentGroupName !== undefined)) {
      throw ctx.error('InvalidInputException', 'An external ID cannot be combined with an application or a deployment group.');
    }
    if (deploymentGroupName !== undefined && applicationName === undefined) {
      throw ctx.error('ApplicationNameRequiredException', 'Application name is required with a deployment group name.');
    }
    if (applicationName !== undefined && deploymentGroupName === undefined) {
      throw ctx.error('DeploymentGroupNameRequiredException', 'Deployment group name is required with an application name.');
    }
    const { start, end } = createTimeRange ?? {};
    if (start && end && start > end) throw ctx.error('InvalidTimeRangeException', 'The start of the time range is after its end.');
    const group =
      applicationName === undefined ? undefined : await findGroup(ctx, await findApplication(ctx, applicationName), deploymentGroupName!);
    const list = `deployments:${group?.id}:${externalId}:${includeOnlyStatuses.toSorted()}:${start?.getTime()}:${end?.getTime()}`;
    const { rows, nextToken } = await onePage(
      ctx,
      list,
      token,
      async (after: { time: string; id: string } | undefined, limit) => {
        // External ids are given by CloudFormation's blue/green hook only, which Penstock does not have: no deployment has one.
        if (externalId !== undefined) return [];
        let query = ctx.read
          .selectFrom('codedeploy.deployments')
          .select(['id', 'created_at'])
          .where('account', '=', ctx.account)
          .where('region', '=', ctx.region)
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit);
        if (group) query = query.where('group_id', '=', group.id);
        if (includeOnlyStatuses.length > 0) query = query.where('status', 'in', includeOnlyStatuses as never);
        if (start) query = query.where('created_at', '>=', start);
        if (end) query = query.where('created_at', '<=', end);
        if (after) {
          const time = new Date(after.time);
          query = query.where(({ and, eb, or }) =>
            or([eb('created_at', '<', time), and([eb('created_at', '=', time), eb('id', '<', after.id)])]),
          );
        }
        return query.execute();
      },
      ({ created_at, id }) => ({ time: created_at.toISOString(), id }),
    );
    return { deployments: rows.map(({ id }) => id), nextToken };
  },
});

/** No new command is given out from now on; what a host has begun it ends. */
export const stopDeployment = operation('codedeploy', 'StopDeployment', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, autoRollbackEnabled }) {
    await findDeployment(ctx, deploymentId);
    await ctx.transaction(async (tx) => {
      const deployment = await tx.sql
        .selectFrom('codedeploy.deployments')
        .selectAll()
        .where('id', '=', deploymentId)
        .forUpdate()
        .executeTakeFirstOrThrow();
      if (!ACTIVE_STATUSES.includes(deployment.status)) {
        throw ctx.error(
          'DeploymentAlreadyCompletedException',
          `The deployment ${deploymentId} is already in a terminal state: ${deployment.status}`,
        );
      }
      const { enabled, events = [] } = deployment.options.autoRollbackConfiguration ?? {};
      await tx.sql
        .updateTable('codedeploy.deployments')
        .set({
          stop_requested_at: deployment.stop_requested_at ?? ctx.now(),
          rollback_on_stop: autoRollbackEnabled ?? (enabled === true && events.includes('DEPLOYMENT_STOP_ON_REQUEST')),
        })
        .where('id', '=', deploymentId)
        .execute();
      await tx.reconcile('codedeploy.deployment', deploymentId);
    });
    return { status: 'Pending' as const, statusMessage: 'No more commands will be scheduled for execution in the deployment instances' };
  },
});

const BLUE_GREEN_ONLY = 'A call was submitted that is not supported for the specified deployment type: the deployment is in place.';

export const continueDeployment = operation('codedeploy', 'ContinueDeployment', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId }) {
    if (deploymentId === undefined) throw ctx.error('DeploymentIdRequiredException', 'At least one deployment ID must be specified.');
    await findDeployment(ctx, deploymentId);
    throw ctx.error('UnsupportedActionForDeploymentTypeException', BLUE_GREEN_ONLY);
  },
});

export const skipWaitTimeForInstanceTermination = operation('codedeploy', 'SkipWaitTimeForInstanceTermination', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId }) {
    if (deploymentId === undefined) throw ctx.error('DeploymentIdRequiredException', 'At least one deployment ID must be specified.');
    await findDeployment(ctx, deploymentId);
    throw ctx.error('UnsupportedActionForDeploymentTypeException', BLUE_GREEN_ONLY);
  },
});

export const putLifecycleEventHookExecutionStatus = operation('codedeploy', 'PutLifecycleEventHookExecutionStatus', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId }) {
    if (deploymentId === undefined) throw ctx.error('DeploymentIdRequiredException', 'At least one deployment ID must be specified.');
    await findDeployment(ctx, deploymentId);
    throw ctx.error(
      'UnsupportedActionForDeploymentTypeException',
      'Lifecycle event hooks that are functions belong to the compute platforms Lambda and ECS; this deployment is for Server.',
    );
  },
});
