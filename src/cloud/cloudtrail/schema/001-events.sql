create schema cloudtrail;

-- Events of one account and region that were shipped together, oldest first, compressed. What LookupEvents asks by is beside them.
-- One partition a day, so that forgetting old ones costs nothing.
create table cloudtrail.chunks (
  day date not null,
  id uuid not null,
  account text not null,
  region text not null,
  -- milliseconds since 1970 of the oldest and the newest event
  first_at bigint not null,
  last_at bigint not null,
  count integer not null,
  -- data events are delivered to trails and never looked up
  data boolean not null,
  -- a hash of each attribute's value and of each event's id
  attributes bigint[] not null,
  events bytea not null,
  primary key (day, id)
) partition by range (day);
create index on cloudtrail.chunks (account, region, last_at desc) where not data;
create index on cloudtrail.chunks using gin (attributes) where not data;

-- How much of each process's journal is in the chunks: moved on in the transaction that adds them, so nothing comes twice or never.
create table cloudtrail.journals (
  id uuid primary key,
  shipped bigint not null,
  moved_at timestamptz not null default now()
);
