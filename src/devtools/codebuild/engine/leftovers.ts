/** What is left of builds on the host where they ran: files and machines. Only processes of that host's data directory can remove all of it. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { placeOf } from '../../../platform/place.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { removeHostMachine } from '../sources/on-host.ts';
import type { BuildRow } from '../tables.ts';

/** For what a build is made of on its way to and from S3. */
export function buildDirectory(platform: Pick<Platform, 'config'>, machine: string): string {
  return path.join(platform.config.dataDir, 'tmp', machine);
}

/** As far as it can be reached from here: machines of an engine can be from anywhere. */
export async function removeHere(platform: Platform, machine: string): Promise<void> {
  await rm(buildDirectory(platform, machine), { recursive: true, force: true });
  await platform.machines.discard(machine);
  await removeHostMachine(platform, machine);
}

/** For a machine of this process that could not be removed, because its engine is away or its files cannot be deleted. */
export async function leaveForLater(platform: Platform, machine: string): Promise<void> {
  await platform.transaction((tx) => leave(tx, placeOf(platform.config.dataDir), machine));
}

/** In the transaction that takes a build from a dead process: whoever works on its data directory next clears up there. */
export async function leaveRest(
  tx: Transaction,
  platform: Platform,
  { place, machine }: Pick<BuildRow, 'place' | 'machine'>,
): Promise<void> {
  if (place === null || machine === null || place === placeOf(platform.config.dataDir)) return;
  await leave(tx, place, machine);
}

async function leave(tx: Transaction, place: string, machine: string): Promise<void> {
  await tx.sql
    .insertInto('codebuild.leftovers')
    .values({ place, machine })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** What processes of this data directory left behind when they died, or were taken for dead. `running`: machines that are still in use here. */
export async function clearLeftovers(platform: Platform, running: ReadonlySet<string>): Promise<void> {
  const place = placeOf(platform.config.dataDir);
  const rows = await platform.read.selectFrom('codebuild.leftovers').select('machine').where('place', '=', place).execute();
  for (const { machine } of rows) {
    if (running.has(machine)) continue;
    await removeHere(platform, machine);
    await platform.transaction(async (tx) => {
      await tx.sql.deleteFrom('codebuild.leftovers').where('place', '=', place).where('machine', '=', machine).execute();
    });
  }
}
