/** The engine on a real database, with the time in our hands: what cannot wait for five minutes or eight hours. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../../test/support/platform.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Service } from '../../../platform/service.ts';
import { SignalHub } from '../../../platform/signals.ts';
import { codedeploy, codedeployCommands } from '../service.ts';
import { onAlarmChange } from './alarms.ts';
import { deploymentReconciler } from './reconcile.ts';

const ME = 'arn:aws:iam::123456789012:user/tester';
const MINUTE = 60_000;

const both: Service = { ...codedeploy, operations: { ...codedeploy.operations, ...codedeployCommands.operations } };
let opened: TestPlatform;
let now = new Date('2026-11-22T10:00:00Z');
let headObject: () => Promise<object> = async () => ({});
let alarms: { AlarmName: string; StateValue: string }[] = [];
let applications = 0;
let application = '';

before(async () => {
  const describeAlarms = async () => ({ MetricAlarms: alarms });
  const aws = { as: async () => ({ s3: { headObject: () => headObject() }, cloudwatch: { describeAlarms } }) };
  opened = await openPlatform(both, { aws: aws as never, now: () => now, signals: new SignalHub() });
});
after(() => opened[Symbol.asyncDispose]());

const call: TestPlatform['call'] = (service, operation, input) => opened.call(service, operation, input);
const later = (ms: number): void => {
  now = new Date(now.getTime() + ms);
};
const reconcile = (id: string) => deploymentReconciler.run(opened.platform, id, AbortSignal.timeout(60_000));

/** Instances of a fresh application; `mine` is the one that the commands' caller is the host of. */
async function fleet(names: string[], mine?: string): Promise<void> {
  for (const name of (await call('codedeploy', 'ListOnPremisesInstances', { registrationStatus: 'Registered' })).instanceNames!) {
    await call('codedeploy', 'DeregisterOnPremisesInstance', { instanceName: name });
  }
  for (const id of await deploymentReconciler.pending(opened.platform)) await reconcile(id);
  for (const name of names) {
    const iamUserArn = name === mine ? ME : `arn:aws:iam::123456789012:user/${name}`;
    await call('codedeploy', 'RegisterOnPremisesInstance', { instanceName: name, iamUserArn });
  }
  if (names.length > 0) {
    await call('codedeploy', 'AddTagsToOnPremisesInstances', { instanceNames: names, tags: [{ Key: 'Fleet', Value: application }] });
  }
}

async function deploy(more: object = {}): Promise<string> {
  const { deploymentId } = await call('codedeploy', 'CreateDeployment', {
    applicationName: application,
    deploymentGroupName: 'Fleet',
    deploymentConfigName: 'CodeDeployDefault.AllAtOnce',
    revision: { revisionType: 'S3', s3Location: { bucket: 'b', key: 'k', bundleType: 'zip' } },
    ...more,
  });
  return deploymentId!;
}

const info = async (deploymentId: string) => (await call('codedeploy', 'GetDeployment', { deploymentId })).deploymentInfo!;
const target = async (deploymentId: string, targetId: string) =>
  (await call('codedeploy', 'GetDeploymentTarget', { deploymentId, targetId })).deploymentTarget!.instanceTarget!;
async function poll(): Promise<{ id: string; name: string }> {
  const { HostCommand } = await call('codedeploy-commands', 'PollHostCommand', { HostIdentifier: ME });
  return { id: HostCommand!.HostCommandIdentifier!, name: HostCommand!.CommandName! };
}
const acknowledge = (HostCommandIdentifier: string) =>
  call('codedeploy-commands', 'PutHostCommandAcknowledgement', {
    HostCommandIdentifier,
    Diagnostics: { Format: 'JSON', Payload: '{"IsCommandNoop":false}' },
  });
const complete = (HostCommandIdentifier: string, CommandStatus: 'Succeeded' | 'Failed' = 'Succeeded') =>
  call('codedeploy-commands', 'PutHostCommandComplete', { HostCommandIdentifier, CommandStatus });
const statuses = async (deploymentId: string, targetId: string) =>
  (await target(deploymentId, targetId)).lifecycleEvents!.map(({ status }) => status).join(' ');

beforeEach(async () => {
  headObject = async () => ({});
  application = `App${++applications}`;
  await call('codedeploy', 'CreateApplication', { applicationName: application });
  await call('codedeploy', 'CreateDeploymentGroup', {
    applicationName: application,
    deploymentGroupName: 'Fleet',
    serviceRoleArn: 'arn:aws:iam::123456789012:role/deployer',
    onPremisesInstanceTagFilters: [{ Key: 'Fleet', Value: application, Type: 'KEY_AND_VALUE' }],
  });
});

