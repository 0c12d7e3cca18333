import type { MachineDriver } from '../port.ts';
import { connectionOf } from './connection.ts';
import { DockerDriver } from './driver.ts';
import { Engine } from './engine.ts';

export interface DockerOptions {
  dataDir: string;
  /** Where the engine's address is looked for. */
  env: NodeJS.ProcessEnv;
}

export function createDockerMachines({ dataDir, env }: DockerOptions): MachineDriver {
  return new DockerDriver(new Engine(connectionOf(env)), dataDir);
}
