/**
 * How long a machine takes from create to the first output, and a command in a machine that is there already; beside a plain process
 * and bubblewrap alone, which are the least that any isolation costs.
 *
 *   node_modules/.bin/node bench/machines.ts [rounds]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Machine, MachineDriver } from '../src/ports/machines/port.ts';
import { createProcessMachines } from '../src/ports/machines/process.ts';
import { createSandboxMachines } from '../src/ports/machines/sandbox.ts';

const rounds = Number(process.argv[2] ?? 50);
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

interface Row {
  what: string;
  median: string;
  p95: string;
}

async function measure(what: string, once: (round: number) => Promise<number>): Promise<Row> {
  const times: number[] = [];
  for (let round = 0; round < rounds + 3; round++) {
    const time = await once(round);
    // The first ones find nothing in the caches.
    if (round >= 3) times.push(time);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => `${times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1)} ms`;
  return { what, median: at(0.5), p95: at(0.95) };
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

async function measureDriver(name: string, driver: MachineDriver): Promise<Row[]> {
  const { available, notes, isolation } = await driver.probe();
  if (!available) return [{ what: `${name}: ${notes.join('; ')}`, median: '-', p95: '-' }];
  const limits = { memoryBytes: 2 ** 30, cpus: 2, pids: 1000 };
  const fromCreate = await measure(`${name}: create → first output`, async (round) => {
    const begin = performance.now();
    const machine = await driver.create({ id: `bench-${round}`, env: {}, limits, network: 'host' });
    const time = await firstOutput(machine, begin);
    await machine.remove();
    return time;
  });
  const warm = await driver.create({ id: 'bench-warm', env: {}, limits, network: 'host' });
  const first = await measure(`${name}: exec → first output`, () => firstOutput(warm, performance.now()));
  const whole = await measure(`${name}: exec, whole`, async () => {
    const begin = performance.now();
    await warm.exec({ argv: command });
    return performance.now() - begin;
  });
  await warm.remove();
  return [{ what: `— ${isolation}`, median: '', p95: '' }, fromCreate, first, whole];
}

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
try {
  const rows = [
    await measure('plain spawn → first output', () => firstOutputOf(command)),
    await measure('bwrap alone → first output', () => firstOutputOf(bubblewrap)).catch(() => ({
      what: 'bwrap: not installed',
      median: '-',
      p95: '-',
    })),
    ...(await measureDriver('process', createProcessMachines({ dataDir }))),
    ...(await measureDriver('bubblewrap', createSandboxMachines({ dataDir, builder: 'bubblewrap' }))),
    ...(await measureDriver('unshare', createSandboxMachines({ dataDir, builder: 'unshare' }))),
  ];
  console.log(
    `${rounds} rounds, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}, user ${process.getuid?.()}, Node ${process.version}\n`,
  );
  const width = Math.max(...rows.map(({ what }) => what.length));
  console.log(`| ${'what'.padEnd(width)} | ${'median'.padStart(8)} | ${'p95'.padStart(8)} |`);
  console.log(`| ${'-'.repeat(width)} | -------: | -------: |`);
  for (const { what, median, p95 } of rows) console.log(`| ${what.padEnd(width)} | ${median.padStart(8)} | ${p95.padStart(8)} |`);
} finally {
  rmSync(dataDir, { recursive: true });
}
