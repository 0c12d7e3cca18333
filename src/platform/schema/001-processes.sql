-- Who is at work on this database. A process lives as long as its session holds the advisory lock of its id.
create table platform.processes (
  id bigint generated always as identity primary key,
  role text not null,
  host text not null,
  pid integer not null,
  -- graphile-worker's name for this process's worker pool: what it locks jobs by
  pool_id text,
  started_at timestamptz not null default now()
);
