/** Rows of CloudWatch Logs. Times are milliseconds since 1970, as in its API. */
import type { Generated } from 'kysely';

export interface GroupRow {
  id: string;
  account: string;
  region: string;
  name: string;
  class: 'STANDARD' | 'INFREQUENT_ACCESS' | 'DELIVERY';
  retention_days: number | null;
  deletion_protected: boolean;
  tags: Record<string, string>;
  created_at: number;
  kms_key_id: string | null;
  data_key: string | null;
}

export interface DataKeyRow {
  id: string;
  group_id: string;
  kms_key_id: string;
  wrapped_key: string;
}

interface GroupTable extends Omit<GroupRow, 'tags'> {
  tags: import('kysely').ColumnType<Record<string, string>, string, string>;
}

export interface StreamRow {
  id: string;
  group_id: string;
  name: string;
  created_at: number;
  first_event_at: number | null;
  last_event_at: number | null;
  last_ingested_at: number | null;
  stored_bytes: number;
}

interface StreamTable extends Omit<StreamRow, 'stored_bytes' | 'first_event_at' | 'last_event_at' | 'last_ingested_at'> {
  first_event_at: Generated<number | null>;
  last_event_at: Generated<number | null>;
  last_ingested_at: Generated<number | null>;
  stored_bytes: Generated<number>;
}

export interface ChunkRow {
  id: number;
  group_id: string;
  stream_id: string;
  first_at: number;
  last_at: number;
  ingested_at: number;
  size: number;
  compressed: boolean;
  /** Under which `events` is sealed; null where it is as it was packed. */
  data_key: string | null;
  events: Buffer;
}

interface ChunkTable extends Omit<ChunkRow, 'id'> {
  id: Generated<number>;
}

export interface QueryRow {
  id: string;
  account: string;
  region: string;
  principal: string;
  groups: string[];
  group_names: string[];
  query: string;
  start_at: number;
  end_at: number;
  row_limit: number | null;
  status: 'Scheduled' | 'Running' | 'Complete' | 'Failed' | 'Cancelled' | 'Timeout';
  created_at: number;
  ended_at: number | null;
  statistics: { recordsMatched?: number; recordsScanned?: number; bytesScanned?: number };
  problem: string | null;
  results: string | null;
}

interface QueryTable extends Omit<QueryRow, 'ended_at' | 'statistics' | 'problem' | 'results'> {
  ended_at: Generated<number | null>;
  statistics: import('kysely').ColumnType<QueryRow['statistics'], string | undefined, string>;
  problem: Generated<string | null>;
  results: Generated<string | null>;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'logs.groups': GroupTable;
    'logs.streams': StreamTable;
    'logs.chunks': ChunkTable;
    'logs.data_keys': DataKeyRow;
    'logs.queries': QueryTable;
    'logs.purges': { stream_id: string };
  }
}
