/** kill -9 of the server while hosts are at work: what was reported stays, nothing is done twice, and everything ends. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { StopDeploymentCommand } from '@aws-sdk/client-codedeploy';
import { type Outcome, Rollouts, SimulatedHost } from '../support/codedeploy.ts';
import { startServer, type TestServer } from '../support/server.ts';

const EVENTS = ['ApplicationStop', 'DownloadBundle', 'BeforeInstall', 'Install', 'AfterInstall', 'ApplicationStart', 'ValidateService'];

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

test('a server that is killed in every lifecycle event goes on with each where it was', { timeout: 120_000 }, async () => {
  await rollouts.application('Killed');
  const host = await rollouts.host('killed-1', { Fleet: 'Killed' });
  let restarts = 0;
  const allKilled = Promise.withResolvers<void>();
  host.behave = async (command): Promise<Outcome> => {
    assert.equal((await host.acknowledge(command)).CommandStatus, 'InProgress');
    await server.kill();
    await server.restart();
    if (++restarts === EVENTS.length) allKilled.resolve();
    return 'succeed';
  };
  host.start();
  const id = await rollouts.deploy('Killed', await rollouts.revision('killed.zip'));
  await allKilled.promise;
  const info = await rollouts.settled(id);
  assert.equal(info.status, 'Succeeded');
  assert.deepEqual(
    host.seen,
    EVENTS.map((event) => `${id} ${event}`),
  );
  const { lifecycleEvents } = await rollouts.target(id, host.name);
  assert.ok(lifecycleEvents!.every(({ status }) => status === 'Succeeded'));
});

test('a deployment that was only just made when the server was killed is carried out', { timeout: 60_000 }, async () => {
  await rollouts.application('Fresh');
  const host = (await rollouts.host('fresh-1', { Fleet: 'Fresh' })).start();
  const id = await rollouts.deploy('Fresh', await rollouts.revision('fresh.zip'));
  await server.kill();
  await server.restart();
  assert.equal((await rollouts.settled(id)).status, 'Succeeded');
  assert.deepEqual(new Set(host.seen), new Set(EVENTS.map((event) => `${id} ${event}`)));
});

test('a stop that was asked for survives', { timeout: 60_000 }, async () => {
  await rollouts.application('Halted');
  const host = await rollouts.host('halted-1', { Fleet: 'Halted' });
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  host.behave = async (command): Promise<Outcome> => {
    await host.acknowledge(command);
    begun.resolve();
    await goOn.promise;
    return 'succeed';
  };
  host.start();
  const id = await rollouts.deploy('Halted', await rollouts.revision('halted.zip'));
  await begun.promise;
  await rollouts.codedeploy.send(new StopDeploymentCommand({ deploymentId: id }));
  await server.kill();
  await server.restart();
  goOn.resolve();
  assert.equal((await rollouts.settled(id)).status, 'Stopped');
  assert.deepEqual(host.seen, [`${id} ApplicationStop`]);
});

test('kills at any moment, with several hosts on their way, lose and repeat nothing that was acknowledged', {
  timeout: 120_000,
}, async () => {
  await rollouts.application('Stormy', { deploymentConfigName: 'CodeDeployDefault.HalfAtATime' });
  const done = new Map<string, number>();
  for (let index = 1; index <= 4; index++) {
    const host = await rollouts.host(`stormy-${index}`, { Fleet: 'Stormy' });
    host.behave = async ({ HostCommandIdentifier }): Promise<Outcome> => {
      done.set(HostCommandIdentifier, (done.get(HostCommandIdentifier) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return 'succeed';
    };
    host.start();
  }
  const id = await rollouts.deploy('Stormy', await rollouts.revision('stormy.zip'));
  for (const moment of [130, 310, 70, 220]) {
    await new Promise((resolve) => setTimeout(resolve, moment));
    await server.kill();
    await server.restart();
  }
  const info = await rollouts.settled(id);
  assert.equal(info.status, 'Succeeded');
  assert.equal(info.deploymentOverview!.Succeeded, 4);
  assert.equal(done.size, 4 * EVENTS.length);
  for (const host of rollouts.hosts) {
    // In order, each once; a command whose answer the kill swallowed may come a second time, but only before any later one.
    const events = host.seen.map((line) => line.split(' ')[1]!);
    assert.deepEqual([...new Set(events)], EVENTS);
    assert.deepEqual(
      events.toSorted((a, b) => EVENTS.indexOf(a) - EVENTS.indexOf(b)),
      events,
    );
  }
});

test('of two processes on one database either wakes the hosts of the other, and one goes on alone', { timeout: 120_000 }, async () => {
  const second = await startServer({ dataDir: server.dataDir });
  try {
    await rollouts.application('Pair');
    const { name, identity, credentials } = await rollouts.host('pair-1', { Fleet: 'Pair' });
    const where = { endpoint: second.endpoint, region: second.region };
    await using host = new SimulatedHost(where, name, identity, credentials);
    const killed = Promise.withResolvers<void>();
    host.behave = async (command): Promise<Outcome> => {
      if (command.CommandName === 'Install') {
        await host.acknowledge(command);
        await second.kill();
        where.endpoint = server.endpoint;
        killed.resolve();
      }
      return 'succeed';
    };
    host.start();
    const id = await rollouts.deploy('Pair', await rollouts.revision('pair.zip'));
    await killed.promise;
    assert.equal((await rollouts.settled(id)).status, 'Succeeded');
    assert.deepEqual(
      host.seen,
      EVENTS.map((event) => `${id} ${event}`),
    );
  } finally {
    await second.kill();
  }
});
