create schema logs;

create table logs.groups (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  class text not null,
  -- null: kept for ever
  retention_days integer,
  deletion_protected boolean not null,
  tags jsonb not null default '{}',
  created_at bigint not null,
  unique (account, region, name)
);

create table logs.streams (
  id uuid primary key,
  group_id uuid not null references logs.groups on delete cascade,
  name text collate "C" not null,
  created_at bigint not null,
  -- milliseconds of the events themselves; the first is a lower bound of what retention has left
  first_event_at bigint,
  last_event_at bigint,
  last_ingested_at bigint,
  stored_bytes bigint not null default 0,
  unique (group_id, name)
);
create index on logs.streams (group_id, (coalesce(last_event_at, 0)), name);
create index on logs.streams (group_id, first_event_at);

-- Some events of one stream, in their order, compressed: a flood of lines is a row per mebibyte, and a tail reads a row per append.
-- No chunk spans more than a minute, so where the events of a moment can be is known from `first_at` alone.
create table logs.chunks (
  -- given out while the stream's row is locked, so of one stream's chunks the later has the larger
  id bigint generated always as identity primary key,
  -- no foreign keys: the rows outlive a deleted stream until they are purged
  group_id uuid not null,
  stream_id uuid not null,
  first_at bigint not null,
  last_at bigint not null,
  ingested_at bigint not null,
  -- of `events`, as stored
  size integer not null,
  compressed boolean not null,
  events bytea not null
);
-- Compressed already.
alter table logs.chunks alter column events set storage external;
create index on logs.chunks (stream_id, first_at, id);
create index on logs.chunks (group_id, first_at, id);

-- Streams that are deleted, whose chunks are not yet.
create table logs.purges (
  stream_id uuid primary key
);