describe('time-outs', () => {
  test('a command that no agent takes fails after five minutes, and says that no agent was ever seen', async () => {
    await fleet(['quiet']);
    const id = await deploy();
    await reconcile(id);
    later(5 * MINUTE - 1);
    await reconcile(id);
    assert.equal((await info(id)).status, 'InProgress');
    later(1);
    await reconcile(id);
    await reconcile(id);
    const { status, errorInformation } = await info(id);
    assert.equal(status, 'Failed');
    assert.equal(errorInformation!.code, 'AGENT_ISSUE');
    assert.match(
      errorInformation!.message!,
      /On quiet: CodeDeploy agent was not able to receive the lifecycle event.* No agent of this host has ever been seen/,
    );
    assert.equal(await statuses(id, 'quiet'), 'Failed Skipped Skipped Skipped Skipped Skipped Skipped');
  });

  test('an agent that went away is named with the time it was last seen', async () => {
    await fleet(['here'], 'here');
    const id = await deploy();
    await reconcile(id);
    const seen = now;
    const command = await poll();
    later(5 * MINUTE);
    await reconcile(id);
    const [event] = (await target(id, 'here')).lifecycleEvents!;
    assert.match(event!.diagnostics!.message!, new RegExp(`last seen at ${seen.toISOString()}`));
    // Whoever comes too late is told that there is nothing left to do.
    assert.equal((await acknowledge(command.id)).CommandStatus, 'Failed');
    await complete(command.id);
    assert.equal((await target(id, 'here')).status, 'Failed');
  });

  test('a command that was begun may take an hour, not more', async () => {
    await fleet(['slow'], 'slow');
    const id = await deploy();
    await reconcile(id);
    const command = await poll();
    await acknowledge(command.id);
    later(59 * MINUTE);
    await reconcile(id);
    assert.equal((await info(id)).status, 'InProgress');
    later(MINUTE);
    await reconcile(id);
    const [event] = (await target(id, 'slow')).lifecycleEvents!;
    assert.equal(event!.diagnostics!.errorCode, 'ScriptTimedOut');
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'HEALTH_CONSTRAINTS');
  });

  test('a whole deployment may take eight hours', async () => {
    await fleet(['eternal'], 'eternal');
    const id = await deploy();
    await reconcile(id);
    for (let event = 0; event < 6; event++) {
      const command = await poll();
      await acknowledge(command.id);
      later(59 * MINUTE);
      await complete(command.id);
    }
    const last = await poll();
    await acknowledge(last.id);
    later(3 * 60 * MINUTE);
    await reconcile(id);
    const { status, errorInformation } = await info(id);
    assert.equal(status, 'Failed');
    assert.equal(errorInformation!.code, 'TIMEOUT');
  });
});

describe('handing out commands', () => {
  test('one that was handed out but not acknowledged comes again, later', async () => {
    await fleet(['lossy'], 'lossy');
    const id = await deploy();
    await reconcile(id);
    const first = await poll();
    later(15_000);
    const again = await poll();
    assert.equal(again.id, first.id);
    await acknowledge(again.id);
    assert.equal((await acknowledge(again.id)).CommandStatus, 'InProgress');
    await complete(again.id);
    assert.equal((await poll()).name, 'DownloadBundle');
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
  });

  test('completing twice, or as something else the second time, changes nothing', async () => {
    await fleet(['twice'], 'twice');
    const id = await deploy();
    await reconcile(id);
    const command = await poll();
    await acknowledge(command.id);
    await Promise.all(Array.from({ length: 8 }, () => complete(command.id)));
    await complete(command.id, 'Failed');
    assert.equal(await statuses(id, 'twice'), 'Succeeded Pending Pending Pending Pending Pending Pending');
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
    assert.equal(await statuses(id, 'twice'), 'Succeeded Skipped Skipped Skipped Skipped Skipped Skipped');
    assert.equal((await info(id)).status, 'Stopped');
  });

  test('ids that are none, or of others, are refused', async () => {
    for (const id of ['', 'x', '00000000-0000-0000-0000-000000000000', "'; drop table codedeploy.events; --"]) {
      await assert.rejects(acknowledge(id), { code: 'ClientException' });
      await assert.rejects(complete(id), { code: 'ClientException' });
    }
    for (const execution of ['a/b/c/d', 'a/b/c/999999999999', '123456789012/g/d-000000000/-1', 'a/b/c/1e3']) {
      const input = { DeploymentExecutionId: execution, HostIdentifier: ME };
      await fleet(['asking'], 'asking');
      await assert.rejects(call('codedeploy-commands', 'GetDeploymentSpecification', input), { code: 'ClientException' });
    }
  });

  test('an event that was not queued yet cannot be completed ahead of its turn', async () => {
    await fleet(['eager'], 'eager');
    const id = await deploy();
    await reconcile(id);
    const rows = await opened.platform.read
      .selectFrom('codedeploy.events')
      .select(['command_id'])
      .where('deployment_id', '=', id)
      .where('position', '=', 3)
      .execute();
    await assert.rejects(complete(rows[0]!.command_id), { code: 'ClientException' });
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
  });
});

