import { join } from 'node:path';
import { identityIn } from '../identity.ts';
import type { MachineDriver } from '../port.ts';
import { connectionOf } from './connection.ts';
import { DockerDriver } from './driver.ts';
import { Engine } from './engine.ts';

export interface DockerOptions {
  dataDir: string;
  /** Tells the containers of this installation from others'; default: one that is made for the data directory. */
  identity?: string;
  /** Where the engine's address is looked for. */
  env: NodeJS.ProcessEnv;
}

export function createDockerMachines({ dataDir, env, identity }: DockerOptions): MachineDriver {
  return new DockerDriver(new Engine(connectionOf(env)), identity ?? identityIn(join(dataDir, 'machines', 'docker')));
}
