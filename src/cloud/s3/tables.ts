/** The rows of `schema/`, and what their JSON columns hold. */
import type { Generated, JSONColumnType } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';
import type { Algorithm, ChecksumType } from './checksums.ts';

/** A destination of a bucket's notifications; `events` as `s3:ObjectCreated:*`. */
export interface Notification {
  id: string;
  arn: string;
  events: string[];
  prefix?: string;
  suffix?: string;
}

export interface BucketsTable {
  name: string;
  account: string;
  region: string;
  created_at: Date;
  versioning: 'Enabled' | 'Suspended' | null;
  ownership: string;
  policy: string | null;
  public_access_block: JSONColumnType<Required<ShapeOf<'s3', 'PublicAccessBlockConfiguration'>>, string, string | null> | null;
  encryption: JSONColumnType<ShapeOf<'s3', 'ServerSideEncryptionRule'>>;
  event_bridge: Generated<boolean>;
  notifications: JSONColumnType<Notification[], string | undefined, string>;
  tags: JSONColumnType<Tags, string | null, string | null> | null;
}

export interface VersionsTable {
  bucket: string;
  key: string;
  version_id: string;
  version_order: Generated<number>;
  is_latest: boolean;
  is_delete_marker: boolean;
  modified_at: Date;
  content: string | null;
  size: number | null;
  etag: string | null;
  checksum: JSONColumnType<Checksum, string | null, string | null> | null;
  attributes: JSONColumnType<Attributes, string | null, string | null> | null;
  tags: JSONColumnType<Tags, string | null, string | null> | null;
  parts: JSONColumnType<CompletedPart[], string | null, string | null> | null;
}

export interface PiecesTable {
  content: string;
  position: number;
  blob: string;
  size: number;
  wrapped_key: Buffer | null;
}

export interface UploadsTable {
  id: string;
  bucket: string;
  key: string;
  initiated_at: Date;
  /** ARN */
  initiator: string;
  attributes: JSONColumnType<Attributes>;
  tags: JSONColumnType<Tags, string | null, string | null> | null;
  checksum_algorithm: Algorithm;
  checksum_type: ChecksumType;
  checksum_chosen: boolean;
  completed: JSONColumnType<Completed, string | null, string | null> | null;
  completed_at: Date | null;
  wrapped_key: Buffer | null;
}

export interface PartsTable {
  upload: string;
  number: number;
  content: string;
  size: number;
  etag: string;
  checksum: string;
  modified_at: Date;
}

export type Tags = Record<string, string>;

export interface Checksum {
  algorithm: Algorithm;
  type: ChecksumType;
  /** Base64, with `-<parts>` when composite. */
  value: string;
}

/** What a client said of an object and gets back with it; names as in the API. */
export type Attributes = Partial<
  Pick<
    ShapeOf<'s3', 'GetObjectOutput'>,
    | 'CacheControl'
    | 'ContentDisposition'
    | 'ContentEncoding'
    | 'ContentLanguage'
    | 'ContentType'
    | 'Expires'
    | 'WebsiteRedirectLocation'
    | 'Metadata'
    | 'ServerSideEncryption'
    | 'SSEKMSKeyId'
    | 'BucketKeyEnabled'
    | 'StorageClass'
  >
>;

export interface CompletedPart {
  number: number;
  size: number;
  checksum: string;
}

/** The answer of a completed upload. */
export interface Completed {
  etag: string;
  checksum: Checksum;
  versionId: string;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    's3.buckets': BucketsTable;
    's3.versions': VersionsTable;
    's3.pieces': PiecesTable;
    's3.uploads': UploadsTable;
    's3.parts': PartsTable;
    's3.sweeps': { name: string; ended_at: Date };
  }
}
