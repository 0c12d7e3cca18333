/** Deployment configurations: the predefined ones and those that users make. */
import { randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Platform } from '../../platform/platform.ts';
import { operation, type ShapeOf } from '../../platform/service.ts';
import { configProblem } from './config-rules.ts';
import { configArn, configMissing } from './names.ts';
import { onePage } from './pages.ts';
import { PREDEFINED, PREDEFINED_PREFIX } from './predefined-configs.ts';
import type { ConfigsTable } from './tables.ts';

const MAX_CONFIGS = 200;

export type ConfigInfo = ShapeOf<'codedeploy', 'DeploymentConfigInfo'>;

export async function lookUpConfig(
  { read }: Pick<Platform, 'read'>,
  { account, region }: { account: string; region: string },
  name: string,
): Promise<ConfigInfo | undefined> {
  const predefined = PREDEFINED.find(({ deploymentConfigName }) => deploymentConfigName === name);
  if (predefined) return predefined;
  const row = await read
    .selectFrom('codedeploy.configs')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
  return row && describe(row);
}

function describe(row: Selectable<ConfigsTable>): ConfigInfo {
  return {
    deploymentConfigId: row.id,
    deploymentConfigName: row.name,
    minimumHealthyHosts: row.minimum_healthy_hosts ?? undefined,
    createTime: row.created_at,
    computePlatform: row.compute_platform,
    trafficRoutingConfig: row.traffic_routing ?? undefined,
    zonalConfig: row.zonal ?? undefined,
  };
}

export const createDeploymentConfig = operation('codedeploy', 'CreateDeploymentConfig', {
  authorize: ({ deploymentConfigName }, ctx) => configArn(ctx, deploymentConfigName),
  async handle(ctx, input) {
    const { deploymentConfigName: name, computePlatform = 'Server', minimumHealthyHosts, trafficRoutingConfig, zonalConfig } = input;
    if (name.startsWith(PREDEFINED_PREFIX)) {
      throw ctx.error('InvalidDeploymentConfigNameException', `Deployment configuration names cannot begin with ${PREDEFINED_PREFIX}`);
    }
    const problem = configProblem({ ...input, computePlatform });
    if (problem) throw ctx.error(problem.code, problem.message);
    const id = randomUUID();
    await ctx.transaction(async (tx) => {
      const { count } = await tx.sql
        .selectFrom('codedeploy.configs')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .executeTakeFirstOrThrow();
      if (count >= MAX_CONFIGS) {
        throw ctx.error('DeploymentConfigLimitExceededException', `The deployment configurations limit was exceeded: ${MAX_CONFIGS}`);
      }
      const text = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
      const made = await tx.sql
        .insertInto('codedeploy.configs')
        .values({
          id,
          account: ctx.account,
          region: ctx.region,
          name,
          compute_platform: computePlatform,
          minimum_healthy_hosts: text(minimumHealthyHosts),
          traffic_routing: text(trafficRoutingConfig),
          zonal: text(zonalConfig),
          created_at: ctx.now(),
        })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doNothing())
        .executeTakeFirst();
      if (!made.numInsertedOrUpdatedRows) {
        throw ctx.error('DeploymentConfigAlreadyExistsException', `Deployment Configuration already exists: ${name}`);
      }
    });
    return { deploymentConfigId: id };
  },
});

export const getDeploymentConfig = operation('codedeploy', 'GetDeploymentConfig', {
  authorize: ({ deploymentConfigName }, ctx) => configArn(ctx, deploymentConfigName),
  async handle(ctx, { deploymentConfigName }) {
    const config = await lookUpConfig(ctx, ctx, deploymentConfigName);
    if (!config) throw configMissing(deploymentConfigName);
    return { deploymentConfigInfo: config };
  },
});

export const listDeploymentConfigs = operation('codedeploy', 'ListDeploymentConfigs', {
  authorize: () => '*',
  async handle(ctx, { nextToken: token }) {
    const { rows, nextToken } = await onePage(
      ctx,
      'configs',
      token,
      async (after: string | undefined, limit) => {
        const own = await ctx.read
          .selectFrom('codedeploy.configs')
          .select('name')
          .where('account', '=', ctx.account)
          .where('region', '=', ctx.region)
          .execute();
        const names = [...PREDEFINED.map(({ deploymentConfigName }) => deploymentConfigName!), ...own.map(({ name }) => name)].sort();
        return names.filter((name) => after === undefined || name > after).slice(0, limit);
      },
      (name) => name,
    );
    return { deploymentConfigsList: rows, nextToken };
  },
});

export const deleteDeploymentConfig = operation('codedeploy', 'DeleteDeploymentConfig', {
  authorize: ({ deploymentConfigName }, ctx) => configArn(ctx, deploymentConfigName),
  async handle(ctx, { deploymentConfigName: name }) {
    if (name.startsWith(PREDEFINED_PREFIX)) {
      throw ctx.error('InvalidOperationException', `The predefined deployment configuration ${name} cannot be deleted`);
    }
    await ctx.transaction(async (tx) => {
      const used = await tx.sql
        .selectFrom('codedeploy.groups')
        .select('name')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('config_name', '=', name)
        .executeTakeFirst();
      if (used) {
        throw ctx.error(
          'DeploymentConfigInUseException',
          `The deployment configuration ${name} is used by the deployment group ${used.name}`,
        );
      }
      await tx.sql
        .deleteFrom('codedeploy.configs')
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .where('name', '=', name)
        .execute();
    });
    return {};
  },
});
