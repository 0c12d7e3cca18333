import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineSpec } from './port.ts';
import type { ProcessIdentity } from './proc.ts';

/** What a machine's directory remembers of it, so that another process can go on with it or clear it away. */
export interface MachineState {
  spec: MachineSpec;
  isolation: string;
  /** Name of its control group; undefined where there are none. */
  group?: string;
  /** Processes that keep its namespaces; the first is the namespaces' process 1. */
  holders: ProcessIdentity[];
  stopped: boolean;
}

/**
 * Layout of a machine's directory: `state.json` (readable by the server's user only: it holds the environment, secrets included),
 * `running/` (a file per exec that has not ended), `root/` (what the machine writes). Written by rename, so that it is whole or not there.
 */
export function saveState(directory: string, state: MachineState): void {
  const path = join(directory, 'state.json');
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** undefined when the machine was not completely made, or is partly removed. */
export function loadState(directory: string): MachineState | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Notes that an exec begins, so that a later process knows whom to kill. */
export function noteExec(directory: string, exec: string): void {
  writeFileSync(join(directory, 'running', exec), '');
}

export function noteExecEnded(directory: string, exec: string): void {
  rmSync(join(directory, 'running', exec), { force: true });
}

export function runningExecs(directory: string): string[] {
  try {
    return readdirSync(join(directory, 'running'));
  } catch {
    return [];
  }
}

/** Makes an empty machine directory. @throws EEXIST when there is a machine of that id. */
export function makeMachineDirectory(directory: string): void {
  mkdirSync(join(directory, '..'), { recursive: true, mode: 0o700 });
  mkdirSync(directory, { mode: 0o700 });
  mkdirSync(join(directory, 'running'));
  mkdirSync(join(directory, 'root'), { mode: 0o755 });
}
