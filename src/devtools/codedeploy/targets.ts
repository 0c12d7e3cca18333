/** What a deployment does on each of its instances: as targets, and as the instances of the API's older operations. */
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { type Deployment, findDeployment, onDeployment } from './deployment-rows.ts';
import { limitBatch, onePage } from './pages.ts';
import type { TargetStatus, TargetsTable } from './tables.ts';

const MAX_TARGETS = 25;
const MAX_INSTANCES = 100;
const STATUSES = ['Pending', 'InProgress', 'Succeeded', 'Failed', 'Skipped', 'Unknown', 'Ready'];

type Target = Selectable<TargetsTable>;

/** Targets are chosen when a deployment starts: before that there is nothing to tell. */
async function startedDeployment(ctx: RequestContext, id: string): Promise<Deployment> {
  const deployment = await findDeployment(ctx, id);
  if (deployment.status === 'Created' || deployment.status === 'Queued') {
    throw new AwsError('DeploymentNotStartedException', `The specified deployment has not started: ${id}`);
  }
  return deployment;
}

/** By name, or by ARN. */
async function findTargets(ctx: RequestContext, deployment: Deployment, ids: string[]): Promise<Map<string, Target>> {
  const rows = await ctx.read
    .selectFrom('codedeploy.targets')
    .selectAll()
    .where('deployment_id', '=', deployment.id)
    .where(({ eb, or }) => or([eb('name', 'in', ids), eb('arn', 'in', ids)]))
    .execute();
  return new Map(ids.flatMap((id) => rows.filter(({ name, arn }) => name === id || arn === id).map((row) => [id, row] as const)));
}

async function eventsOf(ctx: RequestContext, targets: Target[]): Promise<Map<number, ShapeOf<'codedeploy', 'LifecycleEvent'>[]>> {
  const [first] = targets;
  if (!first) return new Map();
  const rows = await ctx.read
    .selectFrom('codedeploy.events')
    .select(['target', 'name', 'status', 'started_at', 'ended_at', 'diagnostics'])
    .where('deployment_id', '=', first.deployment_id)
    .where(
      'target',
      'in',
      targets.map(({ position }) => position),
    )
    .orderBy('target')
    .orderBy('position')
    .execute();
  const events = new Map<number, ShapeOf<'codedeploy', 'LifecycleEvent'>[]>(targets.map(({ position }) => [position, []]));
  for (const { target, name, status, started_at, ended_at, diagnostics } of rows) {
    events.get(target)!.push({
      lifecycleEventName: name,
      status,
      startTime: started_at ?? undefined,
      endTime: status === 'Skipped' ? undefined : (ended_at ?? undefined),
      diagnostics: diagnostics ?? undefined,
    });
  }
  return events;
}

/** Between its beginning and its end a target changes only by its events. */
function latest(updated: Date, events: ShapeOf<'codedeploy', 'LifecycleEvent'>[]): Date {
  const times = events.flatMap(({ startTime, endTime }) => [startTime?.getTime() ?? 0, endTime?.getTime() ?? 0]);
  return new Date(Math.max(updated.getTime(), ...times));
}

async function describeTargets(ctx: RequestContext, targets: Target[]): Promise<ShapeOf<'codedeploy', 'DeploymentTarget'>[]> {
  const events = await eventsOf(ctx, targets);
  return targets.map(({ deployment_id, name, arn, status, updated_at, position }) => ({
    deploymentTargetType: 'InstanceTarget',
    instanceTarget: {
      deploymentId: deployment_id,
      targetId: name,
      targetArn: arn,
      status,
      lastUpdatedAt: latest(updated_at, events.get(position)!),
      lifecycleEvents: events.get(position)!,
    },
  }));
}

async function describeInstances(ctx: RequestContext, targets: Target[]): Promise<ShapeOf<'codedeploy', 'InstanceSummary'>[]> {
  const events = await eventsOf(ctx, targets);
  return targets.map(({ deployment_id, arn, status, updated_at, position }) => ({
    deploymentId: deployment_id,
    instanceId: arn,
    status,
    lastUpdatedAt: latest(updated_at, events.get(position)!),
    lifecycleEvents: events.get(position)!,
  }));
}

async function listNames(
  ctx: RequestContext,
  deployment: Deployment,
  statuses: string[],
  token: string | undefined,
): Promise<{ names: string[]; nextToken?: string | undefined }> {
  const { rows, nextToken } = await onePage(
    ctx,
    `targets:${deployment.id}:${statuses.toSorted()}`,
    token,
    (after: number | undefined, limit) => {
      let query = ctx.read
        .selectFrom('codedeploy.targets')
        .select(['position', 'name'])
        .where('deployment_id', '=', deployment.id)
        .where('position', '>', after ?? -1)
        .orderBy('position')
        .limit(limit);
      if (statuses.length > 0) query = query.where('status', 'in', statuses as TargetStatus[]);
      return query.execute();
    },
    ({ position }) => position,
  );
  return { names: rows.map(({ name }) => name), nextToken };
}

