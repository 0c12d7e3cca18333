import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { Bench, finish, sh } from './contract-bench.ts';
import { scan } from './proc.ts';
import type { MachineState } from './state.ts';
import { leftovers, nothing, realSubjects, whyNot } from './test-subjects.ts';

/** A server that makes two machines, starts commands in them, says so, and then waits to be killed. */
const server = `
const { realSubjects } = await import(process.argv[1]);
const { sh } = await import(process.argv[4]);
const driver = realSubjects.find(({ name }) => name === process.argv[2]).open(process.argv[3]);
const limits = { pids: 100, memoryBytes: 2 ** 28 };
for (const id of ['claimed', 'lost']) {
  const machine = await driver.create({ id, env: { WHO: id }, network: 'host', limits });
  await machine.exec(sh('setsid sleep 1001 >/dev/null 2>&1 </dev/null & echo $! >service; echo kept >file'));
  const command = sh('(trap "" TERM HUP; setsid sleep 1002) & echo ready; while :; do echo working; sleep 0.02; done');
  await new Promise((resolve) => machine.exec({ ...command, onOutput: resolve }));
}
console.log('ready');
setInterval(() => {}, 1000);
`;

/** The same, killed while it is making machines. */
const hurried = `
const { realSubjects } = await import(process.argv[1]);
const driver = realSubjects.find(({ name }) => name === process.argv[2]).open(process.argv[3]);
await driver.probe();
console.log('ready');
for (let count = 0; ; count++) await driver.create({ id: 'machine-' + count, env: {}, network: 'host' });
`;

async function killedServer(script: string, name: string, dataDir: string, delayMs: number): Promise<void> {
  const support = new URL('./test-subjects.ts', import.meta.url).href;
  const bench = new URL('./contract-bench.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, support, name, dataDir, bench], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await Promise.race([once(createInterface(child.stdout), 'line'), exited]);
  assert.equal(child.exitCode, null, 'the server runs');
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  child.kill('SIGKILL');
  await exited;
}

for (const subject of realSubjects) {
  describe(`a server killed with SIGKILL: ${subject.name}`, { skip: await whyNot(subject) }, () => {
    test('leaves machines that another one adopts or sweeps away', async () => {
      await using bench = new Bench(subject);
      await killedServer(server, subject.name, bench.dataDir, 0);
      const machine = await bench.driver.adopt('claimed');
      assert.ok(machine);
      await bench.driver.sweep(new Set(['claimed']));
      const left = await leftovers(bench.dataDir);
      assert.deepEqual(left.directories, ['claimed']);
      const { stdout } = await finish(
        machine,
        sh('cat file; echo "$WHO"; kill -0 $(cat service) && echo service; ls -d /proc/[0-9]* >/dev/null; echo go on'),
      );
      assert.equal(stdout, 'kept\nclaimed\nservice\ngo on\n', 'files, environment and background processes are still there');
      const commands = scan().map(({ pid }) => commandLine(pid));
      assert.ok(!commands.includes('sleep 1002'), 'what was running is ended, daemons of it too');
      assert.equal(commands.filter((line) => line === 'sleep 1001').length, 1, 'the other machine is gone, with its service');
      await machine.remove();
      assert.deepEqual(await leftovers(bench.dataDir), nothing);
    });

    test('can be killed at any moment of making a machine, and nothing stays', async () => {
      await using bench = new Bench(subject);
      for (const delayMs of [2, 8, 20]) {
        await killedServer(hurried, subject.name, bench.dataDir, delayMs);
        await bench.driver.sweep(new Set());
        assert.deepEqual(await leftovers(bench.dataDir), nothing, `after ${delayMs} ms`);
      }
    });

    test('never costs the life of a process that has been given a pid from before', async () => {
      await using bench = new Bench(subject);
      const bystander = spawn('sleep', ['1003'], { stdio: 'ignore' });
      try {
        await bench.machine('old');
        const file = join(bench.dataDir, 'machines', bench.driver.name, 'old', 'state.json');
        const state: MachineState = JSON.parse(readFileSync(file, 'utf8'));
        const real = state.holders;
        const recycled = { pid: bystander.pid!, startTime: '1', boot: real[0]?.boot ?? '' };
        writeFileSync(file, JSON.stringify({ ...state, holders: [recycled] }));
        const machine = await bench.reopen().adopt('old');
        assert.equal((await finish(machine!, sh('echo held anew'))).stdout, 'held anew\n');
        writeFileSync(file, JSON.stringify({ ...state, holders: [recycled, ...real] }));
        await bench.reopen().sweep(new Set());
        assert.equal(bystander.exitCode ?? bystander.signalCode, null);
      } finally {
        bystander.kill('SIGKILL');
      }
    });

    test('leaves half-made and damaged machines that are discarded one by one', async () => {
      await using bench = new Bench(subject);
      const machines = join(bench.dataDir, 'machines', bench.driver.name);
      for (const id of ['empty', 'damaged']) mkdirSync(join(machines, id), { recursive: true });
      writeFileSync(join(machines, 'damaged', 'state.json'), '{"spec":');
      for (const id of ['empty', 'damaged']) {
        assert.equal(await bench.driver.adopt(id), undefined);
        await bench.driver.discard(id);
      }
      assert.deepEqual(await leftovers(bench.dataDir), nothing);
    });

    test('leaves half-made and damaged machines that are swept away', async () => {
      await using bench = new Bench(subject);
      const machines = join(bench.dataDir, 'machines', bench.driver.name);
      for (const id of ['empty', 'damaged']) mkdirSync(join(machines, id), { recursive: true });
      writeFileSync(join(machines, 'damaged', 'state.json'), '{"spec":');
      assert.equal(await bench.driver.adopt('damaged'), undefined);
      await bench.driver.sweep(new Set());
      assert.deepEqual(await leftovers(bench.dataDir), nothing);
    });
  });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean).join(' ');
  } catch {
    return '';
  }
}
