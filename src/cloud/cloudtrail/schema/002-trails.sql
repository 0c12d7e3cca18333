create table cloudtrail.trails (
  arn text primary key,
  account text not null,
  -- its home region
  region text not null,
  name text not null,
  settings jsonb not null,
  -- { basic: [...] } or { advanced: [...] }; null: all management events
  selectors jsonb,
  tags jsonb not null default '{}',
  logging boolean not null default false,
  started_at timestamptz,
  stopped_at timestamptz,
  -- what GetTrailStatus tells of the last deliveries
  status jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (account, region, name)
);

-- Chunks that a trail is to deliver; added in the transaction that stores the chunk.
create table cloudtrail.waiting (
  trail text not null references cloudtrail.trails on delete cascade,
  chunk uuid not null,
  day text not null,
  region text not null,
  count integer not null,
  -- only events of these times, in milliseconds since 1970, were made while the trail was logging
  from_at bigint not null,
  to_at bigint,
  due_at timestamptz not null,
  primary key (trail, chunk)
);
create index on cloudtrail.waiting (trail, due_at);

-- Log files. The row, with the name of the file and what goes into it, is there before the file is: after a crash the same file is written again.
create table cloudtrail.deliveries (
  id uuid primary key,
  trail text not null references cloudtrail.trails on delete cascade,
  region text not null,
  bucket text not null,
  key text not null,
  chunks jsonb not null,
  created_at timestamptz not null,
  -- set when the file is in the bucket
  delivered_at timestamptz,
  digested boolean not null default false,
  hash text,
  oldest_at timestamptz,
  newest_at timestamptz
);
create index on cloudtrail.deliveries (trail, created_at);

-- Digests, the last of each region of a trail; the one under way has its text, and no signature yet.
create table cloudtrail.digests (
  trail text not null references cloudtrail.trails on delete cascade,
  region text not null,
  end_at timestamptz not null,
  bucket text not null,
  key text not null,
  body text,
  hash text not null,
  signature text not null,
  primary key (trail, region, end_at)
);

-- Keys that sign digests, one after the other.
create table cloudtrail.keys (
  fingerprint text primary key,
  -- PKCS #1, DER
  public_key bytea not null,
  sealed text not null,
  valid_from timestamptz not null,
  valid_to timestamptz not null
);
