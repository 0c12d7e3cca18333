/** Fleets: made, changed, listed and deleted, and how they hold back the builds that are meant for them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Build, CreateFleetCommandInput, Fleet, ScalingConfigurationInput } from '@aws-sdk/client-codebuild';
import { allow, type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let bench: BuildBench;
/** Builds of this project run until they are stopped. */
const LONG = commands('sleep 600');
const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' } as const;

before(async () => {
  server = await startServer({ env: { PENSTOCK_BUILD_SLOTS: '8' } });
  bench = await buildBench(server);
});
after(() => server.stop());

const compute = { environmentType: 'LINUX_CONTAINER', computeType: 'BUILD_GENERAL1_SMALL' } as const;

async function fleet(name: string, more: Partial<CreateFleetCommandInput> = {}): Promise<string> {
  const { fleet: made } = await bench.codebuild.createFleet({ name, baseCapacity: 1, ...compute, ...more });
  return made!.arn!;
}

async function get(name: string): Promise<Fleet | undefined> {
  return (await bench.codebuild.batchGetFleets({ names: [name] })).fleets?.[0];
}

async function until(name: string, condition: (fleet: Fleet | undefined) => boolean): Promise<Fleet | undefined> {
  for (;;) {
    const now = await get(name);
    if (condition(now)) return now;
    await delay(10);
  }
}

const start = async (projectName: string, fleetArn?: string): Promise<string> =>
  (await bench.codebuild.startBuild({ projectName, ...(fleetArn && { fleetOverride: { fleetArn } }) })).build!.id!;
const runs = (build: Build) => build.currentPhase === 'BUILD';
const waits = async (id: string) => (await bench.wait(id, () => true)).currentPhase === 'QUEUED';
const stop = (...ids: string[]) => Promise.all(ids.map((id) => bench.codebuild.stopBuild({ id })));

