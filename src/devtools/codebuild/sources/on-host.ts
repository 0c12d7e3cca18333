/** Sources for machines that are made of images: an image need not have git, and its commands need not see what git is told to get in. */
import type { Platform } from '../../../platform/platform.ts';
import { hostTooling } from '../engine/machine-spec.ts';
import type { OneSource, SourceContext } from './fetch.ts';

/** Of the machine on the host, by that of the build. */
export function hostMachineId(machine: string): string {
  return `${machine}-git`;
}

/** `fetch` makes a source's target on the machine that it is given: the build's own, or one of the host from which it is put into that. */
export async function fetchOnHost<T>(
  context: SourceContext,
  one: OneSource,
  fetch: (context: SourceContext, one: OneSource) => Promise<T>,
): Promise<T> {
  const { platform, machine, row, signal } = context;
  if (machine.image === undefined) return fetch(context, one);
  const driver = platform.hostMachines;
  const id = hostMachineId(row.machine ?? '');
  const host = await driver.create({ id, network: 'host', ...hostTooling(driver, platform.config.dataDir) }, signal);
  try {
    const target = `${host.workdir}/source`;
    const result = await fetch({ ...context, machine: host }, { ...one, target });
    await machine.put(one.target, await host.get(target));
    return result;
  } finally {
    await host.remove();
  }
}

/** What a process that died may have left of it. */
export async function removeHostMachine({ hostMachines, machines }: Platform, machine: string): Promise<void> {
  if (hostMachines !== machines) await hostMachines.discard(hostMachineId(machine));
}
