/** Deployment groups: which instances, by which role and rules. */
import { randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import { type Check, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { type Application, findApplication, lookUpApplication, onApplication } from './applications.ts';
import { checkRole, checkSettings, mergeSettings, serverConfig } from './group-settings.ts';
import { groupArn, groupMissing, whenTaken } from './names.ts';
import { limitBatch, onePage } from './pages.ts';
import { DEFAULT_CONFIG } from './predefined-configs.ts';
import type { GroupsTable } from './tables.ts';
import { resourceTags } from './tag-lists.ts';

const MAX_GROUPS = 1000;
const MAX_NAMES = 100;

export type Group = Selectable<GroupsTable>;

export function lookUpGroup(ctx: Pick<RequestContext, 'read'>, application: Application, name: string): Promise<Group | undefined> {
  return ctx.read
    .selectFrom('codedeploy.groups')
    .selectAll()
    .where('application_id', '=', application.id)
    .where('name', '=', name)
    .executeTakeFirst();
}

export async function findGroup(ctx: RequestContext, application: Application, name: string): Promise<Group> {
  const group = await lookUpGroup(ctx, application, name);
  if (!group) throw groupMissing(name);
  return group;
}

/** Whom to ask for permission on a group, which may not be there. */
export async function onGroup(ctx: RequestContext, applicationName: string, name: string | undefined): Promise<Check> {
  if (name === undefined) return onApplication(ctx, applicationName);
  const application = await lookUpApplication(ctx, ctx, applicationName);
  const group = application && (await lookUpGroup(ctx, application, name));
  return { resource: groupArn(ctx, applicationName, name), ...(group && { resourceTags: group.tags }) };
}

const passing = (role: string): Check => ({
  action: 'iam:PassRole',
  resource: role,
  conditions: { 'iam:PassedToService': 'codedeploy.amazonaws.com' },
});

export const createDeploymentGroup = operation('codedeploy', 'CreateDeploymentGroup', {
  authorize: ({ applicationName, deploymentGroupName, serviceRoleArn, tags }, ctx) => [
    { resource: groupArn(ctx, applicationName, deploymentGroupName), requestTags: resourceTags(tags) },
    passing(serviceRoleArn),
  ],
  partial:
    'in-place deployments to on-premises instances; EC2 filters match nothing; blue/green, load balancers, ' +
    'Auto Scaling, ECS and Lambda are refused',
  async handle(ctx, input) {
    const { applicationName, deploymentGroupName: name, deploymentConfigName = DEFAULT_CONFIG, serviceRoleArn, tags } = input;
    const application = await findApplication(ctx, applicationName);
    checkSettings(input, application.compute_platform);
    await serverConfig(ctx, deploymentConfigName);
    await checkRole(ctx, serviceRoleArn);
    const id = randomUUID();
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('codedeploy.groups')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('application_id', '=', application.id)
        .executeTakeFirstOrThrow();
      if (count >= MAX_GROUPS)
        throw ctx.error('DeploymentGroupLimitExceededException', `The deployment groups limit was exceeded: ${MAX_GROUPS}`);
      const made = await tx.sql
        .insertInto('codedeploy.groups')
        .values({
          id,
          account: ctx.account,
          region: ctx.region,
          application_id: application.id,
          name,
          config_name: deploymentConfigName,
          service_role_arn: serviceRoleArn,
          settings: JSON.stringify(mergeSettings({}, input)),
          tags: JSON.stringify(resourceTags(tags)),
          created_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.columns(['application_id', 'name']).doNothing())
        .executeTakeFirst();
      if (!made.numInsertedOrUpdatedRows)
        throw ctx.error('DeploymentGroupAlreadyExistsException', `Deployment group already exists: ${name}`);
    });
    return { deploymentGroupId: id };
  },
});

async function describe(
  ctx: RequestContext,
  application: Application,
  group: Group,
): Promise<ShapeOf<'codedeploy', 'DeploymentGroupInfo'>> {
  const ids = [group.last_successful_deployment, group.last_attempted_deployment].filter((id) => id !== null);
  const rows = ids.length
    ? await ctx.read
        .selectFrom('codedeploy.deployments')
        .select(['id', 'status', 'completed_at', 'created_at'])
        .where('id', 'in', ids)
        .execute()
    : [];
  const last = (wanted: string | null): ShapeOf<'codedeploy', 'LastDeploymentInfo'> | undefined => {
    const row = rows.find(({ id }) => id === wanted);
    return row && { deploymentId: row.id, status: row.status, endTime: row.completed_at ?? undefined, createTime: row.created_at };
  };
  const target =
    group.target_revision === null
      ? undefined
      : await ctx.read
          .selectFrom('codedeploy.revisions')
          .select('location')
          .where('application_id', '=', application.id)
          .where('digest', '=', group.target_revision)
          .executeTakeFirst();
  return {
    ...group.settings,
    applicationName: application.name,
    deploymentGroupId: group.id,
    deploymentGroupName: group.name,
    deploymentConfigName: group.config_name,
    ec2TagFilters: group.settings.ec2TagFilters ?? [],
    onPremisesInstanceTagFilters: group.settings.onPremisesInstanceTagFilters ?? [],
    autoScalingGroups: [],
    serviceRoleArn: group.service_role_arn,
    targetRevision: target?.location,
    triggerConfigurations: group.settings.triggerConfigurations ?? [],
    lastSuccessfulDeployment: last(group.last_successful_deployment),
    lastAttemptedDeployment: last(group.last_attempted_deployment),
    computePlatform: application.compute_platform,
    terminationHookEnabled: group.settings.terminationHookEnabled ?? false,
  };
}

export const getDeploymentGroup = operation('codedeploy', 'GetDeploymentGroup', {
  authorize: ({ applicationName, deploymentGroupName }, ctx) => onGroup(ctx, applicationName, deploymentGroupName),
  async handle(ctx, { applicationName, deploymentGroupName }) {
    const application = await findApplication(ctx, applicationName);
    return { deploymentGroupInfo: await describe(ctx, application, await findGroup(ctx, application, deploymentGroupName)) };
  },
});

export const batchGetDeploymentGroups = operation('codedeploy', 'BatchGetDeploymentGroups', {
  authorize: ({ applicationName, deploymentGroupNames }, ctx) =>
    Promise.all(deploymentGroupNames.slice(0, MAX_NAMES).map((name) => onGroup(ctx, applicationName, name))),
  async handle(ctx, { applicationName, deploymentGroupNames }) {
    if (deploymentGroupNames.length === 0) throw ctx.error('DeploymentGroupNameRequiredException', 'Deployment group name is required.');
    limitBatch(deploymentGroupNames, MAX_NAMES);
    const application = await findApplication(ctx, applicationName);
    const names = [...new Set(deploymentGroupNames)];
    const groups = await Promise.all(names.map((name) => lookUpGroup(ctx, application, name)));
    const missing = names.filter((_, index) => !groups[index]);
    return {
      deploymentGroupsInfo: await Promise.all(groups.flatMap((group) => (group ? [describe(ctx, application, group)] : []))),
      ...(missing.length > 0 && { errorMessage: `No Deployment Group found for name: ${missing.join(', ')}` }),
    };
  },
});

export const listDeploymentGroups = operation('codedeploy', 'ListDeploymentGroups', {
  authorize: ({ applicationName }, ctx) => onApplication(ctx, applicationName),
  async handle(ctx, { applicationName, nextToken: token }) {
    const application = await findApplication(ctx, applicationName);
    const { rows, nextToken } = await onePage(
      ctx,
      `groups:${application.id}`,
      token,
      (after: string | undefined, limit) =>
        ctx.read
          .selectFrom('codedeploy.groups')
          .select('name')
          .where('application_id', '=', application.id)
          .where('name', '>', after ?? '')
          .orderBy('name')
          .limit(limit)
          .execute(),
      ({ name }) => name,
    );
    return { applicationName, deploymentGroups: rows.map(({ name }) => name), nextToken };
  },
});

export const updateDeploymentGroup = operation('codedeploy', 'UpdateDeploymentGroup', {
  authorize: async ({ applicationName, currentDeploymentGroupName, serviceRoleArn }, ctx) => [
    await onGroup(ctx, applicationName, currentDeploymentGroupName),
    ...(serviceRoleArn === undefined ? [] : [passing(serviceRoleArn)]),
  ],
  partial: 'as CreateDeploymentGroup',
  async handle(ctx, input) {
    const { applicationName, currentDeploymentGroupName, newDeploymentGroupName: newName, deploymentConfigName, serviceRoleArn } = input;
    const application = await findApplication(ctx, applicationName);
    const group = await findGroup(ctx, application, currentDeploymentGroupName);
    checkSettings(input, application.compute_platform);
    if (deploymentConfigName !== undefined) await serverConfig(ctx, deploymentConfigName);
    if (serviceRoleArn !== undefined) await checkRole(ctx, serviceRoleArn);
    await ctx.transaction(async (tx) => {
      const current = await tx.sql.selectFrom('codedeploy.groups').selectAll().where('id', '=', group.id).forUpdate().executeTakeFirst();
      if (!current) throw groupMissing(currentDeploymentGroupName);
      if (newName !== undefined && newName !== current.name) {
        await tx.sql.updateTable('codedeploy.deployments').set({ group_name: newName }).where('group_id', '=', group.id).execute();
      }
      await tx.sql
        .updateTable('codedeploy.groups')
        .set({
          name: newName ?? current.name,
          config_name: deploymentConfigName ?? current.config_name,
          service_role_arn: serviceRoleArn ?? current.service_role_arn,
          settings: JSON.stringify(mergeSettings(current.settings, input)),
        })
        .where('id', '=', group.id)
        .execute()
        .catch(whenTaken(() => ctx.error('DeploymentGroupAlreadyExistsException', `Deployment group already exists: ${newName}`)));
    });
    // Only Auto Scaling groups have hooks.
    return { hooksNotCleanedUp: [] };
  },
});

/** A deployment that still runs in it fails for the lack of its group. */
export const deleteDeploymentGroup = operation('codedeploy', 'DeleteDeploymentGroup', {
  authorize: ({ applicationName, deploymentGroupName }, ctx) => onGroup(ctx, applicationName, deploymentGroupName),
  async handle(ctx, { applicationName, deploymentGroupName }) {
    const application = await lookUpApplication(ctx, ctx, applicationName);
    const group = application && (await lookUpGroup(ctx, application, deploymentGroupName));
    if (group) {
      await ctx.transaction(async (tx) => {
        const deleted = await tx.sql
          .deleteFrom('codedeploy.groups')
          .where('id', '=', group.id)
          .returning('active_deployment')
          .executeTakeFirst();
        if (deleted?.active_deployment) await tx.reconcile('codedeploy.deployment', deleted.active_deployment);
      });
    }
    return { hooksNotCleanedUp: [] };
  },
});
