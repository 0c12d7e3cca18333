import { createDummyMachines } from './dummy.ts';
import type { MachineDriver } from './port.ts';
import { createProcessMachines } from './process.ts';
import { createSandboxMachines } from './sandbox.ts';

export interface MachinesOptions {
  /** 'auto' is the sandbox where it works and plain processes where it does not. */
  kind: 'auto' | 'process' | 'sandbox' | 'docker' | 'kubernetes' | 'dummy';
  /** Machines live in `machines/` below it. */
  dataDir: string;
  /** By which this installation knows its machines from others' on the same engine; default: one for each data directory. */
  identity?: string;
  log: { warn(details: object, message: string): void };
}

/** Chooses the driver. A driver asked for by name is not replaced by a weaker one: its machines then fail, and say why. */
export async function createMachines({ kind, dataDir, log, identity }: MachinesOptions): Promise<MachineDriver> {
  switch (kind) {
    case 'dummy':
      return createDummyMachines();
    case 'process':
      return createProcessMachines({ dataDir });
    case 'sandbox':
      return createSandboxMachines({ dataDir });
    case 'docker':
      // Loaded only where it is wanted: the others start without it.
      return (await import('./docker/index.ts')).createDockerMachines({ dataDir, env: process.env, ...(identity ? { identity } : {}) });
    case 'kubernetes':
      return (await import('./kubernetes/index.ts')).createKubernetesMachines({
        dataDir,
        env: process.env,
        ...(identity ? { identity } : {}),
      });
    case 'auto':
      return await sandboxOrProcess(dataDir, log);
  }
}

async function sandboxOrProcess(dataDir: string, log: MachinesOptions['log']): Promise<MachineDriver> {
  const sandbox = createSandboxMachines({ dataDir });
  const { available, notes } = await sandbox.probe();
  if (available) return sandbox;
  log.warn({ notes }, "no sandbox works on this host: builds run as plain processes with the server's rights");
  return createProcessMachines({ dataDir });
}
