/** Rows of Parameter Store. */
import type { ColumnType, Selectable } from 'kysely';

export type ParameterType = 'String' | 'StringList' | 'SecureString';
export type Tier = 'Standard' | 'Advanced';

interface Described {
  version: number;
  type: ParameterType;
  tier: Tier;
  data_type: string;
  description: string | null;
  allowed_pattern: string | null;
  key_id: string | null;
  modified_at: Date;
  modified_by: string;
}

interface ParametersTable extends Described {
  id: string;
  account: string;
  region: string;
  name: string;
  tags: ColumnType<Record<string, string>, string, string>;
}

interface VersionsTable extends Described {
  parameter_id: string;
  value: string;
  labels: ColumnType<string[], string[] | undefined, string[]>;
}

export type ParameterRow = Selectable<ParametersTable>;
export type VersionRow = Selectable<VersionsTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'ssm.parameters': ParametersTable;
    'ssm.versions': VersionsTable;
  }
}
