create schema s3;

-- Bucket names are global, so everything of a bucket is keyed by its name.
create table s3.buckets (
  name text collate "C" primary key,
  account text not null,
  region text not null,
  created_at timestamptz not null,
  -- null until versioning was first set; then Enabled or Suspended
  versioning text,
  ownership text not null,
  policy text,
  public_access_block jsonb,
  encryption jsonb not null,
  event_bridge boolean not null default false,
  tags jsonb
);
create index on s3.buckets (account, name);

create sequence s3.version_order;

create table s3.versions (
  bucket text collate "C" not null references s3.buckets,
  -- S3 lists keys in the order of their UTF-8 bytes
  key text collate "C" not null,
  -- 'null' for what was written while versioning was not enabled
  version_id text not null,
  -- later writes of a key have a greater one; taken while the key is locked
  version_order bigint not null default nextval('s3.version_order'),
  is_latest boolean not null,
  is_delete_marker boolean not null,
  modified_at timestamptz not null,
  -- the rest is null for delete markers
  content uuid,
  size bigint,
  etag text,
  checksum jsonb,
  attributes jsonb,
  tags jsonb,
  -- number, size and checksum of each part of a multipart upload
  parts jsonb,
  primary key (bucket, key, version_id)
);
create unique index versions_latest on s3.versions (bucket, key) where is_latest;
create index versions_listed on s3.versions (bucket, key, version_order desc);

-- The bytes of one content, in order. A blob may serve several contents (copies).
create table s3.pieces (
  content uuid not null,
  position integer not null,
  blob text collate "C" not null,
  size bigint not null,
  primary key (content, position)
);
create index on s3.pieces (blob);

create table s3.uploads (
  id text primary key,
  bucket text collate "C" not null references s3.buckets,
  key text collate "C" not null,
  initiated_at timestamptz not null,
  initiator text not null,
  attributes jsonb not null,
  tags jsonb,
  checksum_algorithm text not null,
  checksum_type text not null,
  -- whether the client chose the algorithm, and so must name each part's checksum when it completes
  checksum_chosen boolean not null,
  -- what completing answered, for clients that ask again; removed after a day
  completed jsonb,
  completed_at timestamptz
);
create index uploads_listed on s3.uploads (bucket, key, id) where completed is null;

create table s3.parts (
  upload text not null references s3.uploads on delete cascade,
  number integer not null,
  content uuid not null,
  size bigint not null,
  etag text not null,
  checksum text not null,
  modified_at timestamptz not null,
  primary key (upload, number)
);

-- When the last search for blobs that no piece names was.
create table s3.sweeps (
  name text primary key,
  ended_at timestamptz not null
);
