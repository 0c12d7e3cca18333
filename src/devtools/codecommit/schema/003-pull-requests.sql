-- The last number given to a pull request of an account in a region.
create table codecommit.pull_request_numbers (
  account text not null,
  region text not null,
  last bigint not null,
  primary key (account, region)
);

create table codecommit.pull_requests (
  account text not null,
  region text not null,
  id bigint not null,
  repository_id uuid not null references codecommit.repositories on delete cascade,
  title text not null,
  description text,
  status text not null,
  author text not null,
  -- in full, such as refs/heads/main
  source_ref text collate "C" not null,
  destination_ref text collate "C" not null,
  source_commit text not null,
  -- when it was made, then when it was closed
  destination_commit text not null,
  -- new with every push to the source branch
  revision_id text not null,
  client_request_token text,
  -- of the request that the token stands for
  request_hash text not null,
  created_at timestamptz not null,
  last_activity_at timestamptz not null,
  merged_by text,
  merge_commit text,
  merge_option text,
  -- tips for which it is known that the destination has not all of the source
  checked_source text not null,
  checked_destination text not null,
  -- who moved the destination branch last
  moved_by text,
  primary key (account, region, id),
  unique (account, region, client_request_token)
);
create index on codecommit.pull_requests (repository_id, status, id);

create table codecommit.pull_request_events (
  id bigint generated always as identity primary key,
  account text not null,
  region text not null,
  pull_request_id bigint not null,
  type text not null,
  actor text not null,
  at timestamptz not null,
  detail jsonb not null,
  foreign key (account, region, pull_request_id) references codecommit.pull_requests on delete cascade
);
create index on codecommit.pull_request_events (account, region, pull_request_id, id);
