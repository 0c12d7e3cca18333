/** What a deployment group may say, and what of AWS's deployments Penstock does not have. */
import { AwsError } from '../../platform/errors.ts';
import type { Input, RequestContext } from '../../platform/service.ts';
import { type ConfigInfo, lookUpConfig } from './configs.ts';
import { configMissing } from './names.ts';
import type { ComputePlatform, GroupSettings } from './tables.ts';
import { filtersProblem, MAX_TAG_GROUPS } from './tag-filters.ts';

const MAX_TRIGGERS = 10;
const TOPIC_ARN = /^arn:aws[\w-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/;
const MAX_ALARMS = 10;

type GroupInput = Omit<
  Partial<Input<'codedeploy', 'CreateDeploymentGroup'>>,
  'applicationName' | 'deploymentGroupName' | 'serviceRoleArn' | 'deploymentConfigName' | 'tags'
>;

/** The members that groups keep as they are given. */
const KEPT = [
  'ec2TagFilters',
  'ec2TagSet',
  'onPremisesInstanceTagFilters',
  'onPremisesTagSet',
  'triggerConfigurations',
  'alarmConfiguration',
  'autoRollbackConfiguration',
  'outdatedInstancesStrategy',
  'deploymentStyle',
  'terminationHookEnabled',
] as const satisfies (keyof GroupSettings)[];

const DEFAULTS: GroupSettings = {
  deploymentStyle: { deploymentType: 'IN_PLACE', deploymentOption: 'WITHOUT_TRAFFIC_CONTROL' },
  outdatedInstancesStrategy: 'UPDATE',
};

/** The settings after a call: what it omits stays, an empty list takes away, and filters of one form replace those of the other. */
export function mergeSettings(before: GroupSettings, input: GroupInput): GroupSettings {
  const given = Object.fromEntries(KEPT.filter((name) => input[name] !== undefined).map((name) => [name, input[name]])) as GroupSettings;
  const kept = { ...DEFAULTS, ...before };
  if (given.ec2TagSet) delete kept.ec2TagFilters;
  if (given.ec2TagFilters) delete kept.ec2TagSet;
  if (given.onPremisesTagSet) delete kept.onPremisesInstanceTagFilters;
  if (given.onPremisesInstanceTagFilters) delete kept.onPremisesTagSet;
  const deploymentStyle = { ...kept.deploymentStyle, ...given.deploymentStyle };
  return { ...kept, ...given, deploymentStyle };
}

/** Throws the error of the first member that AWS would refuse, or that asks for what Penstock does not have. */
export function checkSettings(input: GroupInput, platform: ComputePlatform): void {
  if (platform !== 'Server') {
    refuse('InvalidInputException', `Penstock deploys to the compute platform Server only; this application is for ${platform}.`);
  }
  checkTagFilters(input);
  checkTriggers(input);
  checkAlarms(input.alarmConfiguration);
  checkRollback(input.autoRollbackConfiguration);
  checkStyle(input);
}

function checkTagFilters(input: GroupInput): void {
  const { ec2TagFilters = [], ec2TagSet, onPremisesInstanceTagFilters = [], onPremisesTagSet } = input;
  const ec2Sets = ec2TagSet?.ec2TagSetList ?? [];
  const ownSets = onPremisesTagSet?.onPremisesTagSetList ?? [];
  if (ec2TagFilters.length > 0 && ec2Sets.length > 0) {
    refuse('InvalidEC2TagCombinationException', 'Amazon EC2 tag filters and tag sets cannot be specified together.');
  }
  if (onPremisesInstanceTagFilters.length > 0 && ownSets.length > 0) {
    refuse('InvalidOnPremisesTagCombinationException', 'On-premises tag filters and tag sets cannot be specified together.');
  }
  if (ec2Sets.length > MAX_TAG_GROUPS || ownSets.length > MAX_TAG_GROUPS) {
    refuse(
      'TagSetListLimitExceededException',
      `The number of tag groups included in the tag set list exceeded the maximum of ${MAX_TAG_GROUPS}.`,
    );
  }
  for (const filters of [ec2TagFilters, ...ec2Sets]) {
    const problem = filtersProblem(filters);
    if (problem) refuse('InvalidEC2TagException', problem);
  }
  for (const filters of [onPremisesInstanceTagFilters, ...ownSets]) {
    const problem = filtersProblem(filters);
    if (problem) refuse('InvalidTagException', problem);
  }
}

function checkTriggers({ triggerConfigurations = [] }: GroupInput): void {
  if (triggerConfigurations.length > MAX_TRIGGERS) {
    refuse('TriggerTargetsLimitExceededException', `The maximum allowed number of triggers was exceeded: ${MAX_TRIGGERS}.`);
  }
  for (const { triggerName, triggerTargetArn, triggerEvents = [] } of triggerConfigurations) {
    if (!triggerName) refuse('InvalidTriggerConfigException', 'A trigger must have a name.');
    if (!triggerTargetArn || !TOPIC_ARN.test(triggerTargetArn))
      refuse('InvalidTriggerConfigException', `The trigger ${triggerName} must have the ARN of a topic.`);
    if (triggerEvents.length === 0) refuse('InvalidTriggerConfigException', `The trigger ${triggerName} must have at least one event.`);
  }
}

export function checkAlarms(configuration: GroupInput['alarmConfiguration']): void {
  const { enabled = false, alarms = [] } = configuration ?? {};
  if (alarms.length > MAX_ALARMS) refuse('AlarmsLimitExceededException', `The maximum number of alarms was exceeded: ${MAX_ALARMS}.`);
  if (alarms.some(({ name }) => !name)) refuse('InvalidAlarmConfigException', 'An alarm must have a name.');
  if (enabled && alarms.length === 0) refuse('InvalidAlarmConfigException', 'Alarms are enabled, but none is specified.');
}

export function checkRollback(configuration: GroupInput['autoRollbackConfiguration']): void {
  if (configuration?.enabled && (configuration.events ?? []).length === 0) {
    refuse('InvalidAutoRollbackConfigException', 'Automatic rollback is enabled, but no event for it is specified.');
  }
}

function checkStyle(input: GroupInput): void {
  const { deploymentStyle, loadBalancerInfo, autoScalingGroups = [], ecsServices = [], blueGreenDeploymentConfiguration } = input;
  const balancers = Object.values(loadBalancerInfo ?? {}).flat();
  if (deploymentStyle?.deploymentType === 'BLUE_GREEN') {
    refuse(
      'InvalidDeploymentStyleException',
      'Penstock does not have blue/green deployments yet: only the deployment type IN_PLACE can be used.',
    );
  }
  if (blueGreenDeploymentConfiguration && Object.keys(blueGreenDeploymentConfiguration).length > 0) {
    refuse(
      'InvalidBlueGreenDeploymentConfigurationException',
      'A blue/green deployment configuration needs a deployment of type BLUE_GREEN.',
    );
  }
  if (balancers.length > 0) {
    refuse('InvalidLoadBalancerInfoException', 'Penstock does not have load balancers yet: deployments run without traffic control.');
  }
  if (deploymentStyle?.deploymentOption === 'WITH_TRAFFIC_CONTROL') {
    refuse('InvalidLoadBalancerInfoException', 'A load balancer must be specified for a deployment with traffic control.');
  }
  if (autoScalingGroups.length > 0) {
    refuse(
      'InvalidAutoScalingGroupException',
      `Penstock does not have Auto Scaling groups yet: ${autoScalingGroups.join(', ')} cannot be deployed to.`,
    );
  }
  if (ecsServices.length > 0) refuse('InvalidECSServiceException', 'Amazon ECS services are not valid for the compute platform Server.');
}

/** The configuration by that name, which must be for instances. */
export async function serverConfig(ctx: RequestContext, name: string): Promise<ConfigInfo> {
  const config = await lookUpConfig(ctx, ctx, name);
  if (!config) throw configMissing(name);
  if (config.computePlatform !== 'Server') {
    refuse(
      'InvalidDeploymentConfigNameException',
      `The deployment configuration ${name} is for the compute platform ${config.computePlatform}.`,
    );
  }
  return config;
}

/** AWS makes sure that it can act as the role before it keeps a group. */
export async function checkRole(ctx: RequestContext, role: string): Promise<void> {
  if (!/^arn:aws[\w-]*:iam::\d{12}:role\/.+$/.test(role)) {
    refuse('InvalidRoleException', `The service role ARN was specified in an invalid format: ${role}`);
  }
  try {
    await ctx.aws.as({ role, service: 'codedeploy', sessionName: 'AWSCodeDeploy', region: ctx.region });
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    refuse('InvalidRoleException', `AWS CodeDeploy does not have the permissions required to assume the role ${role}.`);
  }
}

function refuse(code: string, message: string): never {
  throw new AwsError(code, message);
}
