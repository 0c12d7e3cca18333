/** The rows of `schema/`. */
import type { Generated, GeneratedAlways, JSONColumnType } from 'kysely';

export interface RepositoriesTable {
  id: string;
  account: string;
  region: string;
  name: string;
  description: string | null;
  default_branch: string | null;
  generation: number;
  epoch: Generated<number>;
  pruned_at: Date | null;
  pruned_generation: number | null;
  tags: JSONColumnType<Record<string, string>>;
  created_at: Date;
  updated_at: Date;
  /** ARN */
  kms_key_id: string | null;
  wrapped_key: string | null;
  key_managed: boolean;
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
  unneeded_since: Buffer | null;
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

export interface PullRequestNumbersTable {
  account: string;
  region: string;
  last: number;
}

export interface PullRequestsTable {
  account: string;
  region: string;
  id: number;
  repository_id: string;
  title: string;
  description: string | null;
  status: 'OPEN' | 'CLOSED';
  author: string;
  source_ref: string;
  destination_ref: string;
  source_commit: string;
  destination_commit: string;
  revision_id: string;
  client_request_token: string | null;
  request_hash: string;
  created_at: Date;
  last_activity_at: Date;
  merged_by: string | null;
  merge_commit: string | null;
  merge_option: 'FAST_FORWARD_MERGE' | 'SQUASH_MERGE' | 'THREE_WAY_MERGE' | null;
  checked_source: string;
  checked_destination: string;
  moved_by: string | null;
  branch_deleted_by: string | null;
}

export interface PullRequestEventsTable {
  id: GeneratedAlways<number>;
  account: string;
  region: string;
  pull_request_id: number;
  type: string;
  actor: string;
  at: Date;
  detail: JSONColumnType<Record<string, string>>;
}

export interface ApprovalRuleTemplatesTable {
  id: string;
  account: string;
  region: string;
  name: string;
  description: string | null;
  content: string;
  created_at: Date;
  updated_at: Date;
  updated_by: string;
}

export interface ApprovalRuleAssociationsTable {
  template_id: string;
  repository_id: string;
}

export interface ApprovalRulesTable {
  id: string;
  account: string;
  region: string;
  pull_request_id: number;
  name: string;
  content: string;
  template_id: string | null;
  template_name: string | null;
  created_at: Date;
  updated_at: Date;
  updated_by: string;
}

export interface ApprovalsTable {
  account: string;
  region: string;
  pull_request_id: number;
  revision_id: string;
  user_arn: string;
  approved_at: Date;
}

export interface ApprovalOverridesTable {
  account: string;
  region: string;
  pull_request_id: number;
  revision_id: string;
  overrider: string;
}

export interface TriggersTable {
  repository_id: string;
  configuration_id: string;
  triggers: JSONColumnType<{ name: string; destinationArn: string; customData?: string; branches?: string[]; events: TriggerEvent[] }[]>;
}

export type TriggerEvent = 'all' | 'updateReference' | 'createReference' | 'deleteReference';

export interface CommentPlacesTable {
  id: GeneratedAlways<number>;
  repository_id: string;
  account: string;
  region: string;
  pull_request_id: number | null;
  before_commit: string | null;
  after_commit: string;
  file_path: string | null;
  file_position: number | null;
  file_version: 'BEFORE' | 'AFTER' | null;
  before_blob: string | null;
  after_blob: string | null;
  key: string;
}

export interface CommentsTable {
  id: string;
  seq: GeneratedAlways<number>;
  place_id: number;
  account: string;
  region: string;
  content: string | null;
  in_reply_to: string | null;
  author: string;
  created_at: Date;
  updated_at: Date;
  client_request_token: string | null;
  request_hash: string;
}

export interface CommentReactionsTable {
  comment_id: string;
  user_arn: string;
  reaction: string;
  seq: GeneratedAlways<number>;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'codecommit.repositories': RepositoriesTable;
    'codecommit.refs': RefsTable;
    'codecommit.packs': PacksTable;
    'codecommit.merges': MergesTable;
    'codecommit.triggers': TriggersTable;
    'codecommit.pull_request_numbers': PullRequestNumbersTable;
    'codecommit.pull_requests': PullRequestsTable;
    'codecommit.pull_request_events': PullRequestEventsTable;
    'codecommit.approval_rule_templates': ApprovalRuleTemplatesTable;
    'codecommit.approval_rule_associations': ApprovalRuleAssociationsTable;
    'codecommit.approval_rules': ApprovalRulesTable;
    'codecommit.approvals': ApprovalsTable;
    'codecommit.approval_overrides': ApprovalOverridesTable;
    'codecommit.comment_places': CommentPlacesTable;
    'codecommit.comments': CommentsTable;
    'codecommit.comment_reactions': CommentReactionsTable;
  }
}
