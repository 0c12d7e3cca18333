/** What the model cannot say of fleets, and what of them this installation does not have. */
import type { Input } from '../../../platform/service.ts';
import { checkCompute, invalid } from '../rules.ts';
import type { FleetDefinition } from './tables.ts';

type Given = Partial<Input<'codebuild', 'CreateFleet'>>;

/** Merges what a call gives into what there was. Throws InvalidInputException. */
export function fleetDefinition(before: FleetDefinition | undefined, given: Given): FleetDefinition {
  refuseUnavailable(given);
  const scaling = given.scalingConfiguration;
  const definition: FleetDefinition = {
    baseCapacity: given.baseCapacity ?? before?.baseCapacity ?? 0,
    environmentType: given.environmentType ?? before?.environmentType ?? 'LINUX_CONTAINER',
    computeType: given.computeType ?? before?.computeType ?? 'BUILD_GENERAL1_SMALL',
    computeConfiguration: given.computeConfiguration ?? before?.computeConfiguration,
    // An empty one takes the scaling away.
    scalingConfiguration: scaling === undefined ? before?.scalingConfiguration : Object.keys(scaling).length === 0 ? undefined : scaling,
    overflowBehavior: given.overflowBehavior ?? before?.overflowBehavior ?? 'QUEUE',
    fleetServiceRole: given.fleetServiceRole ?? before?.fleetServiceRole,
  };
  checkFleet(definition);
  return definition;
}

/** Each of them would promise something (a network, a filter, a system) that no machine here has. */
function refuseUnavailable({ vpcConfig, proxyConfiguration, imageId }: Given): void {
  if (vpcConfig?.vpcId || vpcConfig?.subnets?.length) throw invalid('Invalid fleet: vpcConfig is not available in this installation');
  if (proxyConfiguration) throw invalid('Invalid fleet: proxyConfiguration is not available in this installation');
  if (imageId !== undefined) throw invalid('Invalid fleet: imageId is not available in this installation');
}

function checkFleet({ baseCapacity, environmentType, computeType, computeConfiguration, scalingConfiguration }: FleetDefinition): void {
  if (baseCapacity < 1) throw invalid('Invalid fleet: baseCapacity must be at least 1');
  if (/^(WINDOWS|MAC)/.test(environmentType)) {
    throw invalid(`Invalid fleet: environment type ${environmentType} is not available in this installation`);
  }
  if (environmentType.includes('LAMBDA')) throw invalid(`Invalid fleet: environment type ${environmentType} is not supported for fleets`);
  if (computeType.startsWith('BUILD_LAMBDA_')) throw invalid(`Invalid fleet: compute type ${computeType} is not supported for fleets`);
  checkCompute(computeConfiguration);
  if (computeType === 'ATTRIBUTE_BASED_COMPUTE' && !computeConfiguration) {
    throw invalid('Invalid fleet: computeConfiguration is a required field for compute type ATTRIBUTE_BASED_COMPUTE');
  }
  if (computeType === 'CUSTOM_INSTANCE_TYPE') {
    throw invalid('Invalid fleet: compute type CUSTOM_INSTANCE_TYPE is not available in this installation');
  }
  if (scalingConfiguration) checkScaling(scalingConfiguration, baseCapacity);
}

function checkScaling(scaling: NonNullable<FleetDefinition['scalingConfiguration']>, baseCapacity: number): void {
  const { scalingType, maxCapacity, targetTrackingScalingConfigs: targets = [] } = scaling;
  if (!scalingType) throw invalid('Invalid scaling configuration: scalingType is a required field');
  if (maxCapacity === undefined) throw invalid('Invalid scaling configuration: maxCapacity is a required field');
  if (maxCapacity < baseCapacity) throw invalid('Invalid scaling configuration: maxCapacity must not be less than baseCapacity');
  if (targets.length !== 1) throw invalid('Invalid scaling configuration: targetTrackingScalingConfigs must have exactly one item');
  const { metricType, targetValue = 0 } = targets[0]!;
  if (!metricType) throw invalid('Invalid scaling configuration: metricType is a required field');
  if (!(targetValue > 0 && targetValue <= 100)) {
    throw invalid('Invalid scaling configuration: targetValue of FLEET_UTILIZATION_RATE must be above 0 and at most 100');
  }
}