describe('what changes while a deployment runs', () => {
  test('a deregistered instance is left behind and counts for nothing', async () => {
    await fleet(['stays', 'goes'], 'stays');
    const id = await deploy({ deploymentConfigName: 'CodeDeployDefault.AllAtOnce' });
    await reconcile(id);
    await call('codedeploy', 'DeregisterOnPremisesInstance', { instanceName: 'goes' });
    await reconcile(id);
    for (let event = 0; event < 7; event++) {
      const command = await poll();
      await acknowledge(command.id);
      await complete(command.id);
    }
    await reconcile(id);
    const { status, deploymentOverview } = await info(id);
    assert.equal(status, 'Succeeded');
    assert.deepEqual([deploymentOverview!.Succeeded, deploymentOverview!.Skipped], [1, 1]);
  });

  test('an instance that was registered anew under its name is another one', async () => {
    await fleet(['again'], 'again');
    const id = await deploy();
    await reconcile(id);
    await call('codedeploy', 'DeregisterOnPremisesInstance', { instanceName: 'again' });
    await call('codedeploy', 'RegisterOnPremisesInstance', { instanceName: 'again', iamUserArn: ME });
    await reconcile(id);
    await reconcile(id);
    assert.equal((await info(id)).status, 'Failed');
    assert.equal((await target(id, 'again')).status, 'Skipped');
  });

  test('a deleted group ends it', async () => {
    await fleet(['orphan']);
    const id = await deploy();
    await reconcile(id);
    await call('codedeploy', 'DeleteDeploymentGroup', { applicationName: application, deploymentGroupName: 'Fleet' });
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'DEPLOYMENT_GROUP_MISSING');
    assert.equal((await target(id, 'orphan')).status, 'Failed');
  });

  test('a deleted application ends a deployment that has not begun', async () => {
    const id = await deploy();
    await call('codedeploy', 'DeleteApplication', { applicationName: application });
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'APPLICATION_MISSING');
  });

  test('an outage outside is tried again, not blamed on the deployment', async () => {
    await fleet(['patient']);
    headObject = async () => {
      throw new Error('connect ECONNREFUSED');
    };
    const id = await deploy();
    await assert.rejects(reconcile(id), /ECONNREFUSED/);
    assert.equal((await info(id)).status, 'Queued');
    headObject = async () => ({});
    await reconcile(id);
    assert.equal((await info(id)).status, 'InProgress');
  });

  test('a role that may not look at the revision is no reason to fail; a revision that has changed is', async () => {
    await fleet(['looking']);
    headObject = async () => {
      throw new AwsError('AccessDenied', 'Access Denied', { status: 403 });
    };
    const id = await deploy();
    await reconcile(id);
    assert.equal((await info(id)).status, 'InProgress');
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
    headObject = async () => ({ ETag: '"now"' });
    const location = { bucket: 'b', key: 'k', bundleType: 'zip' as const, eTag: 'then' };
    const changed = await deploy({ revision: { revisionType: 'S3', s3Location: location } });
    await reconcile(changed);
    const { errorInformation } = await info(changed);
    assert.equal(errorInformation!.code, 'REVISION_MISSING');
    assert.match(errorInformation!.message!, /ETag is now, not then/);
  });
});

