/** The rows of `schema/`. */
import type { ColumnType, Generated, GeneratedAlways, JSONColumnType, Selectable } from 'kysely';

type Texts = Record<string, string>;

export interface TopicsTable {
  account: string;
  region: string;
  name: string;
  fifo: boolean;
  attributes: JSONColumnType<Texts>;
  policy: string | null;
  tags: JSONColumnType<Texts>;
  created_at: Date;
}
export type Topic = Selectable<TopicsTable>;

export interface SubscriptionsTable {
  arn: string;
  topic_arn: string;
  account: string;
  region: string;
  protocol: string;
  endpoint: string;
  attributes: JSONColumnType<Texts>;
  confirmed_seq: number | null;
  confirmed: GeneratedAlways<boolean>;
  authenticated: Generated<boolean>;
  guarded: Generated<boolean>;
  principal: string;
  created_at: Date;
}
export type Subscription = Selectable<SubscriptionsTable>;

/** Bytes in base64. */
export type StoredAttributes = Record<string, { type: string; value: string }>;

export interface MessagesTable {
  id: string;
  seq: Generated<number>;
  topic_arn: string;
  subject: string | null;
  message: string;
  by_protocol: ColumnType<Texts | null, string | null, never>;
  attributes: ColumnType<StoredAttributes | null, string | null, never>;
  group_id: string | null;
  dedup_id: string | null;
  published_at: Date;
}
export type Message = Selectable<MessagesTable>;

export interface DeliveriesTable {
  id: Generated<number>;
  message_id: string;
  subscription_arn: string;
  lane: string | null;
  attempts: Generated<number>;
}
export type Delivery = Selectable<DeliveriesTable>;

declare module '../../platform/platform.ts' {
  interface Tables {
    'sns.topics': TopicsTable;
    'sns.subscriptions': SubscriptionsTable;
    'sns.messages': MessagesTable;
    'sns.deliveries': DeliveriesTable;
    'sns.deduplication': { topic_arn: string; scope: string; dedup_id: string; message_id: string; seq: number; expires_at: Date };
    'sns.signers': { id: string; sealed: string; certificate: string; made_at: Date };
  }
}
