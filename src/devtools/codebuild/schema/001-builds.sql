create schema codebuild;

create table codebuild.projects (
  account text not null,
  region text not null,
  name text collate "C" not null,
  -- never changes, so that a project made anew under an old name does not get the old one's cache
  id uuid not null,
  -- the API's Project, without what has a column here
  definition jsonb not null,
  tags jsonb not null,
  -- number of the last build
  builds integer not null default 0,
  -- raised by InvalidateProjectCache
  cache_generation integer not null default 0,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  primary key (account, region, name)
);

create sequence codebuild.build_order;

create table codebuild.builds (
  id uuid primary key,
  account text not null,
  region text not null,
  project text collate "C" not null,
  project_id uuid not null,
  number integer not null,
  -- later builds have a greater one
  build_order bigint not null default nextval('codebuild.build_order'),
  -- the API's Build as it was asked for; what changes has a column here
  definition jsonb not null,
  -- what StartBuild was called with, for a retry
  request jsonb not null,
  status text not null,
  phases jsonb not null,
  initiator text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  -- the build must have left the queue by then
  queue_deadline timestamptz not null,
  -- set when it leaves the queue
  deadline timestamptz,
  stop_requested_at timestamptz,
  -- the process (platform.processes) that runs it; null while queued and when it is over
  owner text,
  -- how often a process began it; above 1 only if no command had run before
  attempts integer not null default 0,
  first_command_at timestamptz,
  -- written before the machine is made
  machine text,
  isolation text,
  -- SHA-256 of the token that gets the service role's credentials; null when it is over
  credential_hash text,
  resolved_source_version text,
  artifacts jsonb,
  secondary_artifacts jsonb,
  exported_variables jsonb,
  -- autoRetryConfig
  retry jsonb,
  unique (account, region, project, number)
);
create index builds_by_region on codebuild.builds (account, region, build_order);
create index builds_by_project on codebuild.builds (account, region, project, build_order);
create index builds_unfinished on codebuild.builds (build_order) where status = 'IN_PROGRESS';
create unique index builds_credentials on codebuild.builds (credential_hash) where credential_hash is not null;

-- idempotency tokens of StartBuild and RetryBuild; valid for five minutes
create table codebuild.start_tokens (
  account text not null,
  region text not null,
  token text not null,
  request_hash text not null,
  build uuid not null,
  created_at timestamptz not null,
  primary key (account, region, token)
);
create index on codebuild.start_tokens (created_at);
