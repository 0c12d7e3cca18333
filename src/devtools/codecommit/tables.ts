/** The rows of `schema/`. */
import type { JSONColumnType } from 'kysely';

export interface RepositoriesTable {
  id: string;
  account: string;
  region: string;
  name: string;
  description: string | null;
  default_branch: string | null;
  generation: number;
  tags: JSONColumnType<Record<string, string>>;
  created_at: Date;
  updated_at: Date;
}

export interface RefsTable {
  repository_id: string;
  name: string;
  object_id: string;
  peeled_id: string | null;
}

export interface PacksTable {
  blob_key: string;
  repository_id: string;
  name: string;
  size: number;
  objects: number;
  state: 'pending' | 'live' | 'retired';
  state_since: Date;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'codecommit.repositories': RepositoriesTable;
    'codecommit.refs': RefsTable;
    'codecommit.packs': PacksTable;
  }
}
