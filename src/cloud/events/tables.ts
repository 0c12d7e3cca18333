/** The rows of `schema/`. */
import type { Generated, JSONColumnType } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

export type Target = ShapeOf<'events', 'Target'>;

export interface BusesTable {
  account: string;
  region: string;
  name: string;
  description: string | null;
  policy: string | null;
  created_at: Generated<Date>;
  modified_at: Generated<Date>;
}

export interface RulesTable {
  account: string;
  region: string;
  bus: string;
  name: string;
  pattern: string | null;
  schedule: string | null;
  state: string;
  description: string | null;
  role_arn: string | null;
  created_by: string;
  next_fire: Date | null;
}

export interface TargetsTable {
  account: string;
  region: string;
  bus: string;
  rule: string;
  id: string;
  target: JSONColumnType<Target>;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'events.buses': BusesTable;
    'events.rules': RulesTable;
    'events.targets': TargetsTable;
    'events.tags': { arn: string; key: string; value: string };
    'events.delivered': { event_id: string; at: Generated<Date> };
  }
}
