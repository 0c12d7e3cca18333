/** The rows of `schema/`. */
import type { GeneratedAlways, JSONColumnType } from 'kysely';

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

export interface MergesTable {
  id: GeneratedAlways<number>;
  repository_id: string;
  source_commit: string;
  destination_commit: string;
  merged_commit: string;
  conflict_detail_level: string;
  conflict_resolution_strategy: string;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'codecommit.repositories': RepositoriesTable;
    'codecommit.refs': RefsTable;
    'codecommit.packs': PacksTable;
    'codecommit.merges': MergesTable;
  }
}