describe('the reconciler', () => {
  test('run by many at once begins each target once', async () => {
    await fleet(['a', 'b', 'c', 'd', 'e']);
    const id = await deploy({ deploymentConfigName: 'CodeDeployDefault.HalfAtATime' });
    await opened.clearJobs();
    await Promise.all(Array.from({ length: 6 }, () => reconcile(id)));
    const { deploymentOverview } = await info(id);
    assert.deepEqual([deploymentOverview!.InProgress, deploymentOverview!.Pending], [2, 3]);
    const states = (await opened.jobs())
      .filter(({ task }) => task === 'events.deliver')
      .map(({ payload }) => `${payload.detail.instanceId ?? 'all'} ${payload.detail.state}`);
    assert.deepEqual(states.sort(), ['a START', 'all START', 'b START']);
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
    assert.equal((await deploymentReconciler.pending(opened.platform)).includes(id), false);
  });

  test('an alarm that goes off stops the deployment, and takes back what was not begun', async () => {
    await fleet(['first', 'second'], 'first');
    alarms = [{ AlarmName: 'errors', StateValue: 'OK' }];
    const overrideAlarmConfiguration = { enabled: true, alarms: [{ name: 'errors' }] };
    const id = await deploy({ overrideAlarmConfiguration, deploymentConfigName: 'CodeDeployDefault.OneAtATime' });
    await reconcile(id);
    const command = await poll();
    await acknowledge(command.id);
    alarms = [{ AlarmName: 'errors', StateValue: 'ALARM' }];
    await opened.clearJobs();
    const event = { account: '123456789012', region: 'us-east-1', detail: { alarmName: 'errors', state: { value: 'ALARM' } } };
    await onAlarmChange(opened.platform, event, { attempt: 1, maxAttempts: 1, signal: AbortSignal.timeout(60_000) });
    assert.deepEqual(
      (await opened.jobs()).map(({ payload }) => payload.id),
      [id],
    );
    await reconcile(id);
    assert.equal((await info(id)).status, 'InProgress', 'a command that a host has begun is waited for');
    await complete(command.id);
    await reconcile(id);
    const { status, errorInformation } = await info(id);
    assert.deepEqual([status, errorInformation!.code], ['Stopped', 'ALARM_ACTIVE']);
    assert.match(errorInformation!.message!, /in the state ALARM: errors/);
    assert.equal((await target(id, 'second')).status, 'Skipped');
    alarms = [];
  });

  test('an enabled alarm that cannot be read stops the deployment unless told to ignore that', async () => {
    await fleet(['alarmed']);
    const overrideAlarmConfiguration = { enabled: true, alarms: [{ name: 'errors' }] };
    const id = await deploy({ overrideAlarmConfiguration });
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'ALARM_ACTIVE');
    const ignoring = await deploy({ overrideAlarmConfiguration: { ...overrideAlarmConfiguration, ignorePollAlarmFailure: true } });
    await reconcile(ignoring);
    assert.equal((await info(ignoring)).status, 'InProgress');
    await call('codedeploy', 'StopDeployment', { deploymentId: ignoring });
    await reconcile(ignoring);
  });

  test('more healthy hosts than there are can never be kept', async () => {
    await fleet(['one', 'two']);
    await call('codedeploy', 'CreateDeploymentConfig', {
      deploymentConfigName: `Two${applications}`,
      minimumHealthyHosts: { type: 'HOST_COUNT', value: 2 },
    });
    const id = await deploy({ deploymentConfigName: `Two${applications}` });
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'HEALTH_CONSTRAINTS_INVALID');
  });

  test('takes a thousand instances at once, and not one more', async () => {
    await fleet([]);
    const rows = Array.from({ length: 1001 }, (_, index) => ({
      account: '123456789012',
      region: 'us-east-1',
      name: `many-${index}`,
      suffix: 'abcdefghij',
      iam_user_arn: `arn:aws:iam::123456789012:user/many-${index}`,
      tags: JSON.stringify({ Fleet: application }),
      registered_at: now,
    }));
    await opened.platform.transaction((tx) => tx.sql.insertInto('codedeploy.instances').values(rows).execute());
    const tooMany = await deploy();
    await reconcile(tooMany);
    assert.equal((await info(tooMany)).errorInformation!.code, 'OVER_MAX_INSTANCES');
    await call('codedeploy', 'DeregisterOnPremisesInstance', { instanceName: 'many-1000' });
    const id = await deploy();
    await assert.rejects(target(id, 'many-0'), { code: 'DeploymentNotStartedException' });
    await reconcile(id);
    assert.equal((await info(id)).deploymentOverview!.InProgress, 1000);
    const names: string[] = [];
    for (let nextToken: string | undefined; ; ) {
      const page = await call('codedeploy', 'ListDeploymentTargets', { deploymentId: id, nextToken });
      names.push(...page.targetIds!);
      nextToken = page.nextToken;
      if (!nextToken) break;
    }
    assert.equal(new Set(names).size, 1000);
    await call('codedeploy', 'StopDeployment', { deploymentId: id });
    await reconcile(id);
    assert.equal((await info(id)).deploymentOverview!.Skipped, 1000);
    await opened.platform.transaction((tx) => tx.sql.deleteFrom('codedeploy.instances').where('name', 'like', 'many-%').execute());
  });

  test('without instances it fails and says so', async () => {
    await fleet([]);
    const id = await deploy();
    await reconcile(id);
    assert.equal((await info(id)).errorInformation!.code, 'NO_INSTANCES');
    assert.deepEqual((await call('codedeploy', 'ListDeploymentTargets', { deploymentId: id })).targetIds, []);
  });
});
