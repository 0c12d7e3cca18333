/** How much room fleets have: how many builds each may run now, and which waiting builds may begin. */
import { type RawBuilder, sql } from 'kysely';
import type { Reader, Transaction } from '../../../platform/platform.ts';
import type { FleetDefinition, FleetRow } from './tables.ts';

export interface Load {
  /** Builds in one of the fleet's places. */
  running: number;
  waiting: number;
}

/** Builds of each of these fleets. */
export async function loadOf(sqlReader: Pick<Reader, 'selectFrom'>, fleets: Pick<FleetRow, 'id'>[]): Promise<Map<string, Load>> {
  if (fleets.length === 0) return new Map();
  const rows = await sqlReader
    .selectFrom('codebuild.builds')
    .select([
      'fleet',
      sql<string>`count(*) filter (where owner is not null and in_fleet)`.as('running'),
      sql<string>`count(*) filter (where owner is null)`.as('waiting'),
    ])
    .where('status', '=', 'IN_PROGRESS')
    .where(
      'fleet',
      'in',
      fleets.map(({ id }) => id),
    )
    .groupBy('fleet')
    .execute();
  return new Map(rows.map(({ fleet, running, waiting }) => [fleet!, { running: Number(running), waiting: Number(waiting) }]));
}

/**
 * The places that a fleet has now. Machines are made for each build anyway, so scaling is at once: as many places as keep the share of taken
 * ones at the target, at least the base and at most the maximum.
 */
export function capacityOf({ baseCapacity, scalingConfiguration }: FleetDefinition, { running, waiting }: Load): number {
  const max = scalingConfiguration?.maxCapacity;
  if (max === undefined) return baseCapacity;
  const target = scalingConfiguration?.targetTrackingScalingConfigs?.[0]?.targetValue ?? 100;
  return Math.min(max, Math.max(baseCapacity, Math.ceil(((running + waiting) * 100) / target)));
}

/** Which fleets' builds may begin: in one of its places, or outside of a full one that overflows. */
export type Room = Map<string, 'place' | 'overflow'>;

/** Undefined when the account has no fleets. Nobody else takes places in them until this transaction is over. */
export async function roomInFleets(tx: Transaction, account: string): Promise<Room | undefined> {
  const fleets = () => tx.sql.selectFrom('codebuild.fleets').selectAll().where('account', '=', account).execute();
  if ((await fleets()).length === 0) return undefined;
  await sql`select pg_advisory_xact_lock(hashtextextended(${`codebuild.fleets ${account}`}, 0))`.execute(tx.sql);
  const known = await fleets();
  const loads = await loadOf(tx.sql, known);
  const room: Room = new Map();
  for (const { id, status, definition } of known) {
    // Nothing new begins in one that is to be deleted, or is not there yet.
    if (status !== 'ACTIVE' && status !== 'UPDATING') continue;
    const load = loads.get(id);
    if (!load) room.set(id, 'place');
    else if (load.running < capacityOf(definition, load)) room.set(id, 'place');
    else if (definition.overflowBehavior === 'ON_DEMAND') room.set(id, 'overflow');
  }
  return room;
}

/** A condition on queued builds. */
export function mayBegin(room: Room | undefined): RawBuilder<boolean> {
  if (!room) return sql<boolean>`fleet is null`;
  return sql<boolean>`(fleet is null or fleet = any(${[...room.keys()]}::uuid[]))`;
}
