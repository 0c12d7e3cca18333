/**
 * CodeDeploy's budgets: how soon a waiting agent has its next command, and how long a revision without hooks takes to a hundred hosts at
 * once. The agents are simulated, but speak the whole protocol over real HTTP with real signatures.
 *
 *     node_modules/.bin/node bench/codedeploy.ts [hosts]
 */
import { type Behaviour, Rollouts, type SimulatedHost } from '../test/support/codedeploy.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, percentile, type Section, toMarkdown, verdict } from './support/section.ts';

const WAKE_BUDGET_MS = 50;
const FLEET_BUDGET_MS = 15_000;
const ROUNDS = 15;

/** What AWS's agent answers for a revision without hooks: it has work only in two events. */
const withoutHooks: Behaviour = ({ CommandName }) => (CommandName === 'DownloadBundle' || CommandName === 'Install' ? 'succeed' : 'noop');

/**
 * From sending the report that ends one command to having the next in hand, by a poll that was already waiting. So the report itself and
 * its transaction are in the figure too.
 */
async function measureWake(rollouts: Rollouts): Promise<number[]> {
  await rollouts.application('Wake');
  const host = await rollouts.host('wake-1', { Fleet: 'Wake' });
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let waiting = host.poll();
    const id = await rollouts.deploy('Wake', await rollouts.revision('wake.zip'));
    for (let event = 0; event < 7; event++) {
      const command = (await waiting)!;
      await host.acknowledge(command);
      if (event === 6) {
        await host.complete(command, 'succeed');
        break;
      }
      waiting = host.poll();
      // The poll must be held by the server before the next command exists.
      await new Promise((resolve) => setTimeout(resolve, 30));
      const begin = performance.now();
      const completed = host.complete(command, 'succeed');
      await waiting;
      times.push(performance.now() - begin);
      await completed;
    }
    await rollouts.settled(id);
  }
  return times;
}

async function measureFleet(rollouts: Rollouts, name: string, count: number, behave: Behaviour): Promise<number> {
  await rollouts.application(name);
  const hosts: SimulatedHost[] = [];
  for (let index = 0; index < count; index++) hosts.push(await rollouts.host(`${name}-${index}`, { Fleet: name }));
  const revision = await rollouts.revision(`${name}.zip`);
  for (const host of hosts) {
    host.behave = behave;
    host.start();
  }
  const begin = performance.now();
  const id = await rollouts.deploy(name, revision, { deploymentConfigName: 'CodeDeployDefault.AllAtOnce' });
  const info = await rollouts.settled(id);
  const time = performance.now() - begin;
  if (info.deploymentOverview?.Succeeded !== count)
    throw new Error(`Only ${info.deploymentOverview?.Succeeded} of ${count} hosts succeeded.`);
  await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
  return time;
}

export async function benchCodeDeploy(hosts: number): Promise<Section> {
  await using server = await startServer();
  const rollouts = await Rollouts.open(server);
  try {
    const wakes = await measureWake(rollouts);
    const noop = await measureFleet(rollouts, 'NoHooks', hosts, withoutHooks);
    const all = await measureFleet(rollouts, 'AllHooks', hosts, () => 'succeed');
    const seconds = (time: number): string => `${(time / 1000).toFixed(2)} s`;
    const wake = `${ms(median(wakes))}, p95 ${ms(percentile(wakes, 0.95))}`;
    return {
      title: 'Deployments',
      columns: ['what', 'Penstock', 'budget', ''],
      rows: [
        [
          'report of one command → next command at a waiting agent',
          wake,
          `< ${WAKE_BUDGET_MS} ms`,
          verdict(median(wakes) < WAKE_BUDGET_MS),
        ],
        [`${hosts} hosts at once, revision without hooks`, seconds(noop), '< 15 s', verdict(noop < FLEET_BUDGET_MS)],
        [`${hosts} hosts at once, every event reported`, seconds(all), '', ''],
      ],
      notes: [
        'No peer: AWS’s own service lets agents poll. The simulated agents share the processor with the server.',
        'Limit: each lifecycle event of each host is two reports, each a transaction that wakes the next poll; the agents’ signatures cost as much CPU as the server’s.',
      ],
    };
  } finally {
    await rollouts.close();
  }
}

if (import.meta.main) console.log(toMarkdown(await benchCodeDeploy(Number(process.argv[2] ?? 100))));
