/** A machine of a test's own, on the drivers that need no service. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Capabilities, Machine, MachineSpec } from '../../src/ports/machines/port.ts';
import { createProcessMachines } from '../../src/ports/machines/process.ts';
import { createSandboxMachines } from '../../src/ports/machines/sandbox.ts';

export type TestDriver = 'process' | 'sandbox';

/** `remove` takes the machine's data directory with it. */
export async function newMachine(kind: TestDriver = 'process', more: Partial<Pick<MachineSpec, 'mounts' | 'env'>> = {}): Promise<Machine> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-machine-'));
  const driver = kind === 'process' ? createProcessMachines({ dataDir }) : createSandboxMachines({ dataDir });
  const machine = await driver.create({ id: `test-${randomUUID()}`, env: {}, network: 'host', ...more });
  const remove = machine.remove.bind(machine);
  machine.remove = async () => {
    await remove();
    await rm(dataDir, { recursive: true, force: true });
  };
  return machine;
}

/** Undefined when sandboxes work on this host, else why not. */
export async function noSandbox(): Promise<string | undefined> {
  const { available, notes } = await probeSandbox();
  return available ? undefined : notes.join('; ');
}

/** What sandboxes can do on this host. */
export async function probeSandbox(): Promise<Capabilities> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'penstock-machine-'));
  try {
    return await createSandboxMachines({ dataDir }).probe();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
