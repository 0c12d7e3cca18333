/** `penstock machines check`: does what runs builds on this host, or on a user's own engine, keep what machines promise? */
import { setTimeout as delay } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { ConfigError } from '../platform/config.ts';
import { type Check, contract } from '../ports/machines/contract.ts';
import { Bench, type Subject, shell } from '../ports/machines/contract-bench.ts';
import { commandContract } from '../ports/machines/contract-commands.ts';
import { createMachines } from '../ports/machines/index.ts';
import type { Capabilities, MachineDriver } from '../ports/machines/port.ts';

const DEFAULT_IMAGE = 'public.ecr.aws/docker/library/busybox:latest';
/** Longer than any of them takes on an engine that works. */
const CHECK_MS = 120_000;

interface CheckOptions {
  machines: Kind;
  image: string;
}
type Kind = 'auto' | 'process' | 'sandbox' | 'docker' | 'kubernetes';

export function machinesCommand(): Command {
  const check = new Command('check')
    .description('try everything that builds rely on, and print line by line what was proved')
    .addOption(
      new Option('--machines <driver>', 'what to check')
        .choices(['auto', 'process', 'sandbox', 'docker', 'kubernetes'])
        .env('PENSTOCK_MACHINES')
        .default('auto'),
    )
    .option('--image <name>', 'what containers are made of; it needs a shell and the usual small tools', DEFAULT_IMAGE)
    .addHelpText(
      'after',
      '\nNeeds no server, and changes nothing but machines of its own. Exit status 1 when a promise is not kept.\n\nExamples:\n  penstock machines check\n  DOCKER_HOST=unix:///run/podman/podman.sock penstock machines check --machines docker --image debian:12',
    )
    .action((options: CheckOptions) => checkMachines(options));
  return new Command('machines').description('what runs builds').addCommand(check);
}

async function checkMachines(options: CheckOptions): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(new Error('interrupted')));
  const subject = await subjectOf(options);
  const { available, isolation, notes, limits } = await capabilitiesOf(subject);
  if (!available) throw new ConfigError(`${subject.name} does not work here: ${notes.join('; ')}`);
  print(`${isolation}\n${notes.map((note) => `  note: ${note}\n`).join('')}`);
  let broken = 0;
  for (const [what, checks] of [
    ['machine', contract],
    ['commands', commandContract],
  ] as const) {
    for (const check of checks) {
      if (stop.signal.aborted) break;
      if (!(await run(subject, what, check, limits, stop.signal))) broken += 1;
    }
  }
  stop.signal.throwIfAborted();
  print(broken === 0 ? 'Every promise was kept.\n' : `${broken} ${broken === 1 ? 'promise was' : 'promises were'} not kept.\n`);
  process.exitCode = broken === 0 ? 0 : 1;
}

async function subjectOf({ machines, image }: CheckOptions): Promise<Subject> {
  const open = await opener(machines);
  return {
    name: machines,
    open,
    ...shell,
    ...(machines === 'docker' || machines === 'kubernetes' ? { spec: { image: { name: image } } } : {}),
  };
}

/** Makes a driver for a data directory of the check's own, so that it knows no other machines than its own. */
async function opener(kind: Kind): Promise<(dataDir: string) => MachineDriver> {
  switch (kind) {
    case 'docker': {
      const { createDockerMachines } = await import('../ports/machines/docker/index.ts');
      return (dataDir) => createDockerMachines({ dataDir, env: process.env });
    }
    case 'kubernetes': {
      const { createKubernetesMachines } = await import('../ports/machines/kubernetes/index.ts');
      return (dataDir) => createKubernetesMachines({ dataDir, env: process.env });
    }
    case 'process': {
      const { createProcessMachines } = await import('../ports/machines/process.ts');
      return (dataDir) => createProcessMachines({ dataDir });
    }
    case 'sandbox': {
      const { createSandboxMachines } = await import('../ports/machines/sandbox.ts');
      return (dataDir) => createSandboxMachines({ dataDir });
    }
    case 'auto':
      return await opener(await best());
  }
}

async function best(): Promise<'sandbox' | 'process'> {
  await using bench = new Bench({ name: 'auto', open: await opener('sandbox'), ...shell });
  const { name } = await createMachines({
    kind: 'auto',
    dataDir: bench.dataDir,
    log: { warn: (_, message) => print(`  note: ${message}\n`) },
  });
  return name === 'sandbox' ? 'sandbox' : 'process';
}

async function capabilitiesOf(subject: Subject): Promise<Capabilities> {
  await using bench = new Bench(subject);
  return await bench.driver.probe();
}

/** Whether the promise was kept, or there is nothing to keep. */
async function run(subject: Subject, what: string, check: Check, limits: Capabilities['limits'], signal: AbortSignal): Promise<boolean> {
  const line = `${what} ${check.name}`;
  if (check.needs && !limits[check.needs]) {
    print(`skipped  ${line}: there is no limit of ${check.needs}\n`);
    return true;
  }
  const began = performance.now();
  try {
    await using bench = new Bench(subject);
    await Promise.race([check.run(bench), tooLong(signal)]);
    print(`ok       ${line} (${Math.round(performance.now() - began)} ms)\n`);
    return true;
  } catch (error) {
    print(`BROKEN   ${line}\n         ${(error as Error).message.replaceAll('\n', '\n         ')}\n`);
    return false;
  }
}

async function tooLong(signal: AbortSignal): Promise<never> {
  await delay(CHECK_MS, undefined, { signal, ref: false });
  throw new Error(`it took longer than ${CHECK_MS / 1000} s`);
}

function print(text: string): void {
  process.stdout.write(text);
}
