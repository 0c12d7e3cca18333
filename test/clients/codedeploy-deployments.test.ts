/** Deployment groups and deployments by the SDK: what they keep, tell and refuse. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CodeDeploy, type CreateDeploymentGroupCommandInput } from '@aws-sdk/client-codedeploy';
import { CreateAccessKeyCommand, CreateUserCommand, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { Rollouts, refused, s3 } from '../support/codedeploy.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let rollouts: Rollouts;
let api: CodeDeploy;

before(async () => {
  server = await startServer();
  rollouts = await Rollouts.open(server);
  api = new CodeDeploy(server.client);
});
after(async () => {
  api?.destroy();
  await rollouts?.close();
  await server?.stop();
});

let made = 0;
async function application(computePlatform: 'Server' | 'Lambda' | 'ECS' = 'Server'): Promise<string> {
  const applicationName = `App-${++made}`;
  await api.createApplication({ applicationName, computePlatform });
  return applicationName;
}

const group = (applicationName: string, more: Partial<CreateDeploymentGroupCommandInput> = {}) =>
  api.createDeploymentGroup({ applicationName, deploymentGroupName: 'Group', serviceRoleArn: rollouts.roleArn, ...more });

describe('deployment groups', () => {
  test('keep what they are given; an update leaves what it omits and takes away what it empties', async () => {
    const applicationName = await application();
    const filters = [{ Key: 'Role', Value: 'web', Type: 'KEY_AND_VALUE' as const }];
    const { deploymentGroupId } = await group(applicationName, {
      onPremisesInstanceTagFilters: filters,
      ec2TagSet: { ec2TagSetList: [[{ Key: 'Stage', Type: 'KEY_ONLY' }]] },
      autoRollbackConfiguration: { enabled: true, events: ['DEPLOYMENT_FAILURE'] },
      triggerConfigurations: [
        { triggerName: 't', triggerTargetArn: 'arn:aws:sns:us-east-1:123456789012:t', triggerEvents: ['DeploymentFailure'] },
      ],
      alarmConfiguration: { enabled: true, ignorePollAlarmFailure: true, alarms: [{ name: 'errors' }] },
      outdatedInstancesStrategy: 'IGNORE',
    });
    const get = async (deploymentGroupName: string) =>
      (await api.getDeploymentGroup({ applicationName, deploymentGroupName })).deploymentGroupInfo!;
    const first = await get('Group');
    assert.equal(first.deploymentGroupId, deploymentGroupId);
    assert.equal(first.deploymentConfigName, 'CodeDeployDefault.OneAtATime');
    assert.deepEqual(first.onPremisesInstanceTagFilters, filters);
    assert.deepEqual(first.deploymentStyle, { deploymentType: 'IN_PLACE', deploymentOption: 'WITHOUT_TRAFFIC_CONTROL' });
    const { hooksNotCleanedUp } = await api.updateDeploymentGroup({
      applicationName,
      currentDeploymentGroupName: 'Group',
      newDeploymentGroupName: 'Renamed',
      deploymentConfigName: 'CodeDeployDefault.AllAtOnce',
      triggerConfigurations: [],
      onPremisesTagSet: { onPremisesTagSetList: [filters] },
    });
    assert.deepEqual(hooksNotCleanedUp, []);
    const second = await get('Renamed');
    assert.equal(second.deploymentGroupId, deploymentGroupId);
    assert.equal(second.deploymentConfigName, 'CodeDeployDefault.AllAtOnce');
    assert.deepEqual(second.triggerConfigurations, []);
    assert.deepEqual(second.onPremisesInstanceTagFilters, []);
    assert.deepEqual(second.onPremisesTagSet, { onPremisesTagSetList: [filters] });
    assert.deepEqual(second.ec2TagSet, first.ec2TagSet);
    assert.deepEqual(second.autoRollbackConfiguration, first.autoRollbackConfiguration);
    assert.deepEqual((await api.listDeploymentGroups({ applicationName })).deploymentGroups, ['Renamed']);
    const batch = await api.batchGetDeploymentGroups({ applicationName, deploymentGroupNames: ['Renamed', 'Group'] });
    assert.equal(batch.deploymentGroupsInfo!.length, 1);
    assert.match(batch.errorMessage!, /Group/);
    await api.deleteDeploymentGroup({ applicationName, deploymentGroupName: 'Renamed' });
    await refused(get('Renamed'), 'DeploymentGroupDoesNotExistException');
  });

  const filter = { Key: 'a', Type: 'KEY_ONLY' as const };
  const wrong: [string, Partial<CreateDeploymentGroupCommandInput>, string][] = [
    ['both forms of EC2 tags', { ec2TagFilters: [filter], ec2TagSet: { ec2TagSetList: [[filter]] } }, 'InvalidEC2TagCombinationException'],
    [
      'both forms of on-premises tags',
      { onPremisesInstanceTagFilters: [filter], onPremisesTagSet: { onPremisesTagSetList: [[filter]] } },
      'InvalidOnPremisesTagCombinationException',
    ],
    [
      'four tag groups',
      { onPremisesTagSet: { onPremisesTagSetList: [[filter], [filter], [filter], [filter]] } },
      'TagSetListLimitExceededException',
    ],
    ['a filter without a key', { onPremisesInstanceTagFilters: [{ Type: 'KEY_ONLY' }] }, 'InvalidTagException'],
    ['an EC2 filter without a key', { ec2TagFilters: [{ Type: 'KEY_AND_VALUE', Value: 'x' }] }, 'InvalidEC2TagException'],
    [
      'a trigger without a topic',
      { triggerConfigurations: [{ triggerName: 't', triggerEvents: ['DeploymentStart'] }] },
      'InvalidTriggerConfigException',
    ],
    ['eleven triggers', { triggerConfigurations: Array(11).fill({ triggerName: 't' }) }, 'TriggerTargetsLimitExceededException'],
    ['alarms without an alarm', { alarmConfiguration: { enabled: true } }, 'InvalidAlarmConfigException'],
    ['eleven alarms', { alarmConfiguration: { alarms: Array(11).fill({ name: 'a' }) } }, 'AlarmsLimitExceededException'],
    ['rollback without an event', { autoRollbackConfiguration: { enabled: true } }, 'InvalidAutoRollbackConfigException'],
    ['an unknown configuration', { deploymentConfigName: 'Nope' }, 'DeploymentConfigDoesNotExistException'],
    [
      'a configuration for functions',
      { deploymentConfigName: 'CodeDeployDefault.LambdaAllAtOnce' },
      'InvalidDeploymentConfigNameException',
    ],
    ['a role that is none', { serviceRoleArn: 'deployer' }, 'InvalidRoleException'],
    ['a role that is not there', { serviceRoleArn: 'arn:aws:iam::123456789012:role/nobody' }, 'InvalidRoleException'],
    [
      'traffic control without a load balancer',
      { deploymentStyle: { deploymentOption: 'WITH_TRAFFIC_CONTROL' } },
      'InvalidLoadBalancerInfoException',
    ],
  ];
  for (const [what, input, error] of wrong) {
    test(`with ${what} are refused`, async () => refused(group(await application(), input), error));
  }

  const lacking: [string, Partial<CreateDeploymentGroupCommandInput>, string][] = [
    ['blue/green', { deploymentStyle: { deploymentType: 'BLUE_GREEN' } }, 'InvalidDeploymentStyleException'],
    ['load balancers', { loadBalancerInfo: { elbInfoList: [{ name: 'lb' }] } }, 'InvalidLoadBalancerInfoException'],
    ['Auto Scaling', { autoScalingGroups: ['asg'] }, 'InvalidAutoScalingGroupException'],
  ];
  for (const [what, input, error] of lacking) {
    test(`with ${what} are refused by the name of what Penstock lacks`, async () =>
      refused(group(await application(), input), error, /^Penstock/));
  }

  test('of other compute platforms are refused', async () => {
    await refused(group(await application('Lambda')), 'InvalidInputException', /Penstock/);
    await refused(group(await application('ECS')), 'InvalidInputException', /Penstock/);
  });

  test('have one name each, in an application that is there', async () => {
    const applicationName = await application();
    await group(applicationName);
    await refused(group(applicationName), 'DeploymentGroupAlreadyExistsException');
    await group(applicationName, { deploymentGroupName: 'Other' });
    const rename = { applicationName, currentDeploymentGroupName: 'Other', newDeploymentGroupName: 'Group' };
    await refused(api.updateDeploymentGroup(rename), 'DeploymentGroupAlreadyExistsException');
    await refused(group('nowhere'), 'ApplicationDoesNotExistException');
  });

  test('need iam:PassRole for the role', async () => {
    const applicationName = await application();
    await rollouts.iam.send(new CreateUserCommand({ UserName: 'deployer-only' }));
    const { AccessKey } = await rollouts.iam.send(new CreateAccessKeyCommand({ UserName: 'deployer-only' }));
    const allow = (PolicyName: string, Action: string, Resource: string) =>
      rollouts.iam.send(
        new PutUserPolicyCommand({
          UserName: 'deployer-only',
          PolicyName,
          PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource }] }),
        }),
      );
    await allow('deploy', 'codedeploy:*', '*');
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const limited = new CodeDeploy({ ...server.client, credentials });
    try {
      const create = () =>
        limited.createDeploymentGroup({ applicationName, deploymentGroupName: 'Group', serviceRoleArn: rollouts.roleArn });
      await refused(create(), 'AccessDeniedException', /iam:PassRole/);
      await allow('pass', 'iam:PassRole', rollouts.roleArn);
      await create();
    } finally {
      limited.destroy();
    }
  });
});

describe('deployments', () => {
  test('are listed by group, status and time', async () => {
    const applicationName = await application();
    await group(applicationName);
    const revision = await rollouts.revision('listed.zip');
    const ids: string[] = [];
    for (let count = 0; count < 2; count++) {
      const { deploymentId } = await api.createDeployment({ applicationName, deploymentGroupName: 'Group', revision });
      await rollouts.settled(deploymentId!);
      ids.unshift(deploymentId!);
    }
    const list = async (more: object) =>
      (await api.listDeployments({ applicationName, deploymentGroupName: 'Group', ...more })).deployments;
    assert.deepEqual(await list({}), ids);
    assert.deepEqual(await list({ includeOnlyStatuses: ['Failed'] }), ids);
    assert.deepEqual(await list({ includeOnlyStatuses: ['Succeeded', 'InProgress'] }), []);
    const { createTime } = await rollouts.deployment(ids[0]!);
    assert.deepEqual(await list({ createTimeRange: { start: createTime } }), [ids[0]]);
    assert.deepEqual((await api.listDeployments({ externalId: 'x' })).deployments, []);
    assert.ok((await api.listDeployments({})).deployments!.includes(ids[1]!));
    const { deploymentsInfo } = await api.batchGetDeployments({ deploymentIds: [...ids, 'd-000000000'] });
    assert.deepEqual(
      deploymentsInfo!.map(({ deploymentId }) => deploymentId),
      ids,
    );
    await refused(list({ createTimeRange: { start: new Date(2), end: new Date(1) } }), 'InvalidTimeRangeException');
    await refused(api.listDeployments({ applicationName }), 'DeploymentGroupNameRequiredException');
    await refused(api.listDeployments({ deploymentGroupName: 'Group' }), 'ApplicationNameRequiredException');
  });

  test('that cannot be are refused', async () => {
    const applicationName = await application();
    await group(applicationName);
    const create = (more: object) =>
      api.createDeployment({ applicationName, deploymentGroupName: 'Group', revision: s3('x.zip'), ...more });
    await refused(create({ applicationName: 'nowhere' }), 'ApplicationDoesNotExistException');
    await refused(create({ deploymentGroupName: 'nowhere' }), 'DeploymentGroupDoesNotExistException');
    await refused(create({ deploymentGroupName: undefined }), 'DeploymentGroupNameRequiredException');
    await refused(create({ revision: undefined }), 'RevisionRequiredException');
    await refused(create({ revision: { revisionType: 'S3' } }), 'InvalidRevisionException');
    await refused(create({ deploymentConfigName: 'nowhere' }), 'DeploymentConfigDoesNotExistException');
    await refused(create({ fileExistsBehavior: 'ASK' }), 'InvalidFileExistsBehaviorException');
    await refused(create({ targetInstances: { autoScalingGroups: ['x'] } }), 'InvalidTargetInstancesException');
    await refused(create({ deploymentMode: 'RESTART' }), 'InvalidInputException', /neither a revision/);
    await refused(create({ deploymentMode: 'RESTART', revision: undefined }), 'InvalidInputException', /no successful deployment/);
    await refused(create({ description: 'x'.repeat(1001) }), 'DescriptionTooLongException');
  });

  test('that are not there, and operations that are for other kinds, are refused', async () => {
    const unknown = 'd-AAAAAAAAA';
    for (const call of [
      () => api.getDeployment({ deploymentId: unknown }),
      () => api.stopDeployment({ deploymentId: unknown }),
      () => api.listDeploymentTargets({ deploymentId: unknown }),
      () => api.getDeploymentTarget({ deploymentId: unknown, targetId: 'x' }),
      () => api.getDeploymentInstance({ deploymentId: unknown, instanceId: 'x' }),
      () => api.continueDeployment({ deploymentId: unknown }),
    ]) {
      await refused(call(), 'DeploymentDoesNotExistException');
    }
    await refused(api.getDeployment({ deploymentId: 'x' }), 'InvalidDeploymentIdException');
    const applicationName = await application();
    await group(applicationName);
    const { deploymentId } = await api.createDeployment({ applicationName, deploymentGroupName: 'Group', revision: s3('x.zip') });
    await rollouts.settled(deploymentId!);
    for (const call of [
      () => api.continueDeployment({ deploymentId }),
      () => api.skipWaitTimeForInstanceTermination({ deploymentId }),
      () => api.putLifecycleEventHookExecutionStatus({ deploymentId, lifecycleEventHookExecutionId: 'x', status: 'Succeeded' }),
    ]) {
      await refused(call(), 'UnsupportedActionForDeploymentTypeException');
    }
    await refused(api.stopDeployment({ deploymentId: deploymentId! }), 'DeploymentAlreadyCompletedException');
  });

  test('tell of their targets in the newer and the older way', async () => {
    await rollouts.application('Told');
    const host = (await rollouts.host('told-1', { Fleet: 'Told' })).start();
    await rollouts.host('told-2', { Fleet: 'Told' });
    const deploymentId = await rollouts.deploy('Told', await rollouts.revision('told.zip'), {
      deploymentConfigName: 'CodeDeployDefault.AllAtOnce',
    });
    await rollouts.settled(deploymentId, ['InProgress']);
    while (host.seen.length < 7) await new Promise((resolve) => setTimeout(resolve, 20));
    while ((await rollouts.target(deploymentId, 'told-1')).status !== 'Succeeded') await new Promise((resolve) => setTimeout(resolve, 20));
    const targets = (targetFilters: object = {}) => api.listDeploymentTargets({ deploymentId, targetFilters });
    assert.deepEqual((await targets()).targetIds, ['told-1', 'told-2']);
    assert.deepEqual((await targets({ TargetStatus: ['InProgress'] })).targetIds, ['told-2']);
    await refused(targets({ TargetStatus: ['Lost'] }), 'InvalidInstanceStatusException');
    await refused(targets({ ServerInstanceLabel: ['Blue'] }), 'InvalidDeploymentInstanceTypeException');
    const { deploymentTargets } = await api.batchGetDeploymentTargets({ deploymentId, targetIds: ['told-2', 'told-1'] });
    assert.deepEqual(
      deploymentTargets!.map(({ instanceTarget }) => instanceTarget!.status),
      ['InProgress', 'Succeeded'],
    );
    await refused(api.getDeploymentTarget({ deploymentId, targetId: 'told-3' }), 'DeploymentTargetDoesNotExistException');
    await refused(
      api.batchGetDeploymentTargets({ deploymentId, targetIds: Array(26).fill('x') }),
      'DeploymentTargetListSizeExceededException',
    );
    const older = await api.listDeploymentInstances({ deploymentId, instanceStatusFilter: ['Succeeded'] });
    assert.deepEqual(older.instancesList, ['told-1']);
    const { instanceSummary } = await api.getDeploymentInstance({ deploymentId, instanceId: 'told-1' });
    assert.equal(instanceSummary!.lifecycleEvents!.length, 7);
    const some = await api.batchGetDeploymentInstances({ deploymentId, instanceIds: ['told-1', 'told-9'] });
    assert.equal(some.instancesSummary!.length, 1);
    assert.match(some.errorMessage!, /told-9/);
    await refused(api.getDeploymentInstance({ deploymentId, instanceId: 'told-9' }), 'InstanceDoesNotExistException');
    await api.stopDeployment({ deploymentId });
    await rollouts.settled(deploymentId);
  });
});
