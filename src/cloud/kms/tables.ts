/** The rows of `schema/`. */
import type { JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

export type KeySpec = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['KeySpec']>;
export type KeyUsage = NonNullable<ShapeOf<'kms', 'KeyMetadata'>['KeyUsage']>;
export type GrantOperation = ShapeOf<'kms', 'CreateGrantRequest'>['Operations'][number];
export type GrantConstraints = ShapeOf<'kms', 'GrantConstraints'>;

export interface KeysTable {
  account: string;
  region: string;
  id: string;
  spec: KeySpec;
  usage: KeyUsage;
  state: 'Enabled' | 'Disabled' | 'PendingDeletion';
  description: string;
  service: string | null;
  policy: string;
  tags: JSONColumnType<Record<string, string>>;
  created_at: Date;
  deletion_at: Date | null;
  deletion_days: number | null;
  rotation_days: number | null;
  next_rotation_at: Date | null;
  generation: number;
}

export interface MaterialsTable {
  key_id: string;
  generation: number;
  id: string;
  sealed: string;
  rotated_at: Date | null;
  rotation_type: 'AUTOMATIC' | 'ON_DEMAND' | null;
}

export interface AliasesTable {
  account: string;
  region: string;
  name: string;
  key_id: string;
  created_at: Date;
  updated_at: Date;
}

export interface GrantsTable {
  key_id: string;
  id: string;
  account: string;
  region: string;
  name: string | null;
  grantee: string;
  retiring: string | null;
  issuing_account: string;
  operations: JSONColumnType<GrantOperation[]>;
  constraints: JSONColumnType<GrantConstraints, string | null, string | null> | null;
  created_at: Date;
}

export type KeyRow = Selectable<KeysTable>;
export type GrantRow = Selectable<GrantsTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'kms.keys': KeysTable;
    'kms.materials': MaterialsTable;
    'kms.aliases': AliasesTable;
    'kms.grants': GrantsTable;
  }
}
