/**
 * How long a machine takes from create to the first output, and a command in a machine that is there already; beside a plain process
 * and bubblewrap alone, which are the least that any isolation costs; for containers beside `docker run`.
 *
 *   node_modules/.bin/node bench/machines.ts [rounds]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDockerMachines } from '../src/ports/machines/docker/index.ts';
import { TestEngine, testImage, whyNoEngine } from '../src/ports/machines/docker/test-engine.ts';
import type { Machine, MachineDriver, MachineSpec } from '../src/ports/machines/port.ts';
import { createProcessMachines } from '../src/ports/machines/process.ts';
import { createSandboxMachines } from '../src/ports/machines/sandbox.ts';
import { median, ms, percentile, type Section, toMarkdown } from './support/section.ts';

const command = ['/bin/echo', 'hello'];
const wrapped = [
  'bwrap',
  '--ro-bind',
  '/usr',
  '/usr',
  '--symlink',
  'usr/bin',
  '/bin',
  '--symlink',
  'usr/lib',
  '/lib',
  '--symlink',
  'usr/lib64',
  '/lib64',
];
const bubblewrap = [...wrapped, '--proc', '/proc', '--dev', '/dev', '--unshare-pid', '--unshare-ipc', '--unshare-uts', ...command];

async function measure(rounds: number, what: string, once: (round: number) => Promise<number>): Promise<string[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds + 3; round++) {
    const time = await once(round);
    // The first ones find nothing in the caches.
    if (round >= 3) times.push(time);
  }
  return [what, ms(median(times)), ms(percentile(times, 0.95))];
}

async function firstOutputOf([program, ...args]: string[]): Promise<number> {
  const begin = performance.now();
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const time = performance.now() - begin;
  if (child.exitCode === null) await once(child, 'exit');
  return time;
}

async function firstOutput(machine: Machine, begin: number): Promise<number> {
  let time = 0;
  await machine.exec({
    argv: command,
    onOutput: () => {
      time ||= performance.now() - begin;
    },
  });
  return time;
}

async function measureDriver(rounds: number, name: string, driver: MachineDriver, more: Partial<MachineSpec> = {}): Promise<string[][]> {
  const { available, notes, isolation } = await driver.probe();
  if (!available) return [[`${name}: ${notes.join('; ')}`, '', '']];
  const limits = { memoryBytes: 2 ** 30, cpus: 2, pids: 1000 };
  const fromCreate = await measure(rounds, `${name}: create → first output`, async (round) => {
    const begin = performance.now();
    const machine = await driver.create({ id: `bench-${round}`, env: {}, limits, network: 'host', ...more });
    const time = await firstOutput(machine, begin);
    await machine.remove();
    return time;
  });
  const warm = await driver.create({ id: 'bench-warm', env: {}, limits, network: 'host', ...more });
  const first = await measure(rounds, `${name}: exec → first output`, () => firstOutput(warm, performance.now()));
  const whole = await measure(rounds, `${name}: exec, whole`, async () => {
    const begin = performance.now();
    await warm.exec({ argv: command });
    return performance.now() - begin;
  });
  await warm.remove();
  return [[`— ${isolation}`, '', ''], fromCreate, first, whole];
}

/** On an engine of its own with one small image, and the host's network. */
async function measureContainers(rounds: number, dataDir: string): Promise<string[][]> {
  const reason = await whyNoEngine();
  if (reason) return [[`containers: ${reason}`, '', '']];
  await using engine = await TestEngine.start();
  const peer = ['docker', '--host', engine.host, 'run', '--rm', '--network', 'host', testImage, ...command];
  return [
    await measure(rounds, 'docker run → first output', () => firstOutputOf(peer)),
    ...(await measureDriver(rounds, 'docker', createDockerMachines({ dataDir, env: engine.env }), { image: { name: testImage } })),
  ];
}

export async function benchMachines(rounds: number): Promise<Section> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
  try {
    return {
      title: 'Machines',
      columns: ['what', 'median', 'p95'],
      rows: [
        await measure(rounds, 'plain spawn → first output', () => firstOutputOf(command)),
        await measure(rounds, 'bwrap alone → first output', () => firstOutputOf(bubblewrap)).catch(() => ['bwrap: not installed', '', '']),
        ...(await measureDriver(rounds, 'process', createProcessMachines({ dataDir }))),
        ...(await measureDriver(rounds, 'bubblewrap', createSandboxMachines({ dataDir, builder: 'bubblewrap' }))),
        ...(await measureDriver(rounds, 'unshare', createSandboxMachines({ dataDir, builder: 'unshare' }))),
        ...(await measureContainers(rounds, dataDir)),
      ],
      notes: [
        `${rounds} rounds each; peers: a plain spawn, bubblewrap alone and docker run, in the same run. No budget of their own: they are part of StartBuild's.`,
        'Limit: making namespaces, mounts and control groups in the kernel; a command in a machine that is there already is one spawn more.',
      ],
    };
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

if (import.meta.main) console.log(toMarkdown(await benchMachines(Number(process.argv[2] ?? 50))));
