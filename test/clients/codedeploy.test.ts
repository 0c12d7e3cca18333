/** CodeDeploy's records by the SDK: applications, revisions, configurations, instances, tags, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CodeDeploy, CodeDeployClient, type CreateDeploymentGroupCommandInput } from '@aws-sdk/client-codedeploy';
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

describe('applications', () => {
  test('are made, found, listed, renamed and deleted', async () => {
    const { applicationId } = await api.createApplication({ applicationName: 'Shop', tags: [{ Key: 'Team', Value: 'a' }] });
    const { application: info } = await api.getApplication({ applicationName: 'Shop' });
    assert.equal(info!.applicationId, applicationId);
    assert.deepEqual([info!.computePlatform, info!.linkedToGitHub], ['Server', false]);
    await api.updateApplication({ applicationName: 'Shop', newApplicationName: 'Store' });
    assert.equal((await api.getApplication({ applicationName: 'Store' })).application!.applicationId, applicationId);
    await refused(
      api.getApplication({ applicationName: 'Shop' }),
      'ApplicationDoesNotExistException',
      /No application found for name: Shop/,
    );
    const { applicationsInfo } = await api.batchGetApplications({ applicationNames: ['Store', 'Store'] });
    assert.equal(applicationsInfo!.length, 1);
    await api.deleteApplication({ applicationName: 'Store' });
    await api.deleteApplication({ applicationName: 'Store' });
    assert.equal((await api.listApplications({})).applications!.includes('Store'), false);
  });

  test('have one name each', async () => {
    const name = await application();
    const other = await application();
    await refused(api.createApplication({ applicationName: name }), 'ApplicationAlreadyExistsException');
    await refused(api.updateApplication({ applicationName: other, newApplicationName: name }), 'ApplicationAlreadyExistsException');
    await refused(api.updateApplication({ newApplicationName: 'x' }), 'ApplicationNameRequiredException');
  });

  test('with bad names and tags are refused as AWS does', async () => {
    await refused(api.createApplication({ applicationName: 'a b' }), 'InvalidApplicationNameException');
    await refused(api.createApplication({ applicationName: 'a'.repeat(101) }), 'InvalidApplicationNameException');
    await refused(api.createApplication({ applicationName: undefined as never }), 'ApplicationNameRequiredException');
    await refused(api.createApplication({ applicationName: 'x', computePlatform: 'Moon' as never }), 'InvalidComputePlatformException');
    await refused(api.createApplication({ applicationName: 'x', tags: [{ Key: 'aws:x', Value: '' }] }), 'InvalidTagsToAddException');
    await refused(api.batchGetApplications({ applicationNames: Array(101).fill('x') }), 'BatchLimitExceededException');
    await refused(api.batchGetApplications({ applicationNames: ['nope'] }), 'ApplicationDoesNotExistException');
  });

  test('are listed page by page, by tokens that fit only their list', async () => {
    const names = Array.from({ length: 130 }, (_, index) => `Paged-${String(index).padStart(3, '0')}`);
    await Promise.all(names.map((applicationName) => api.createApplication({ applicationName })));
    const seen: string[] = [];
    let nextToken: string | undefined;
    do {
      const page = await api.listApplications({ nextToken });
      assert.ok(page.applications!.length <= 100);
      seen.push(...page.applications!);
      nextToken = page.nextToken ?? nextToken;
      if (!page.nextToken) break;
    } while (nextToken);
    assert.deepEqual(
      seen.filter((name) => name.startsWith('Paged-')),
      names,
    );
    await refused(api.listDeploymentConfigs({ nextToken }), 'InvalidNextTokenException');
    await refused(api.listApplications({ nextToken: 'x' }), 'InvalidNextTokenException');
    await Promise.all(names.map((applicationName) => api.deleteApplication({ applicationName })));
  });
});

describe('revisions', () => {
  test('are registered, found and listed by bucket, prefix, time and deployment', async () => {
    const applicationName = await application();
    await group(applicationName);
    for (const key of ['a/1.zip', 'a/2.zip', 'b/1.zip']) {
      await api.registerApplicationRevision({ applicationName, revision: s3(key), description: key });
    }
    const commitId = 'f'.repeat(40);
    const gitHub = { revisionType: 'GitHub' as const, gitHubLocation: { repository: 'me/app', commitId } };
    await api.registerApplicationRevision({ applicationName, revision: gitHub });
    const keys = async (more: object) =>
      (await api.listApplicationRevisions({ applicationName, ...more })).revisions!.map(
        (one) => one.s3Location?.key ?? one.gitHubLocation!.repository,
      );
    assert.deepEqual(await keys({ sortBy: 'registerTime' }), ['a/1.zip', 'a/2.zip', 'b/1.zip', 'me/app']);
    assert.deepEqual(await keys({ sortBy: 'registerTime', sortOrder: 'descending' }), ['me/app', 'b/1.zip', 'a/2.zip', 'a/1.zip']);
    assert.deepEqual(await keys({ s3Bucket: 'revisions', s3KeyPrefix: 'a/', sortBy: 'registerTime' }), ['a/1.zip', 'a/2.zip']);
    assert.deepEqual(await keys({ s3Bucket: 'other' }), []);
    await refused(keys({ s3KeyPrefix: 'a/' }), 'BucketNameFilterRequiredException');

    const { revisionInfo } = await api.getApplicationRevision({ applicationName, revision: s3('a/1.zip') });
    assert.deepEqual([revisionInfo!.description, revisionInfo!.firstUsedTime, revisionInfo!.deploymentGroups], ['a/1.zip', undefined, []]);
    await rollouts.revision('a/2.zip');
    const { deploymentId } = await api.createDeployment({ applicationName, deploymentGroupName: 'Group', revision: s3('a/2.zip') });
    assert.deepEqual(await keys({ deployed: 'include' }), ['a/2.zip']);
    assert.equal((await keys({ deployed: 'exclude' })).length, 3);
    const used = (await api.getApplicationRevision({ applicationName, revision: s3('a/2.zip') })).revisionInfo!;
    assert.deepEqual(used.deploymentGroups, ['Group']);
    assert.deepEqual(used.firstUsedTime, used.lastUsedTime);
    await rollouts.settled(deploymentId!);

    const both = await api.batchGetApplicationRevisions({ applicationName, revisions: [s3('b/1.zip'), s3('nowhere.zip')] });
    assert.equal(both.revisions!.length, 1);
    assert.match(both.errorMessage!, /nowhere\.zip/);
    await refused(api.getApplicationRevision({ applicationName, revision: s3('nowhere.zip') }), 'RevisionDoesNotExistException');
  });

  test('are registered by the deployment that first names them', async () => {
    const applicationName = await application();
    await group(applicationName);
    const { deploymentId } = await api.createDeployment({ applicationName, deploymentGroupName: 'Group', revision: s3('implicit.zip') });
    const { revisionInfo } = await api.getApplicationRevision({ applicationName, revision: s3('implicit.zip') });
    assert.ok(revisionInfo!.firstUsedTime);
    await rollouts.settled(deploymentId!);
  });

  test('that are none are refused', async () => {
    const applicationName = await application();
    const register = (revision: object) => api.registerApplicationRevision({ applicationName, revision });
    await refused(register({}), 'InvalidRevisionException');
    await refused(register({ revisionType: 'S3' }), 'InvalidRevisionException');
    await refused(register(s3('k', { bundleType: undefined })), 'InvalidRevisionException');
    await refused(register(s3('k', { bundleType: 'JSON' })), 'InvalidRevisionException');
    await refused(register({ revisionType: 'GitHub', gitHubLocation: { repository: 'a', commitId: 'b' } }), 'InvalidRevisionException');
    await refused(register({ revisionType: 'String', string: { content: 'x' } }), 'InvalidRevisionException');
    const tooLong = { applicationName, revision: s3('k'), description: 'x'.repeat(1001) };
    await refused(api.registerApplicationRevision(tooLong), 'DescriptionTooLongException');
  });
});

describe('deployment configurations', () => {
  test('that AWS defines are there', async () => {
    const { deploymentConfigInfo } = await api.getDeploymentConfig({ deploymentConfigName: 'CodeDeployDefault.HalfAtATime' });
    assert.deepEqual(deploymentConfigInfo!.minimumHealthyHosts, { type: 'FLEET_PERCENT', value: 50 });
    const { deploymentConfigsList } = await api.listDeploymentConfigs({});
    for (const name of [
      'OneAtATime',
      'AllAtOnce',
      'LambdaCanary10Percent30Minutes',
      'LambdaLinear10PercentEvery1Minute',
      'ECSLinear10PercentEvery3Minutes',
    ]) {
      assert.ok(deploymentConfigsList!.includes(`CodeDeployDefault.${name}`), name);
    }
    assert.equal(deploymentConfigsList!.length, 17);
  });

  test('are made, used and deleted', async () => {
    const deploymentConfigName = 'ThreeQuarters';
    const minimumHealthyHosts = { type: 'FLEET_PERCENT' as const, value: 75 };
    const { deploymentConfigId } = await api.createDeploymentConfig({ deploymentConfigName, minimumHealthyHosts });
    const { deploymentConfigInfo } = await api.getDeploymentConfig({ deploymentConfigName });
    assert.equal(deploymentConfigInfo!.deploymentConfigId, deploymentConfigId);
    await refused(api.createDeploymentConfig({ deploymentConfigName, minimumHealthyHosts }), 'DeploymentConfigAlreadyExistsException');
    const applicationName = await application();
    await group(applicationName, { deploymentConfigName });
    await refused(api.deleteDeploymentConfig({ deploymentConfigName }), 'DeploymentConfigInUseException');
    await api.deleteApplication({ applicationName });
    await api.deleteDeploymentConfig({ deploymentConfigName });
    await refused(api.getDeploymentConfig({ deploymentConfigName }), 'DeploymentConfigDoesNotExistException');
  });

  test('that make no sense are refused', async () => {
    const create = (more: object) => api.createDeploymentConfig({ deploymentConfigName: 'Odd', ...more });
    const hosts = { minimumHealthyHosts: { type: 'HOST_COUNT', value: 1 } };
    await refused(create({}), 'InvalidMinimumHealthyHostValueException');
    await refused(create({ minimumHealthyHosts: { type: 'HOST_COUNT' } }), 'InvalidMinimumHealthyHostValueException');
    await refused(create({ minimumHealthyHosts: { type: 'FLEET_PERCENT', value: 101 } }), 'InvalidMinimumHealthyHostValueException');
    await refused(create({ minimumHealthyHosts: { type: 'HOST_COUNT', value: -1 } }), 'InvalidMinimumHealthyHostValueException');
    await refused(create({ ...hosts, trafficRoutingConfig: { type: 'AllAtOnce' } }), 'InvalidTrafficRoutingConfigurationException');
    await refused(create({ computePlatform: 'Lambda' }), 'InvalidTrafficRoutingConfigurationException');
    const canary = { type: 'TimeBasedCanary', timeBasedCanary: { canaryPercentage: 100, canaryInterval: 5 } };
    await refused(create({ computePlatform: 'ECS', trafficRoutingConfig: canary }), 'InvalidTrafficRoutingConfigurationException');
    await refused(create({ ...hosts, zonalConfig: { monitorDurationInSeconds: -1 } }), 'InvalidZonalDeploymentConfigurationException');
    await refused(
      api.createDeploymentConfig({ deploymentConfigName: 'CodeDeployDefault.Mine', ...hosts } as never),
      'InvalidDeploymentConfigNameException',
    );
    await refused(api.deleteDeploymentConfig({ deploymentConfigName: 'CodeDeployDefault.AllAtOnce' }), 'InvalidOperationException');
  });
});

describe('on-premises instances', () => {
  const userArn = (name: string) => `arn:aws:iam::${server.account}:user/${name}`;

  test('are registered, tagged, listed and deregistered', async () => {
    await api.registerOnPremisesInstance({ instanceName: 'box-a', iamUserArn: userArn('box-a') });
    const sessionArn = `arn:aws:sts::${server.account}:assumed-role/hosts/box-b`;
    await api.registerOnPremisesInstance({ instanceName: 'box-b', iamSessionArn: sessionArn });
    await api.addTagsToOnPremisesInstances({ instanceNames: ['box-a', 'box-b'], tags: [{ Key: 'Rack', Value: '7' }, { Key: 'Old' }] });
    await api.removeTagsFromOnPremisesInstances({ instanceNames: ['box-b'], tags: [{ Key: 'Old' }, { Key: 'Rack', Value: '8' }] });
    const { instanceInfo } = await api.getOnPremisesInstance({ instanceName: 'box-b' });
    assert.deepEqual(instanceInfo!.tags, [{ Key: 'Rack', Value: '7' }]);
    assert.equal(instanceInfo!.iamSessionArn, sessionArn);
    assert.match(instanceInfo!.instanceArn!, /:instance\/box-b_\w{10}$/);
    const listed = async (more: object) =>
      (await api.listOnPremisesInstances(more)).instanceNames!.filter((name) => name.startsWith('box-'));
    assert.deepEqual(await listed({ tagFilters: [{ Key: 'Old', Type: 'KEY_ONLY' }] }), ['box-a']);
    assert.deepEqual(await listed({ tagFilters: [{ Value: '7', Type: 'VALUE_ONLY' }] }), ['box-a', 'box-b']);
    await api.deregisterOnPremisesInstance({ instanceName: 'box-a' });
    assert.deepEqual(await listed({ registrationStatus: 'Registered' }), ['box-b']);
    assert.deepEqual(await listed({ registrationStatus: 'Deregistered' }), ['box-a']);
    const { instanceInfos } = await api.batchGetOnPremisesInstances({ instanceNames: ['box-a', 'box-b', 'box-c'] });
    assert.deepEqual(
      instanceInfos!.map(({ instanceName, deregisterTime }) => [instanceName, deregisterTime !== undefined]),
      [
        ['box-a', true],
        ['box-b', false],
      ],
    );
    // A name and an identity that were given back may be used again.
    await api.registerOnPremisesInstance({ instanceName: 'box-a', iamUserArn: userArn('box-a') });
    assert.deepEqual((await api.getOnPremisesInstance({ instanceName: 'box-a' })).instanceInfo!.tags, []);
  });

  test('have a name and an identity of their own', async () => {
    const register = (instanceName: string, more: object) => api.registerOnPremisesInstance({ instanceName, ...more });
    await register('own', { iamUserArn: userArn('own') });
    await refused(register('own', { iamUserArn: userArn('other') }), 'InstanceNameAlreadyRegisteredException');
    await refused(register('other', { iamUserArn: userArn('own') }), 'IamUserArnAlreadyRegisteredException');
    await refused(register('other', {}), 'IamArnRequiredException');
    await refused(register('other', { iamUserArn: userArn('a'), iamSessionArn: 'b' }), 'MultipleIamArnsProvidedException');
    await refused(register('other', { iamUserArn: 'arn:aws:iam::999999999999:user/x' }), 'InvalidIamUserArnException');
    await refused(register('other', { iamSessionArn: userArn('x') }), 'InvalidIamSessionArnException');
    await refused(register('', { iamUserArn: userArn('x') }), 'InstanceNameRequiredException');
    await refused(register('a/b', { iamUserArn: userArn('x') }), 'InvalidInstanceNameException');
    await refused(api.getOnPremisesInstance({ instanceName: 'unknown' }), 'InstanceNotRegisteredException');
  });

  test('have up to ten tags', async () => {
    await api.registerOnPremisesInstance({ instanceName: 'tagged', iamUserArn: userArn('tagged') });
    const tags = (count: number) => Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value: 'v' }));
    const add = (instanceNames: string[], count: number) => api.addTagsToOnPremisesInstances({ instanceNames, tags: tags(count) });
    await add(['tagged'], 10);
    await refused(add(['tagged'], 11), 'TagLimitExceededException');
    await refused(add(['tagged'], 0), 'TagRequiredException');
    await refused(add([], 1), 'InstanceNameRequiredException');
    await refused(add(['tagged', 'unknown'], 1), 'InstanceNotRegisteredException');
    await refused(api.addTagsToOnPremisesInstances({ instanceNames: ['tagged'], tags: [{ Value: 'x' }] }), 'InvalidTagException');
  });
});

describe('tags of resources', () => {
  test('are added and taken from applications and groups', async () => {
    const applicationName = await application();
    await group(applicationName, { tags: [{ Key: 'Made', Value: 'with' }] });
    const arn = (rest: string) => `arn:aws:codedeploy:${server.region}:${server.account}:${rest}`;
    const ofGroup = arn(`deploymentgroup:${applicationName}/Group`);
    await api.tagResource({ ResourceArn: ofGroup, Tags: [{ Key: 'Stage', Value: 'prod' }] });
    await api.untagResource({ ResourceArn: ofGroup, TagKeys: ['Made', 'Never'] });
    assert.deepEqual((await api.listTagsForResource({ ResourceArn: ofGroup })).Tags, [{ Key: 'Stage', Value: 'prod' }]);
    const ofApplication = arn(`application:${applicationName}`);
    await api.tagResource({ ResourceArn: ofApplication, Tags: [{ Key: 'a', Value: 'b' }] });
    assert.deepEqual((await api.listTagsForResource({ ResourceArn: ofApplication })).Tags, [{ Key: 'a', Value: 'b' }]);
    await refused(api.listTagsForResource({ ResourceArn: arn('deploymentconfig:x') }), 'ArnNotSupportedException');
    await refused(api.listTagsForResource({ ResourceArn: 'application:x' }), 'InvalidArnException');
    await refused(api.tagResource({ ResourceArn: arn('application:nowhere'), Tags: [{ Key: 'a' }] }), 'ApplicationDoesNotExistException');
    await refused(api.tagResource({ ResourceArn: ofApplication, Tags: [] }), 'TagRequiredException');
  });

  test('decide what a policy allows', async () => {
    const mine = await application();
    const theirs = await application();
    const arn = `arn:aws:codedeploy:${server.region}:${server.account}:application:${mine}`;
    await api.tagResource({ ResourceArn: arn, Tags: [{ Key: 'Owner', Value: 'me' }] });
    await rollouts.iam.send(new CreateUserCommand({ UserName: 'tag-reader' }));
    const { AccessKey } = await rollouts.iam.send(new CreateAccessKeyCommand({ UserName: 'tag-reader' }));
    const Condition = { StringEquals: { 'aws:ResourceTag/Owner': 'me' } };
    const Statement = [{ Effect: 'Allow', Action: 'codedeploy:GetApplication', Resource: '*', Condition }];
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await rollouts.iam.send(new PutUserPolicyCommand({ UserName: 'tag-reader', PolicyName: 'own', PolicyDocument }));
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const limited = new CodeDeploy({ ...server.client, credentials });
    try {
      await limited.getApplication({ applicationName: mine });
      await refused(limited.getApplication({ applicationName: theirs }), 'AccessDeniedException');
    } finally {
      limited.destroy();
    }
  });
});

test('there are no GitHub tokens and nothing with an external id', async () => {
  assert.deepEqual((await api.listGitHubAccountTokenNames({})).tokenNameList, []);
  await refused(api.deleteGitHubAccountToken({ tokenName: 'mine' }), 'GitHubAccountTokenDoesNotExistException');
  await refused(api.deleteGitHubAccountToken({}), 'GitHubAccountTokenNameRequiredException');
  await api.deleteResourcesByExternalId({ externalId: 'x' });
});

test('what is of one region or account is not of another', async () => {
  const applicationName = await application();
  const elsewhere = new CodeDeployClient({ ...server.client, region: 'eu-central-1' });
  const { GetApplicationCommand } = await import('@aws-sdk/client-codedeploy');
  await refused(elsewhere.send(new GetApplicationCommand({ applicationName })), 'ApplicationDoesNotExistException');
  elsewhere.destroy();
});
