/** The rows of `schema/`. */
import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

export interface ChunksTable {
  day: string;
  id: string;
  account: string;
  region: string;
  first_at: number;
  last_at: number;
  count: number;
  data: boolean;
  attributes: unknown;
  events: Buffer;
}

export interface JournalsTable {
  id: string;
  shipped: number;
  moved_at: Generated<Date>;
}

/** What CreateTrail and UpdateTrail set. */
export interface TrailSettings {
  S3BucketName: string;
  S3KeyPrefix?: string | undefined;
  SnsTopicName?: string | undefined;
  SnsTopicARN?: string | undefined;
  IncludeGlobalServiceEvents: boolean;
  IsMultiRegionTrail: boolean;
  LogFileValidationEnabled: boolean;
  CloudWatchLogsLogGroupArn?: string | undefined;
  CloudWatchLogsRoleArn?: string | undefined;
  KmsKeyId?: string | undefined;
  /** When digests began, in ISO form: nothing before is in one. */
  validatedSince?: string | undefined;
}

export type Selectors =
  | { basic: ShapeOf<'cloudtrail', 'EventSelector'>[]; advanced?: undefined }
  | { advanced: ShapeOf<'cloudtrail', 'AdvancedEventSelector'>[]; basic?: undefined };

export interface TrailStatus {
  deliveredAt?: string;
  attemptedAt?: string;
  deliveryError?: string;
  notifiedAt?: string;
  notificationError?: string;
  logsDeliveredAt?: string;
  logsError?: string;
  digestDeliveredAt?: string;
  digestError?: string;
}

type Json<T> = ColumnType<T, string, string>;

export interface TrailsTable {
  arn: string;
  account: string;
  region: string;
  name: string;
  settings: JSONColumnType<TrailSettings>;
  selectors: Json<Selectors | null>;
  tags: ColumnType<Record<string, string>, string, string>;
  logging: Generated<boolean>;
  started_at: Date | null;
  stopped_at: Date | null;
  status: ColumnType<TrailStatus, string | undefined, string>;
  created_at: Generated<Date>;
}

export interface WaitingTable {
  trail: string;
  chunk: string;
  day: string;
  region: string;
  count: number;
  from_at: number;
  to_at: number | null;
  due_at: Date;
}

/** A chunk in a log file, and which times of it. */
export interface Piece {
  chunk: string;
  day: string;
  from: number;
  to: number | null;
}

export interface DeliveriesTable {
  id: string;
  trail: string;
  region: string;
  bucket: string;
  key: string;
  chunks: JSONColumnType<Piece[]>;
  created_at: Date;
  delivered_at: Date | null;
  digested: boolean;
  hash: string | null;
  oldest_at: Date | null;
  newest_at: Date | null;
}

export interface DigestsTable {
  trail: string;
  region: string;
  end_at: Date;
  bucket: string;
  key: string;
  body: string | null;
  hash: string;
  signature: string;
}

export interface KeysTable {
  fingerprint: string;
  public_key: Buffer;
  sealed: string;
  valid_from: Date;
  valid_to: Date;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'cloudtrail.chunks': ChunksTable;
    'cloudtrail.journals': JournalsTable;
    'cloudtrail.trails': TrailsTable;
    'cloudtrail.waiting': WaitingTable;
    'cloudtrail.deliveries': DeliveriesTable;
    'cloudtrail.digests': DigestsTable;
    'cloudtrail.keys': KeysTable;
  }
}
