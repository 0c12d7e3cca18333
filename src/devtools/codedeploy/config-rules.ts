/** What a deployment configuration may say. */
import type { ErrorCode, ShapeOf } from '../../platform/service.ts';
import type { ComputePlatform, MinimumHealthyHosts } from './tables.ts';

interface Given {
  computePlatform: ComputePlatform;
  minimumHealthyHosts?: MinimumHealthyHosts | undefined;
  trafficRoutingConfig?: ShapeOf<'codedeploy', 'TrafficRoutingConfig'> | undefined;
  zonalConfig?: ShapeOf<'codedeploy', 'ZonalConfig'> | undefined;
}

interface Problem {
  code: ErrorCode<'codedeploy', 'CreateDeploymentConfig'>;
  message: string;
}

const MAX_MINUTES = 2880;

/** Undefined when the configuration makes sense. */
export function configProblem({ computePlatform, minimumHealthyHosts, trafficRoutingConfig, zonalConfig }: Given): Problem | undefined {
  const hosts = (message: string): Problem => ({ code: 'InvalidMinimumHealthyHostValueException', message });
  const routing = (message: string): Problem => ({ code: 'InvalidTrafficRoutingConfigurationException', message });
  const zones = (message: string): Problem => ({ code: 'InvalidZonalDeploymentConfigurationException', message });
  if (computePlatform === 'Server') {
    if (trafficRoutingConfig) return routing('A traffic routing configuration is not valid for the compute platform Server.');
    const wrong = hostsProblem(minimumHealthyHosts);
    if (wrong) return hosts(wrong);
    const wrongZones = zonalConfig && zonalProblem(zonalConfig);
    return wrongZones ? zones(wrongZones) : undefined;
  }
  if (minimumHealthyHosts) return hosts(`Minimum healthy hosts are not valid for the compute platform ${computePlatform}.`);
  if (zonalConfig) return zones(`A zonal configuration is not valid for the compute platform ${computePlatform}.`);
  const wrong = routingProblem(trafficRoutingConfig);
  return wrong ? routing(wrong) : undefined;
}

function hostsProblem(given: { type?: string | undefined; value?: number | undefined } | undefined): string | undefined {
  if (given?.type === undefined || given.value === undefined) return 'Minimum healthy hosts must have a type and a value.';
  if (given.value < 0) return 'The number of minimum healthy hosts must not be negative.';
  if (given.type === 'FLEET_PERCENT' && given.value > 100) return 'The percentage of minimum healthy hosts must be from 0 to 100.';
  return undefined;
}

function zonalProblem(given: NonNullable<Given['zonalConfig']>): string | undefined {
  const { firstZoneMonitorDurationInSeconds: first = 0, monitorDurationInSeconds: each = 0, minimumHealthyHostsPerZone: perZone } = given;
  if (first < 0 || each < 0) return 'Monitor durations must not be negative.';
  return perZone && hostsProblem(perZone);
}

function routingProblem(given: Given['trafficRoutingConfig']): string | undefined {
  const check = (percentage = 0, minutes = 0): string | undefined => {
    if (percentage < 1 || percentage > 99) return 'The percentage of traffic must be from 1 to 99.';
    return minutes < 1 || minutes > MAX_MINUTES ? `The interval must be from 1 to ${MAX_MINUTES} minutes.` : undefined;
  };
  switch (given?.type) {
    case 'AllAtOnce':
      return given.timeBasedCanary || given.timeBasedLinear ? 'AllAtOnce takes no canary and no linear settings.' : undefined;
    case 'TimeBasedCanary':
      return check(given.timeBasedCanary?.canaryPercentage, given.timeBasedCanary?.canaryInterval);
    case 'TimeBasedLinear':
      return check(given.timeBasedLinear?.linearPercentage, given.timeBasedLinear?.linearInterval);
    default:
      return 'A traffic routing configuration with a type must be given.';
  }
}