export const getDeploymentTarget = operation('codedeploy', 'GetDeploymentTarget', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, targetId }) {
    const deployment = await startedDeployment(ctx, deploymentId);
    const target = (await findTargets(ctx, deployment, [targetId])).get(targetId);
    if (!target)
      throw ctx.error(
        'DeploymentTargetDoesNotExistException',
        `The provided target ID does not belong to the attempted deployment: ${targetId}`,
      );
    const [deploymentTarget] = await describeTargets(ctx, [target]);
    return { deploymentTarget };
  },
});

export const batchGetDeploymentTargets = operation('codedeploy', 'BatchGetDeploymentTargets', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, targetIds }) {
    if (targetIds.length === 0) throw ctx.error('DeploymentTargetIdRequiredException', 'A deployment target ID was not provided.');
    if (targetIds.length > MAX_TARGETS) {
      throw ctx.error(
        'DeploymentTargetListSizeExceededException',
        `The maximum number of targets that can be requested (${MAX_TARGETS}) was exceeded.`,
      );
    }
    const deployment = await startedDeployment(ctx, deploymentId);
    const found = await findTargets(ctx, deployment, [...new Set(targetIds)]);
    const missing = targetIds.find((id) => !found.has(id));
    if (missing !== undefined) {
      throw ctx.error(
        'DeploymentTargetDoesNotExistException',
        `The provided target ID does not belong to the attempted deployment: ${missing}`,
      );
    }
    return { deploymentTargets: await describeTargets(ctx, [...found.values()]) };
  },
});

export const listDeploymentTargets = operation('codedeploy', 'ListDeploymentTargets', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, nextToken: token, targetFilters = {} }) {
    const statuses: string[] = targetFilters.TargetStatus ?? [];
    const unknown = statuses.find((status) => !STATUSES.includes(status));
    if (unknown !== undefined)
      throw ctx.error('InvalidInstanceStatusException', `The specified instance status does not exist: ${unknown}`);
    if ((targetFilters.ServerInstanceLabel ?? []).length > 0) throw typeOfInPlace();
    const deployment = await startedDeployment(ctx, deploymentId);
    const { names, nextToken } = await listNames(ctx, deployment, statuses, token);
    return { targetIds: names, nextToken };
  },
});

export const getDeploymentInstance = operation('codedeploy', 'GetDeploymentInstance', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, instanceId }) {
    const deployment = await findDeployment(ctx, deploymentId);
    const target = (await findTargets(ctx, deployment, [instanceId])).get(instanceId);
    if (!target) throw ctx.error('InstanceDoesNotExistException', `The specified instance does not exist in the deployment: ${instanceId}`);
    const [instanceSummary] = await describeInstances(ctx, [target]);
    return { instanceSummary };
  },
});

export const batchGetDeploymentInstances = operation('codedeploy', 'BatchGetDeploymentInstances', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, instanceIds }) {
    if (instanceIds.length === 0) throw ctx.error('InstanceIdRequiredException', 'The instance ID was not specified.');
    limitBatch(instanceIds, MAX_INSTANCES);
    const deployment = await findDeployment(ctx, deploymentId);
    const ids = [...new Set(instanceIds)];
    const found = await findTargets(ctx, deployment, ids);
    const missing = ids.filter((id) => !found.has(id));
    return {
      instancesSummary: await describeInstances(ctx, [...found.values()]),
      ...(missing.length > 0 && { errorMessage: `The specified instances do not exist in the deployment: ${missing.join(', ')}` }),
    };
  },
});

export const listDeploymentInstances = operation('codedeploy', 'ListDeploymentInstances', {
  authorize: ({ deploymentId }, ctx) => onDeployment(ctx, deploymentId),
  async handle(ctx, { deploymentId, nextToken: token, instanceStatusFilter = [], instanceTypeFilter = [] }) {
    if (instanceTypeFilter.length > 0) throw typeOfInPlace();
    const deployment = await startedDeployment(ctx, deploymentId);
    const { names, nextToken } = await listNames(ctx, deployment, instanceStatusFilter, token);
    return { instancesList: names, nextToken };
  },
});

function typeOfInPlace(): AwsError {
  return new AwsError(
    'InvalidDeploymentInstanceTypeException',
    'An instance type was specified for an in-place deployment. Instance types are supported for blue/green deployments only.',
  );
}
