/** What a build asks of its machine. */
import type { Clients } from '../../../platform/aws.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { MachineDriver, MachineSpec } from '../../../ports/machines/port.ts';
import type { BuildLog } from '../runner/log.ts';
import type { BuildRow } from '../tables.ts';
import { limitsOf } from './environment.ts';
import { hostTools } from './host-tools.ts';
import { machineImage } from './image.ts';

/** Of a driver with images the project's image, else the host's tools. `clients`: of the service role, asked for only if a secret is needed. */
export async function machineSpec(
  platform: Platform,
  row: Pick<BuildRow, 'machine' | 'definition'>,
  clients: () => Promise<Clients>,
  log: BuildLog,
): Promise<MachineSpec> {
  const { machines, config } = platform;
  const environment = row.definition.environment;
  const common = { id: row.machine ?? '', limits: limitsOf(environment, config.buildProcesses), network: 'host' as const };
  if (!environment || !(await machines.probe()).images) return { ...common, ...hostTooling(machines, config.dataDir) };
  return {
    ...common,
    env: {},
    image: await machineImage(environment, config.images, clients, log),
    privileged: environment.privilegedMode ?? false,
    ...(environment.type?.includes('GPU') ? { gpus: 'all' as const } : {}),
  };
}

/** The host's tools, made visible. A plain process sees all of the host anyway. */
export function hostTooling(driver: MachineDriver, dataDir: string): Pick<MachineSpec, 'env' | 'mounts'> {
  const { path, mounts } = hostTools(dataDir);
  return { env: { PATH: path }, mounts: driver.name === 'sandbox' ? mounts : [] };
}
