/** Deployments to hosts that speak the agent's protocol, driven and watched by the SDK. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { CloudWatch } from '@aws-sdk/client-cloudwatch';
import { GetDeploymentGroupCommand, StopDeploymentCommand } from '@aws-sdk/client-codedeploy';
import { DeleteRoleCommand, DeleteRolePolicyCommand } from '@aws-sdk/client-iam';
import { openEnvelope, trustIn } from '../../src/agent/envelope.ts';
import { type Behaviour, holdAt, type Outcome, Rollouts } from '../support/codedeploy.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let rollouts: Rollouts;

before(async () => {
  server = await startServer();
  rollouts = await Rollouts.open(server);
});
after(async () => {
  await rollouts?.close();
  await server?.stop();
});
afterEach(() => rollouts.stopHosts());

const EVENTS = ['ApplicationStop', 'DownloadBundle', 'BeforeInstall', 'Install', 'AfterInstall', 'ApplicationStart', 'ValidateService'];
const revision = (name: string) => rollouts.revision(`${name}.zip`);
const failAt =
  (event: string, only?: string): Behaviour =>
  ({ CommandName }, host) =>
    CommandName === event && (only === undefined || host.name === only)
      ? { fail: { error_code: 4, script_name: 'scripts/check.sh', message: 'exit code 1', log: 'LifecycleEvent - check\n[stderr]no' } }
      : 'succeed';
const statuses = async (id: string, name: string) => (await rollouts.target(id, name)).lifecycleEvents!.map(({ status }) => status);

describe('a deployment', () => {
  test('gives a host its events in order, one by one, with a specification signed under the local authority', async () => {
    const { name, hosts } = await rollouts.fleet(1);
    const [host] = hosts;
    const trust = trustIn(readFileSync(server.caFile, 'utf8'));
    const specifications: any[] = [];
    host!.behave = async (command): Promise<Outcome> => {
      const { DeploymentSystem, DeploymentSpecification } = await host!.specification(command);
      assert.equal(DeploymentSystem, 'CodeDeploy');
      specifications.push(JSON.parse(await openEnvelope(DeploymentSpecification.GenericEnvelope, trust)));
      return 'succeed';
    };
    const id = await rollouts.deploy(name, await revision(name), { description: 'first', fileExistsBehavior: 'OVERWRITE' });
    const info = await rollouts.settled(id);
    assert.equal(info.status, 'Succeeded');
    assert.equal(info.description, 'first');
    assert.deepEqual(
      host!.seen,
      EVENTS.map((event) => `${id} ${event}`),
    );
    const target = await rollouts.target(id, host!.name);
    assert.deepEqual(
      target.lifecycleEvents!.map(({ lifecycleEventName }) => lifecycleEventName),
      EVENTS,
    );
    assert.ok(target.lifecycleEvents!.every(({ status, startTime, endTime }) => status === 'Succeeded' && startTime! <= endTime!));
    const [specification] = specifications;
    assert.equal(specification.DeploymentId, id);
    assert.equal(specification.ApplicationName, name);
    assert.deepEqual(specification.Revision, {
      RevisionType: 'S3',
      S3Revision: { Bucket: 'revisions', Key: `${name}.zip`, BundleType: 'zip' },
    });
    assert.deepEqual(specification.AgentActionOverrides, { AgentOverrides: { FileExistsBehavior: 'OVERWRITE' } });
    const { deploymentGroupInfo } = await rollouts.codedeploy.send(
      new GetDeploymentGroupCommand({ applicationName: name, deploymentGroupName: 'Fleet' }),
    );
    assert.equal(specification.DeploymentGroupId, deploymentGroupInfo!.deploymentGroupId);
    assert.equal(deploymentGroupInfo!.lastSuccessfulDeployment!.deploymentId, id);
  });

  test('goes one at a time by default, and all at once when told to', async () => {
    let atWork = 0;
    let most = 0;
    const counting: Behaviour = async ({ CommandName }): Promise<Outcome> => {
      if (CommandName === 'ApplicationStop') most = Math.max(most, ++atWork);
      if (CommandName === 'ValidateService') atWork--;
      return 'noop';
    };
    const { name, hosts } = await rollouts.fleet(3, counting);
    await rollouts.settled(await rollouts.deploy(name, await revision(name)));
    assert.equal(most, 1);
    const all = Promise.withResolvers<void>();
    let arrived = 0;
    for (const host of hosts) {
      // Nobody goes on before all are there: it would hang if they were not all begun at once.
      host.behave = async ({ CommandName }): Promise<Outcome> => {
        if (CommandName === 'Install') {
          if (++arrived === hosts.length) all.resolve();
          await all.promise;
        }
        return 'succeed';
      };
    }
    const info = await rollouts.settled(
      await rollouts.deploy(name, await revision(name), { deploymentConfigName: 'CodeDeployDefault.AllAtOnce' }),
    );
    assert.equal(info.deploymentOverview!.Succeeded, 3);
  });

  test('that fails on too many hosts shows the script’s diagnostics and leaves the other hosts alone', async () => {
    const { name, hosts } = await rollouts.fleet(3, failAt('AfterInstall'));
    const id = await rollouts.deploy(name, await revision(name));
    const info = await rollouts.settled(id);
    assert.equal(info.status, 'Failed');
    assert.equal(info.errorInformation!.code, 'HEALTH_CONSTRAINTS');
    assert.match(info.errorInformation!.message!, /^The overall deployment failed because too many individual instances failed deployment/);
    assert.deepEqual(info.deploymentOverview, { Pending: 0, InProgress: 0, Succeeded: 0, Failed: 1, Skipped: 2, Ready: 0 });
    const failed = hosts.find(({ seen }) => seen.length > 0)!;
    assert.deepEqual(
      failed.seen.map((line) => line.split(' ')[1]),
      EVENTS.slice(0, 5),
    );
    const { lifecycleEvents, status } = await rollouts.target(id, failed.name);
    assert.equal(status, 'Failed');
    assert.deepEqual(lifecycleEvents![4]!.diagnostics, {
      errorCode: 'ScriptFailed',
      scriptName: 'scripts/check.sh',
      message: 'exit code 1',
      logTail: 'LifecycleEvent - check\n[stderr]no',
    });
    assert.deepEqual(await statuses(id, failed.name), ['Succeeded', 'Succeeded', 'Succeeded', 'Succeeded', 'Failed', 'Skipped', 'Skipped']);
  });

  test('bears the failure of the last host', async () => {
    const { name } = await rollouts.fleet(2);
    const last = `${name}-2`;
    for (const host of rollouts.hosts) host.behave = failAt('Install', last);
    const info = await rollouts.settled(await rollouts.deploy(name, await revision(name)));
    assert.equal(info.status, 'Succeeded');
    assert.deepEqual([info.deploymentOverview!.Succeeded, info.deploymentOverview!.Failed], [1, 1]);
  });

  test('goes first to hosts that are broken, and to none but outdated ones when told to', async () => {
    const { name, hosts } = await rollouts.fleet(3, undefined, { deploymentConfigName: 'CodeDeployDefault.AllAtOnce' });
    const first = await revision(`${name}-first`);
    hosts[2]!.behave = failAt('Install');
    await rollouts.settled(await rollouts.deploy(name, first));
    hosts[2]!.behave = () => 'succeed';
    const order: string[] = [];
    for (const host of hosts) {
      host.behave = ({ CommandName }) => {
        if (CommandName === 'ApplicationStop') order.push(host.name);
        return 'succeed';
      };
    }
    await rollouts.settled(await rollouts.deploy(name, first, { deploymentConfigName: 'CodeDeployDefault.OneAtATime' }));
    assert.equal(order[0], hosts[2]!.name);
    const nothing = await rollouts.settled(await rollouts.deploy(name, first, { updateOutdatedInstancesOnly: true }));
    assert.equal(nothing.errorInformation!.code, 'NO_INSTANCES');
    const newcomer = (await rollouts.host(`${name}-new`, { Fleet: name })).start();
    const info = await rollouts.settled(await rollouts.deploy(name, first, { updateOutdatedInstancesOnly: true }));
    assert.equal(info.deploymentOverview!.Succeeded, 1);
    assert.equal(newcomer.seen.length, 7);
  });

  test('may ignore a broken ApplicationStop of the old revision, and only that', async () => {
    const { name, hosts } = await rollouts.fleet(1, failAt('ApplicationStop'));
    const strict = await rollouts.settled(await rollouts.deploy(name, await revision(name)));
    assert.equal(strict.status, 'Failed');
    const id = await rollouts.deploy(name, await revision(name), { ignoreApplicationStopFailures: true });
    assert.equal((await rollouts.settled(id)).status, 'Succeeded');
    assert.equal((await statuses(id, hosts[0]!.name))[0], 'Failed');
    hosts[0]!.behave = failAt('BeforeInstall');
    const other = await rollouts.deploy(name, await revision(name), { ignoreApplicationStopFailures: true });
    assert.equal((await rollouts.settled(other)).status, 'Failed');
  });

  test('that restarts brings the last good revision again, and tells hosts what they may use of it', async () => {
    const { name, hosts } = await rollouts.fleet(1);
    const good = await revision(name);
    const first = await rollouts.deploy(name, good);
    await rollouts.settled(first);
    const trust = trustIn(readFileSync(server.caFile, 'utf8'));
    let told: any;
    hosts[0]!.behave = async (command, host): Promise<Outcome> => {
      const { DeploymentSpecification } = await host.specification(command);
      told = JSON.parse(await openEnvelope(DeploymentSpecification.GenericEnvelope, trust));
      return 'succeed';
    };
    const info = await rollouts.settled(await rollouts.deploy(name, undefined, { deploymentMode: 'RESTART' }));
    assert.deepEqual([info.status, info.deploymentMode, info.revision], ['Succeeded', 'RESTART', good]);
    assert.equal(told.ReuseArchiveFromDeploymentId, first);
  });

  test('is the only one in its group', async () => {
    const held = holdAt('Install', 'before');
    const { name } = await rollouts.fleet(1, held.behave);
    const id = await rollouts.deploy(name, await revision(name));
    await held.reached;
    await assert.rejects(rollouts.deploy(name, await revision(name)), {
      name: 'DeploymentLimitExceededException',
      message: `The Deployment Group 'Fleet' already has an active Deployment '${id}'`,
    });
    held.open();
    await rollouts.settled(id);
    await rollouts.settled(await rollouts.deploy(name, await revision(name)));
  });

  test('shares a host with another group’s: the host does one thing at a time', async () => {
    const one = await rollouts.fleet(0);
    const two = await rollouts.fleet(0);
    const tag = { Key: 'Shared', Value: one.name, Type: 'KEY_AND_VALUE' as const };
    for (const { name } of [one, two]) await rollouts.changeGroup(name, { onPremisesInstanceTagFilters: [tag] });
    const host = await rollouts.host(`${one.name}-shared`, { Shared: one.name });
    let running = 0;
    host.behave = async (command): Promise<Outcome> => {
      await host.acknowledge(command);
      assert.equal(++running, 1);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
      return 'succeed';
    };
    host.start();
    const ids = await Promise.all([one, two].map(async ({ name }) => rollouts.deploy(name, await revision(name))));
    for (const id of ids) assert.equal((await rollouts.settled(id)).status, 'Succeeded');
    for (const id of ids)
      assert.deepEqual(
        host.seen.filter((line) => line.startsWith(id)),
        EVENTS.map((event) => `${id} ${event}`),
      );
  });
});

describe('rolling back', () => {
  const automatic = { autoRollbackConfiguration: { enabled: true, events: ['DEPLOYMENT_FAILURE' as const] } };

  test('a failed deployment is followed by one of the last good revision', async () => {
    const { name, hosts } = await rollouts.fleet(1, undefined, automatic);
    const good = await revision(`${name}-good`);
    const first = await rollouts.deploy(name, good);
    await rollouts.settled(first);
    hosts[0]!.behave = ({ DeploymentExecutionId, CommandName }) =>
      CommandName === 'ValidateService' && DeploymentExecutionId.includes(bad) ? { fail: { error_code: 4 } } : 'succeed';
    let bad = '?';
    bad = await rollouts.deploy(name, await revision(`${name}-bad`));
    const failed = await rollouts.settled(bad);
    assert.equal(failed.status, 'Failed');
    assert.deepEqual(failed.previousRevision, good);
    const rollback = failed.rollbackInfo!.rollbackDeploymentId!;
    assert.match(failed.rollbackInfo!.rollbackMessage!, new RegExp(`${rollback}.*${first}`));
    const info = await rollouts.settled(rollback);
    assert.equal(info.status, 'Succeeded');
    assert.equal(info.creator, 'codeDeployRollback');
    assert.deepEqual(info.revision, good);
    assert.equal(info.rollbackInfo!.rollbackTriggeringDeploymentId, bad);
  });

  test('without a good revision there is nothing to go back to', async () => {
    const { name } = await rollouts.fleet(1, failAt('Install'), automatic);
    const info = await rollouts.settled(await rollouts.deploy(name, await revision(name)));
    assert.equal(info.rollbackInfo!.rollbackDeploymentId, undefined);
    assert.match(info.rollbackInfo!.rollbackMessage!, /not rolled back/);
    // And the group is free again.
    await rollouts.settled(await rollouts.deploy(name, await revision(name)));
  });

  test('a rollback that fails is the end of it', async () => {
    const { name, hosts } = await rollouts.fleet(1, undefined, automatic);
    await rollouts.settled(await rollouts.deploy(name, await revision(`${name}-good`)));
    hosts[0]!.behave = failAt('Install');
    const failed = await rollouts.settled(await rollouts.deploy(name, await revision(`${name}-bad`)));
    const rollback = await rollouts.settled(failed.rollbackInfo!.rollbackDeploymentId!);
    assert.equal(rollback.status, 'Failed');
    assert.equal(rollback.rollbackInfo!.rollbackDeploymentId, undefined);
  });
});

describe('stopping', () => {
  test('lets a host end what it has begun, and gives out nothing more', async () => {
    const held = holdAt('BeforeInstall', 'inside');
    const { name, hosts } = await rollouts.fleet(2, held.behave);
    const id = await rollouts.deploy(name, await revision(name));
    await held.reached;
    const { status } = await rollouts.codedeploy.send(new StopDeploymentCommand({ deploymentId: id }));
    assert.equal(status, 'Pending');
    assert.equal((await rollouts.deployment(id)).status, 'InProgress');
    held.open();
    const info = await rollouts.settled(id);
    assert.equal(info.status, 'Stopped');
    assert.deepEqual(await statuses(id, hosts[0]!.name), [
      'Succeeded',
      'Succeeded',
      'Succeeded',
      'Skipped',
      'Skipped',
      'Skipped',
      'Skipped',
    ]);
    assert.equal(hosts[0]!.seen.length, 3);
    assert.deepEqual(hosts[1]!.seen, []);
    assert.equal((await rollouts.target(id, hosts[1]!.name)).status, 'Skipped');
    await assert.rejects(rollouts.codedeploy.send(new StopDeploymentCommand({ deploymentId: id })), {
      name: 'DeploymentAlreadyCompletedException',
    });
  });

  test('a deployment that no host has begun stops at once, and its hosts never hear of it', async () => {
    const name = rollouts.newName();
    await rollouts.application(name);
    const host = await rollouts.host(`${name}-late`, { Fleet: name });
    const id = await rollouts.deploy(name, await revision(name));
    await rollouts.settled(id, ['InProgress']);
    await rollouts.codedeploy.send(new StopDeploymentCommand({ deploymentId: id }));
    assert.equal((await rollouts.settled(id)).status, 'Stopped');
    host.start();
    const next = await rollouts.deploy(name, await revision(name));
    await rollouts.settled(next);
    assert.deepEqual(
      host.seen,
      EVENTS.map((event) => `${next} ${event}`),
    );
  });

  test('with a rollback goes back to the last good revision', async () => {
    const { name, hosts } = await rollouts.fleet(1);
    const good = await revision(`${name}-good`);
    await rollouts.settled(await rollouts.deploy(name, good));
    const held = holdAt('Install', 'inside');
    hosts[0]!.behave = held.behave;
    const id = await rollouts.deploy(name, await revision(`${name}-next`));
    await held.reached;
    await rollouts.codedeploy.send(new StopDeploymentCommand({ deploymentId: id, autoRollbackEnabled: true }));
    hosts[0]!.behave = () => 'succeed';
    held.open();
    const stopped = await rollouts.settled(id);
    assert.equal(stopped.status, 'Stopped');
    const info = await rollouts.settled(stopped.rollbackInfo!.rollbackDeploymentId!);
    assert.deepEqual([info.status, info.revision], ['Succeeded', good]);
  });
});

describe('alarms', () => {
  test('that go off stop the deployment, which is rolled back; quiet ones do not', async () => {
    const cloudwatch = new CloudWatch(server.client);
    await cloudwatch.putMetricAlarm({
      ...{ AlarmName: 'unwell', Namespace: 'App', MetricName: 'errors', Statistic: 'Sum', Period: 60, EvaluationPeriods: 1 },
      // What is missing changes nothing, so a state that was set stays.
      ...{ Threshold: 1, ComparisonOperator: 'GreaterThanThreshold', TreatMissingData: 'ignore' },
    });
    const { name, hosts } = await rollouts.fleet(2, undefined, {
      alarmConfiguration: { enabled: true, alarms: [{ name: 'unwell' }] },
      autoRollbackConfiguration: { enabled: true, events: ['DEPLOYMENT_STOP_ON_ALARM'] },
    });
    const good = await revision(`${name}-good`);
    assert.equal((await rollouts.settled(await rollouts.deploy(name, good))).status, 'Succeeded');
    const held = holdAt('Install', 'inside');
    hosts[0]!.behave = held.behave;
    const id = await rollouts.deploy(name, await revision(`${name}-next`));
    await held.reached;
    await cloudwatch.setAlarmState({ AlarmName: 'unwell', StateValue: 'ALARM', StateReason: 'a test' });
    hosts[0]!.behave = () => 'succeed';
    // At the latest before the second host begins, the alarm is seen.
    held.open();
    const stopped = await rollouts.settled(id);
    assert.deepEqual([stopped.status, stopped.errorInformation!.code], ['Stopped', 'ALARM_ACTIVE']);
    const info = await rollouts.settled(stopped.rollbackInfo!.rollbackDeploymentId!);
    assert.deepEqual([info.status, info.revision], ['Succeeded', good]);
    const next = await rollouts.settled(await rollouts.deploy(name, await revision(`${name}-again`)));
    assert.deepEqual([next.status, next.errorInformation!.code], ['Stopped', 'ALARM_ACTIVE']);
    cloudwatch.destroy();
  });
});

describe('what stands in the way', () => {
  test('a revision that is not in S3', async () => {
    const { name } = await rollouts.fleet(1);
    const missing = { revisionType: 'S3' as const, s3Location: { bucket: 'revisions', key: 'nowhere.zip', bundleType: 'zip' as const } };
    const info = await rollouts.settled(await rollouts.deploy(name, missing));
    assert.equal(info.errorInformation!.code, 'REVISION_MISSING');
    assert.match(info.errorInformation!.message!, /s3:\/\/revisions\/nowhere\.zip/);
  });

  test('a role that is gone', async () => {
    const { name } = await rollouts.fleet(1);
    const role = await rollouts.role('short-lived');
    await rollouts.changeGroup(name, { serviceRoleArn: role });
    await rollouts.iam.send(new DeleteRolePolicyCommand({ RoleName: 'short-lived', PolicyName: 'revisions' }));
    await rollouts.iam.send(new DeleteRoleCommand({ RoleName: 'short-lived' }));
    const info = await rollouts.settled(await rollouts.deploy(name, await revision(name)));
    assert.equal(info.errorInformation!.code, 'IAM_ROLE_MISSING');
  });
});
