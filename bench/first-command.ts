/**
 * From StartBuild to a build's first command, on an idle installation and beside 20 builds that run: on plain processes, in sandboxes and in containers. The peers, in
 * the same run: a plain spawn of the same command, and `docker run` of it on the same engine.
 *
 *     node_modules/.bin/node bench/first-command.ts [rounds]
 *
 * Told by the command's own clock, /proc/uptime: the one that the smallest image has in common with the host, in steps of 10 ms.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { TestEngine, testImage, whyNoEngine } from '../src/ports/machines/docker/test-engine.ts';
import { type BuildBench, buildBench, commands } from '../test/support/codebuild.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, percentile, type Section, toMarkdown, verdict } from './support/section.ts';

const RUNNING = 20;
const BUDGETS_MS = { process: 150, sandbox: 150, docker: 1_000 };
type Kind = keyof typeof BUDGETS_MS;
const run = promisify(execFile);
const CLOCK = 'cat /proc/uptime';
const environment = { type: 'LINUX_CONTAINER' as const, image: testImage, computeType: 'BUILD_GENERAL1_SMALL' as const };

export async function benchFirstCommand(rounds: number): Promise<Section> {
  const reason = await whyNoEngine();
  await using engine = reason ? undefined : await TestEngine.start();
  const rows = [row('plain spawn (peer)', await times(rounds, async () => clockOf((await run('sh', ['-c', CLOCK])).stdout)))];
  if (engine) {
    const args = ['--host', engine.host, 'run', '--rm', '--network', 'host', testImage, '/bin/sh', '-c', CLOCK];
    rows.push(row('`docker run` (peer)', await times(rounds, async () => clockOf((await run('docker', args)).stdout))));
  }
  for (const kind of ['process', 'sandbox', ...(engine ? (['docker'] as const) : [])] as const)
    rows.push(...(await builds(kind, rounds, engine)));
  return {
    title: 'StartBuild to the first command',
    columns: ['what', 'p50', 'p95', 'budget of p50', ''],
    rows,
    notes: [
      `${rounds} builds, one after the other; beside ${RUNNING} others each of which runs a command that waits. Server, database, engine and client share the cores.`,
      ...(reason ? [`No containers: ${reason}.`] : []),
      'Limit: a dozen short transactions, and the machine: a process, a sandbox with its namespaces, or what the engine needs for a container and three commands in it.',
    ],
  };
}

async function builds(kind: Kind, rounds: number, engine: TestEngine | undefined): Promise<string[][]> {
  const env = { PENSTOCK_BUILD_SLOTS: String(RUNNING + 4), ...(kind === 'docker' ? { PENSTOCK_DOCKER_HOST: engine!.host } : {}) };
  await using server = await startServer({ args: ['--machines', kind], env });
  const bench = await buildBench(server);
  await bench.project('bench', commands(CLOCK), { environment });
  await bench.project('waiting', commands('sleep 3600'), { environment });
  const idle = await times(rounds, () => firstCommand(bench));
  const waiting = await Promise.all(Array.from({ length: RUNNING }, () => begun(bench)));
  const busy = await times(rounds, () => firstCommand(bench));
  for (const id of waiting) await bench.codebuild.stopBuild({ id });
  for (const id of waiting) await bench.wait(id);
  return [row(`${kind}: idle`, idle, BUDGETS_MS[kind]), row(`${kind}: beside ${RUNNING} running builds`, busy)];
}

async function firstCommand(bench: BuildBench): Promise<number> {
  const { build } = await bench.codebuild.startBuild({ projectName: 'bench' });
  return clockOf(await bench.log(await bench.wait(build!.id!)));
}

/** A build whose command runs. */
async function begun(bench: BuildBench): Promise<string> {
  const { build } = await bench.codebuild.startBuild({ projectName: 'waiting' });
  await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
  return build!.id!;
}

/** How long after its beginning each round came to the moment that it tells. The first round warms everything. */
async function times(rounds: number, moment: () => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const began = clockOf(readFileSync('/proc/uptime', 'utf8'));
    all.push((await moment()) - began);
  }
  return all.slice(1);
}

/** ms since the host's boot, out of whatever a log has around it. */
function clockOf(text: string): number {
  return Number(/(\d+\.\d\d) \d+\.\d\d/.exec(text)?.[1]) * 1000;
}

function row(what: string, values: number[], budgetMs?: number): string[] {
  const limit = budgetMs === undefined ? '' : `< ${budgetMs} ms`;
  return [
    what,
    ms(median(values), 0),
    ms(percentile(values, 0.95), 0),
    limit,
    verdict(budgetMs === undefined ? undefined : median(values) < budgetMs),
  ];
}

if (import.meta.main) console.log(toMarkdown(await benchFirstCommand(Number(process.argv[2] ?? 100))));
