/**
 * From StartBuild to the first command of a build in a container, and what the driver takes of it; beside `docker run` of the same command on the
 * same engine, which is started for this and has one small image.
 *
 *     node_modules/.bin/node bench/containers.ts [rounds]
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createDockerMachines } from '../src/ports/machines/docker/index.ts';
import { TestEngine, testImage, whyNoEngine } from '../src/ports/machines/docker/test-engine.ts';
import type { Machine } from '../src/ports/machines/port.ts';
import { buildBench, commands } from '../test/support/codebuild.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, percentile, type Section, toMarkdown, verdict } from './support/section.ts';

const BUDGET_MS = 1_000;
const run = promisify(execFile);

/** Seconds since the host's boot, in steps of 10 ms: the one clock that the smallest image has in common with the host. */
const clock = 'cat /proc/uptime';

function now(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
}

function clockOf(text: string): number {
  return Number(/(\d+\.\d\d) \d+\.\d\d/.exec(text)?.[1]) * 1000;
}

export async function benchContainers(rounds: number): Promise<Section> {
  const columns = ['what', 'median', 'p95', 'budget', ''];
  const reason = await whyNoEngine();
  if (reason) return { title: 'Containers', columns, rows: [[reason, '', '', '', '']], notes: [] };
  await using engine = await TestEngine.start();
  const docker = await times(rounds, () => dockerRun(engine));
  const driver = createDockerMachines({ dataDir: join(engine.directory, 'bench'), env: engine.env });
  const spec = { env: {}, network: 'host' as const, image: { name: testImage } };
  const create = await times(rounds, async (round) => {
    const began = performance.now();
    const machine = await driver.create({ id: `bench-${round}`, ...spec });
    const time = await firstOutput(machine, began);
    await machine.remove();
    return time;
  });
  const warm = await driver.create({ id: 'warm', ...spec });
  const exec = await times(rounds, () => firstOutput(warm, performance.now()));
  await warm.remove();
  const builds = await startBuilds(engine, rounds);
  const row = (what: string, values: number[]): string[] => [what, ms(median(values), 0), ms(percentile(values, 0.95), 0), '', ''];
  return {
    title: 'Containers',
    columns,
    rows: [
      row('`docker run` → first output (peer)', docker),
      row('machine: create → first output', create),
      row('machine: exec → first output', exec),
      [...row('StartBuild → first command', builds).slice(0, 3), `< ${BUDGET_MS} ms`, verdict(median(builds) < BUDGET_MS)],
    ],
    notes: [
      `${rounds} rounds each, one after the other, on an image of 2 MB that is there, with the host's network; builds by the command's own clock.`,
      'Limit: the engine needs about 100 ms for a container and 50 ms for each command in it; a build needs one container and three commands.',
    ],
  };
}

/** The first round warms everything. */
async function times(rounds: number, once: (round: number) => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round <= rounds; round++) all.push(await once(round));
  return all.slice(1);
}

async function dockerRun(engine: TestEngine): Promise<number> {
  const began = now();
  const args = ['--host', engine.host, 'run', '--rm', '--network', 'host', testImage, '/bin/sh', '-c', clock];
  const { stdout } = await run('docker', args, { env: { PATH: process.env.PATH } });
  return clockOf(stdout) - began;
}

async function firstOutput(machine: Machine, began: number): Promise<number> {
  let time = 0;
  await machine.exec({
    argv: ['/bin/sh', '-c', clock],
    onOutput: () => {
      time ||= performance.now() - began;
    },
  });
  return time;
}

async function startBuilds(engine: TestEngine, rounds: number): Promise<number[]> {
  await using server = await startServer({ args: ['--machines', 'docker'], env: { PENSTOCK_DOCKER_HOST: engine.host } });
  const bench = await buildBench(server);
  const environment = { type: 'LINUX_CONTAINER' as const, image: testImage, computeType: 'BUILD_GENERAL1_SMALL' as const };
  await bench.project('bench', commands(clock), { environment });
  return await times(rounds, async () => {
    const began = now();
    const { build } = await bench.codebuild.startBuild({ projectName: 'bench' });
    return clockOf(await bench.log(await bench.wait(build!.id!))) - began;
  });
}

if (import.meta.main) console.log(toMarkdown(await benchContainers(Number(process.argv[2] ?? 20))));
