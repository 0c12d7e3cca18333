-- Queries of Logs Insights, with their results once they have them.
create table logs.queries (
  id uuid primary key,
  account text not null,
  region text not null,
  principal text not null,
  -- ids of the groups, in the order they were named
  groups uuid[] not null,
  group_names text[] not null,
  query text not null,
  start_at bigint not null,
  end_at bigint not null,
  row_limit integer,
  status text not null,
  created_at bigint not null,
  ended_at bigint,
  -- {"recordsMatched": …, "recordsScanned": …, "bytesScanned": …}
  statistics jsonb not null default '{}',
  -- why it failed
  problem text,
  -- sealed: what is in a log group under a key must not lie open here
  results text
);
create index on logs.queries (account, region, created_at, id);
create index on logs.queries (created_at);
create index on logs.queries (status) where status in ('Scheduled', 'Running');
