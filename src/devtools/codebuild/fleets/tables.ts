/** The rows of `schema/042-fleets.sql`. */
import type { JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../../platform/service.ts';

export type Fleet = ShapeOf<'codebuild', 'Fleet'>;

/** The parts of a Fleet that the user sets. */
export type FleetDefinition = Pick<Fleet, 'computeConfiguration' | 'scalingConfiguration' | 'fleetServiceRole'> &
  Required<Pick<Fleet, 'baseCapacity' | 'environmentType' | 'computeType' | 'overflowBehavior'>>;

export interface FleetsTable {
  account: string;
  region: string;
  name: string;
  id: string;
  definition: JSONColumnType<FleetDefinition, string, string>;
  tags: JSONColumnType<Record<string, string>, string, string>;
  status: 'CREATING' | 'UPDATING' | 'ACTIVE' | 'PENDING_DELETION';
  created_at: Date;
  modified_at: Date;
}

export type FleetRow = Selectable<FleetsTable>;

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.fleets': FleetsTable;
  }
}

export const FLEET_RECONCILER = 'codebuild.fleet';
