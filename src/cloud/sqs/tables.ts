/** The rows of `schema/`. */
import type { ColumnType, Generated, JSONColumnType, Selectable } from 'kysely';

export interface QueuesTable {
  account: string;
  region: string;
  name: string;
  id: string;
  fifo: boolean;
  attributes: JSONColumnType<Record<string, string>>;
  policy: string | null;
  tags: JSONColumnType<Record<string, string>>;
  dead_letter_arn: string | null;
  max_receive_count: number | null;
  purged_seq: Generated<number>;
  purged_at: Generated<Date | null>;
  created_at: Date;
  modified_at: Date;
}
export type Queue = Selectable<QueuesTable>;

/** As a row keeps it: bytes in base64. */
export interface StoredAttribute {
  type: string;
  text?: string;
  bytes?: string;
}
export type StoredAttributes = Record<string, StoredAttribute>;
type Stored = ColumnType<StoredAttributes | null, string | null, string | null>;

export interface MessagesTable {
  seq: Generated<number>;
  queue_id: string;
  id: string;
  body: string;
  attributes: Stored;
  system_attributes: Stored;
  sender_id: string;
  sent_at: Date;
  visible_at: Date;
  receipt: Generated<string | null>;
  received: Generated<number>;
  received_before: Generated<number>;
  first_received_at: Generated<Date | null>;
  group_id: string | null;
  dedup_id: string | null;
  source_arn: Generated<string | null>;
}
export type MessageRow = Selectable<MessagesTable>;

export interface MoveTasksTable {
  id: string;
  account: string;
  region: string;
  source_arn: string;
  destination_arn: string | null;
  per_second: number | null;
  status: string;
  moved: number;
  to_move: number;
  failure: string | null;
  started_at: Date;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'sqs.queues': QueuesTable;
    'sqs.messages': MessagesTable;
    'sqs.deduplication': { queue_id: string; scope: string; dedup_id: string; message_id: string; seq: number; expires_at: Date };
    'sqs.attempts': { queue_id: string; attempt_id: string; receipts: string[]; expires_at: Date };
    'sqs.dropped': { queue_id: string; at: Date };
    'sqs.move_tasks': MoveTasksTable;
  }
}