describe('a fleet', () => {
  it('is made, found by name and ARN, changed, and deleted', async () => {
    const { codebuild } = bench;
    const { fleet: made } = await codebuild.createFleet({
      name: 'first',
      baseCapacity: 2,
      ...compute,
      tags: [{ key: 'team', value: 'a' }],
    });
    assert.match(made!.arn!, new RegExp(`^arn:aws:codebuild:${server.region}:${server.account}:fleet/first:[0-9a-f-]{36}$`));
    assert.equal(made!.status!.statusCode, 'CREATING');
    assert.equal(made!.overflowBehavior, 'QUEUE');
    assert.ok(made!.created instanceof Date);
    const active = await until('first', (now) => now?.status?.statusCode === 'ACTIVE');
    assert.deepEqual({ ...active, status: made!.status }, made);
    assert.deepEqual((await codebuild.batchGetFleets({ names: [made!.arn!, 'none'] })).fleetsNotFound, ['none']);

    const changed = await codebuild.updateFleet({ arn: made!.arn!, baseCapacity: 3, overflowBehavior: 'ON_DEMAND', tags: [] });
    assert.equal(changed.fleet!.status!.statusCode, 'UPDATING');
    const now = await until('first', (found) => found?.status?.statusCode === 'ACTIVE');
    assert.equal(now!.baseCapacity, 3);
    assert.equal(now!.overflowBehavior, 'ON_DEMAND');
    assert.equal(now!.computeType, compute.computeType, 'what was not given stays');
    assert.deepEqual(now!.tags, []);
    await refused(fleet('first'), 'ResourceAlreadyExistsException');

    await codebuild.deleteFleet({ arn: made!.arn! });
    await until('first', (found) => found === undefined);
    await codebuild.deleteFleet({ arn: made!.arn! });
    await refused(codebuild.updateFleet({ arn: made!.arn!, baseCapacity: 1 }), 'ResourceNotFoundException');
    const again = await fleet('first');
    assert.notEqual(again, made!.arn);
    assert.deepEqual((await codebuild.batchGetFleets({ names: [made!.arn!] })).fleetsNotFound, [made!.arn], 'the old one is another one');
  });

  const config = { metricType: 'FLEET_UTILIZATION_RATE', targetValue: 100 } as const;
  const scaling: ScalingConfigurationInput = {
    scalingType: 'TARGET_TRACKING_SCALING',
    maxCapacity: 2,
    targetTrackingScalingConfigs: [config],
  };
  const broken: [why: string, change: Partial<CreateFleetCommandInput>, message: RegExp][] = [
    ['no place', { baseCapacity: 0 }, /baseCapacity must be at least 1/],
    ['a negative number of places', { baseCapacity: -5 }, /baseCapacity/],
    ['a name of one character', { name: 'f' }, /./],
    ['a name with a slash', { name: 'a/b' }, /./],
    ['macOS', { environmentType: 'MAC_ARM' }, /not available/],
    ['Windows', { environmentType: 'WINDOWS_SERVER_2022_CONTAINER' }, /not available/],
    ['Lambda', { environmentType: 'LINUX_LAMBDA_CONTAINER' }, /not supported for fleets/],
    ['an instance type', { computeType: 'CUSTOM_INSTANCE_TYPE', computeConfiguration: { instanceType: 'm7.large' } }, /not available/],
    ['attributes that are not given', { computeType: 'ATTRIBUTE_BASED_COMPUTE' }, /computeConfiguration is a required field/],
    ['attributes that are impossible', { computeConfiguration: { vCpu: 2, memory: -1 } }, /memory must be between 0 and 65536/],
    ['Lambda’s compute types', { computeType: 'BUILD_LAMBDA_1GB' }, /BUILD_LAMBDA_1GB is not supported for fleets/],
    ['a network', { vpcConfig: { vpcId: 'vpc-1', subnets: ['subnet-1'], securityGroupIds: ['sg-1'] } }, /vpcConfig is not available/],
    ['a proxy', { proxyConfiguration: { defaultBehavior: 'DENY_ALL' } }, /proxyConfiguration is not available/],
    ['an image of a machine', { imageId: 'ami-1' }, /imageId is not available/],
    ['a role that is none', { fleetServiceRole: 'x' }, /Invalid service role/],
    ['a maximum below the base', { baseCapacity: 3, scalingConfiguration: scaling }, /maxCapacity must not be less/],
    ['scaling without a maximum', { scalingConfiguration: { ...scaling, maxCapacity: undefined } }, /maxCapacity is a required/],
    ['scaling without a target', { scalingConfiguration: { ...scaling, targetTrackingScalingConfigs: [] } }, /exactly one/],
    [
      'a target above all',
      { scalingConfiguration: { ...scaling, targetTrackingScalingConfigs: [{ ...config, targetValue: 101 }] } },
      /targetValue/,
    ],
  ];
  for (const [why, change, message] of broken) {
    it(`cannot have ${why}`, () => refused(fleet(change.name ?? 'broken', change), 'InvalidInputException', message));
  }

  it('is listed in every order, page by page', async () => {
    const names = ['list-b', 'list-c', 'list-a'];
    for (const name of names) await fleet(name);
    const arn = (await get('list-b'))!.arn!;
    await until('list-b', (found) => found?.status?.statusCode === 'ACTIVE');
    await bench.codebuild.updateFleet({ arn, baseCapacity: 2 });
    const list = async (input: Parameters<typeof bench.codebuild.listFleets>[0]) => {
      const all: string[] = [];
      let nextToken: string | undefined;
      do {
        const page = await bench.codebuild.listFleets({ ...input, nextToken, maxResults: 2 });
        all.push(...page.fleets!.map((item) => /fleet\/([^:]+):/.exec(item)![1]!));
        nextToken = page.nextToken;
      } while (nextToken);
      return all.filter((name) => name.startsWith('list-'));
    };
    assert.deepEqual(await list({}), ['list-a', 'list-b', 'list-c']);
    assert.deepEqual(await list({ sortOrder: 'DESCENDING' }), ['list-c', 'list-b', 'list-a']);
    assert.deepEqual(await list({ sortBy: 'CREATED_TIME' }), names);
    assert.deepEqual(await list({ sortBy: 'LAST_MODIFIED_TIME', sortOrder: 'DESCENDING' }), ['list-b', 'list-a', 'list-c']);
    await refused(bench.codebuild.listFleets({ nextToken: 'forged' }), 'InvalidInputException');
  });

  it('is asked for by its ARN in this account, and only when it is there', async () => {
    const missing = `arn:aws:codebuild:${server.region}:${server.account}:fleet/none:00000000-0000-0000-0000-000000000000`;
    for (const fleetArn of [missing, 'first', missing.replace(server.account, '999999999999'), '../x']) {
      const message = /Fleet cannot be found/;
      await refused(
        bench.project('fleetless', LONG, { environment: { ...environment, fleet: { fleetArn } } }),
        'InvalidInputException',
        message,
      );
    }
    await bench.project('fleetless', LONG);
    await refused(start('fleetless', missing), 'InvalidInputException', /Fleet cannot be found/);
    for (const arn of ['x', missing.replace('fleet/', 'project/'), missing.replace(server.account, '999999999999')]) {
      await refused(bench.codebuild.deleteFleet({ arn }), 'InvalidInputException', /Invalid fleet ARN/);
    }
  });

  it('is the business of whoever may use it', async () => {
    await bench.iam.createUser({ UserName: 'limited' });
    const one = await fleet('mine');
    const PolicyDocument = allow(['codebuild:BatchGetFleets', 'codebuild:UpdateFleet'], one);
    await bench.iam.putUserPolicy({ UserName: 'limited', PolicyName: 'p', PolicyDocument });
    const { AccessKey } = await bench.iam.createAccessKey({ UserName: 'limited' });
    const { CodeBuild } = await import('@aws-sdk/client-codebuild');
    const limited = new CodeBuild({
      ...server.client,
      credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
    });
    assert.equal((await limited.updateFleet({ arn: one, baseCapacity: 4 })).fleet!.baseCapacity, 4);
    assert.equal((await limited.batchGetFleets({ names: ['mine'] })).fleets!.length, 1);
    await refused(limited.batchGetFleets({ names: ['first'] }), 'AccessDeniedException');
    await refused(limited.deleteFleet({ arn: one }), 'AccessDeniedException');
    limited.destroy();
  });
});

