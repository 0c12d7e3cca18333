-- Events that metrics were made of: one that is handed over again is not counted again.
create table cloudwatch.counted_events (
  id uuid primary key,
  at timestamptz not null
);
create index on cloudwatch.counted_events (at);
