create schema events;

create table events.buses (
  account text not null,
  region text not null,
  name text not null,
  description text,
  -- resource policy: who else may put events here
  policy text,
  created_at timestamptz not null default now(),
  modified_at timestamptz not null default now(),
  primary key (account, region, name)
);

-- The bus "default" is always there and has no row until something is set on it.
create table events.rules (
  account text not null,
  region text not null,
  bus text not null,
  name text not null,
  pattern text,
  schedule text,
  state text not null,
  description text,
  role_arn text,
  created_by text not null,
  -- when a schedule is due next
  next_fire timestamptz,
  primary key (account, region, bus, name)
);

create table events.targets (
  account text not null,
  region text not null,
  bus text not null,
  rule text not null,
  id text not null,
  target jsonb not null,
  primary key (account, region, bus, rule, id),
  foreign key (account, region, bus, rule) references events.rules on delete cascade
);

create table events.tags (
  arn text not null,
  key text not null,
  value text not null,
  primary key (arn, key)
);

-- Events that were handed to their rules: a job that runs again after a crash must not start a pipeline twice.
create table events.delivered (
  event_id text primary key,
  at timestamptz not null default now()
);
create index on events.delivered (at);
