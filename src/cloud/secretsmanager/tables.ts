/** Rows of Secrets Manager. */
import type { ColumnType, Selectable } from 'kysely';

interface SecretsTable {
  id: string;
  account: string;
  region: string;
  name: string;
  suffix: string;
  description: string | null;
  kms_key_id: string | null;
  policy: ColumnType<string | null, string | null | undefined>;
  tags: ColumnType<Record<string, string>, string, string>;
  created_at: Date;
  changed_at: Date;
  accessed_on: ColumnType<Date | null, Date | null | undefined>;
  deleted_at: ColumnType<Date | null, Date | null | undefined>;
  purge_at: ColumnType<Date | null, Date | null | undefined>;
}

interface VersionsTable {
  secret_id: string;
  version_id: string;
  value: string;
  is_binary: boolean;
  kms_key_id: string;
  stages: string[];
  created_at: Date;
  accessed_on: ColumnType<Date | null, Date | null | undefined>;
}

export type Secret = Selectable<SecretsTable>;
export type Version = Selectable<VersionsTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'secretsmanager.secrets': SecretsTable;
    'secretsmanager.versions': VersionsTable;
  }
}
