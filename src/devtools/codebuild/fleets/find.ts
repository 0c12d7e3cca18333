/** Fleets by name and ARN, and the fleet that a project or build asks for. */
import type { Reader, Transaction } from '../../../platform/platform.ts';
import type { Place } from '../names.ts';
import { invalid } from '../rules.ts';
import type { BuildDefinition } from '../tables.ts';
import { FLEET_RECONCILER, type FleetRow } from './tables.ts';

export function fleetArn({ account, region, name, id }: Pick<FleetRow, 'account' | 'region' | 'name' | 'id'>): string {
  return `arn:aws:codebuild:${region}:${account}:fleet/${name}:${id}`;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Name and id in a fleet's ARN; undefined when it is none, or of another account or region. */
export function parseFleetArn({ account, region }: Place, arn: string): { name: string; id: string } | undefined {
  const prefix = `arn:aws:codebuild:${region}:${account}:fleet/`;
  const [name, id, ...rest] = arn.startsWith(prefix) ? arn.slice(prefix.length).split(':') : [];
  return name && id && UUID.test(id) && rest.length === 0 ? { name, id } : undefined;
}

type Queries = Pick<Reader, 'selectFrom'>;

/** By name, or by ARN, of which the id decides: a fleet made anew under an old name is another one. */
export async function findFleet(queries: Queries, place: Place, given: string): Promise<FleetRow | undefined> {
  const parsed = parseFleetArn(place, given);
  const row = await queries
    .selectFrom('codebuild.fleets')
    .selectAll()
    .where('account', '=', place.account)
    .where('region', '=', place.region)
    .where('name', '=', parsed?.name ?? given)
    .executeTakeFirst();
  return parsed && row?.id !== parsed.id ? undefined : row;
}

type Asking = { fleet?: { fleetArn?: string } } | undefined;

/** The fleet that this environment asks for, if it does. Throws InvalidInputException when there is none, or it is being deleted. */
export async function requireFleet(queries: Queries, place: Place, environment: Asking): Promise<FleetRow | undefined> {
  const arn = environment?.fleet?.fleetArn;
  if (!arn) return undefined;
  const fleet = await findFleet(queries, place, arn);
  if (!fleet || !arn.startsWith('arn:')) throw invalid(`Fleet cannot be found: ${arn}`);
  if (fleet.status === 'PENDING_DELETION') throw invalid(`Fleet is being deleted: ${arn}`);
  return fleet;
}

/**
 * The fleet of a build that is about to be queued, whose machine is then as large as the fleet's are. A fleet that is gone, or going, fails the
 * build later: who queues it (a batch, a retry) has nobody to tell. The fleet cannot be deleted before the transaction is over.
 */
export async function enterFleet(
  tx: Transaction,
  place: Place,
  definition: BuildDefinition,
): Promise<{ fleet: string | null; definition: BuildDefinition }> {
  const { environment } = definition;
  const id = parseFleetArn(place, environment?.fleet?.fleetArn ?? '')?.id;
  if (!environment || id === undefined) return { fleet: null, definition };
  const fleet = await tx.sql.selectFrom('codebuild.fleets').selectAll().where('id', '=', id).forShare().executeTakeFirst();
  if (!fleet || fleet.status === 'PENDING_DELETION') {
    await tx.reconcile(FLEET_RECONCILER, id);
    return { fleet: id, definition };
  }
  const { computeType, computeConfiguration } = fleet.definition;
  return { fleet: id, definition: { ...definition, environment: { ...environment, computeType, computeConfiguration } } };
}
