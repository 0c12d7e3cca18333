/** The deployment configurations that every account has. */
import type { ShapeOf } from '../../platform/service.ts';

type ConfigInfo = ShapeOf<'codedeploy', 'DeploymentConfigInfo'>;

export const PREDEFINED_PREFIX = 'CodeDeployDefault.';
export const DEFAULT_CONFIG = `${PREDEFINED_PREFIX}OneAtATime`;

const server = (name: string, value: number): ConfigInfo => ({
  deploymentConfigName: PREDEFINED_PREFIX + name,
  computePlatform: 'Server',
  minimumHealthyHosts: { type: value === 0 ? 'HOST_COUNT' : 'FLEET_PERCENT', value },
});

const allAtOnce = (computePlatform: 'Lambda' | 'ECS'): ConfigInfo => ({
  deploymentConfigName: `${PREDEFINED_PREFIX}${computePlatform}AllAtOnce`,
  computePlatform,
  trafficRoutingConfig: { type: 'AllAtOnce' },
});

const canary = (computePlatform: 'Lambda' | 'ECS', minutes: number): ConfigInfo => ({
  deploymentConfigName: `${PREDEFINED_PREFIX}${computePlatform}Canary10Percent${minutes}Minutes`,
  computePlatform,
  trafficRoutingConfig: { type: 'TimeBasedCanary', timeBasedCanary: { canaryPercentage: 10, canaryInterval: minutes } },
});

const linear = (computePlatform: 'Lambda' | 'ECS', minutes: number): ConfigInfo => ({
  deploymentConfigName: `${PREDEFINED_PREFIX}${computePlatform}Linear10PercentEvery${minutes}Minute${minutes === 1 ? '' : 's'}`,
  computePlatform,
  trafficRoutingConfig: { type: 'TimeBasedLinear', timeBasedLinear: { linearPercentage: 10, linearInterval: minutes } },
});

export const PREDEFINED: ConfigInfo[] = [
  server('OneAtATime', 99),
  server('HalfAtATime', 50),
  server('AllAtOnce', 0),
  allAtOnce('Lambda'),
  ...[5, 10, 15, 30].map((minutes) => canary('Lambda', minutes)),
  ...[1, 2, 3, 10].map((minutes) => linear('Lambda', minutes)),
  allAtOnce('ECS'),
  ...[5, 15].map((minutes) => canary('ECS', minutes)),
  ...[1, 3].map((minutes) => linear('ECS', minutes)),
].map((config, index) => ({ deploymentConfigId: `00000000-0000-0000-0000-${String(index + 1).padStart(12, '0')}`, ...config }));