describe('builds of a fleet', () => {
  it('wait for a place, while others pass them by', async () => {
    const fleetArn = await fleet('queueing');
    await bench.project('in-queue', LONG, { environment: { ...environment, fleet: { fleetArn } } });
    await bench.project('outside', commands('true'));
    const first = await start('in-queue');
    await bench.wait(first, runs);
    const second = await start('in-queue');
    assert.equal((await bench.build('outside')).buildStatus, 'SUCCEEDED');
    assert.ok(await waits(second));
    await stop(first);
    const running = await bench.wait(second, runs);
    assert.equal(running.environment!.fleet!.fleetArn, fleetArn);
    const third = await start('outside', fleetArn);
    assert.ok(await waits(third), 'an override counts as well');
    await bench.codebuild.updateFleet({ arn: fleetArn, baseCapacity: 2 });
    assert.equal((await bench.wait(third)).buildStatus, 'SUCCEEDED', 'a larger fleet takes it at once');
    await stop(second);
  });

  it('run outside of a full one that overflows', async () => {
    const fleetArn = await fleet('overflowing', { overflowBehavior: 'ON_DEMAND' });
    await bench.project('overflow', LONG, { environment: { ...environment, fleet: { fleetArn } } });
    const ids = [await start('overflow'), await start('overflow')];
    for (const id of ids) await bench.wait(id, runs);
    await stop(...ids);
  });

  it('make it scale up to its maximum', async () => {
    const fleetArn = await fleet('scaling', {
      computeType: 'ATTRIBUTE_BASED_COMPUTE',
      computeConfiguration: { vCpu: 2, memory: 1, disk: 1 },
      scalingConfiguration: {
        scalingType: 'TARGET_TRACKING_SCALING',
        maxCapacity: 2,
        targetTrackingScalingConfigs: [{ metricType: 'FLEET_UTILIZATION_RATE', targetValue: 100 }],
      },
    });
    assert.equal((await get('scaling'))!.scalingConfiguration!.desiredCapacity, 1);
    await bench.project('scaled', LONG, { environment: { ...environment, fleet: { fleetArn } } });
    const ids = [await start('scaled'), await start('scaled'), await start('scaled')] as const;
    const [one] = await Promise.all([bench.wait(ids[0], runs), bench.wait(ids[1], runs)]);
    assert.deepEqual(one.environment!.computeConfiguration, { vCpu: 2, memory: 1, disk: 1 }, 'its machine is one of the fleet’s');
    assert.ok(await waits(ids[2]));
    assert.equal((await get('scaling'))!.scalingConfiguration!.desiredCapacity, 2);
    await stop(...ids);
    const { fleet: fixed } = await bench.codebuild.updateFleet({ arn: fleetArn, scalingConfiguration: {} });
    assert.equal(fixed!.scalingConfiguration, undefined);
  });

  it('run to their end in one that is deleted, and those that wait for it fail', async () => {
    const arn = await fleet('leaving');
    await bench.project('left', LONG, { environment: { ...environment, fleet: { fleetArn: arn } } });
    const running = await start('left');
    await bench.wait(running, runs);
    const waiting = await start('left');
    await bench.codebuild.deleteFleet({ arn });
    const over = await bench.wait(waiting);
    assert.equal(over.buildStatus, 'FAILED');
    assert.ok(phaseLines(over).includes(`QUEUED FAILED CLIENT_ERROR: The fleet ${arn} was deleted.`), phaseLines(over).join('\n'));
    assert.equal((await get('leaving'))!.status!.statusCode, 'PENDING_DELETION');
    await refused(start('left'), 'InvalidInputException', /being deleted/);
    await refused(bench.codebuild.updateFleet({ arn, baseCapacity: 2 }), 'InvalidInputException', /being deleted/);
    assert.ok(runs(await bench.wait(running, () => true)));
    await stop(running);
    await until('leaving', (found) => found === undefined);
    await refused(start('left'), 'InvalidInputException', /Fleet cannot be found/);
  });
});
