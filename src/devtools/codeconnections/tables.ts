/** The rows of `schema/`. */
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type { Input } from '../../platform/service.ts';

export type ProviderType = NonNullable<Input<'codeconnections', 'CreateConnection'>['ProviderType']>;

type Tags = JSONColumnType<Record<string, string>, string, string>;

export interface HostsTable {
  arn: string;
  account: string;
  region: string;
  name: string;
  provider_type: ProviderType;
  endpoint: string;
  tags: Tags;
  host_order: Generated<string>;
}

export interface ConnectionsTable {
  arn: string;
  account: string;
  region: string;
  name: string;
  provider_type: ProviderType;
  host: string | null;
  status: 'PENDING' | 'AVAILABLE';
  sealed: string | null;
  tags: Tags;
  connection_order: Generated<string>;
}

export type HostRow = Selectable<HostsTable>;
export type ConnectionRow = Selectable<ConnectionsTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'codeconnections.hosts': HostsTable;
    'codeconnections.connections': ConnectionsTable;
  }
}
