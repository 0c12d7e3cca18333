/** The rows of `schema/`. */
import type { Generated } from 'kysely';

export interface ChunksTable {
  day: string;
  id: string;
  account: string;
  region: string;
  first_at: number;
  last_at: number;
  count: number;
  data: boolean;
  attributes: unknown;
  events: Buffer;
}

export interface JournalsTable {
  id: string;
  shipped: number;
  moved_at: Generated<Date>;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'cloudtrail.chunks': ChunksTable;
    'cloudtrail.journals': JournalsTable;
  }
}
