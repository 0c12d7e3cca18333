create schema codepipeline;

create table codepipeline.pipelines (
  id uuid primary key,
  account text not null,
  region text not null,
  name text not null,
  version integer not null,
  role_arn text not null,
  execution_mode text not null,
  pipeline_type text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (account, region, name)
);

-- Every version that ever was: executions run the one that they were started with.
create table codepipeline.versions (
  pipeline_id uuid not null references codepipeline.pipelines on delete cascade,
  version integer not null,
  declaration jsonb not null,
  primary key (pipeline_id, version)
);

-- What starts a pipeline of its own accord (PollForSourceChanges is not "false"): `codecommit:REPOSITORY/BRANCH`, `s3:BUCKET/KEY`.
create table codepipeline.watches (
  pipeline_id uuid not null references codepipeline.pipelines on delete cascade,
  action text not null,
  source text not null,
  -- the last revision seen of a source that has to be asked (S3)
  seen text,
  primary key (pipeline_id, action)
);
create index on codepipeline.watches (source);

-- Disabled inbound transitions only.
create table codepipeline.transitions (
  pipeline_id uuid not null references codepipeline.pipelines on delete cascade,
  stage text not null,
  enabled boolean not null,
  reason text,
  changed_by text not null,
  changed_at timestamptz not null,
  primary key (pipeline_id, stage)
);

create table codepipeline.executions (
  id uuid primary key,
  -- the order in which executions were started
  sequence bigint generated always as identity,
  pipeline_id uuid not null references codepipeline.pipelines on delete cascade,
  version integer not null,
  mode text not null,
  status text not null,
  status_summary text,
  trigger_type text not null,
  trigger_detail text not null,
  variables jsonb not null,
  source_revisions jsonb not null,
  client_token text,
  -- index of the stage that it is in, or waits to enter
  stage integer not null default 0,
  inside boolean not null default false,
  stop text check (stop in ('wait', 'abandon')),
  stop_reason text,
  started_at timestamptz not null,
  updated_at timestamptz not null
);
create index on codepipeline.executions (pipeline_id, sequence desc);
create index on codepipeline.executions (pipeline_id) where status in ('InProgress', 'Stopping');
create unique index on codepipeline.executions (pipeline_id, client_token);

create table codepipeline.stage_runs (
  execution_id uuid not null references codepipeline.executions on delete cascade,
  stage text not null,
  status text not null,
  -- how often it was entered or retried
  attempt integer not null default 1,
  entered_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (execution_id, stage)
);

create table codepipeline.action_runs (
  -- the action execution id
  id uuid primary key,
  sequence bigint generated always as identity,
  execution_id uuid not null references codepipeline.executions on delete cascade,
  stage text not null,
  action text not null,
  run_order integer not null,
  attempt integer not null,
  status text not null,
  -- set when the provider's work may have begun: a retry looks for it before it begins again
  begun boolean not null default false,
  external_id text,
  external_url text,
  summary text,
  token text,
  updated_by text,
  configuration jsonb,
  input_artifacts jsonb not null default '[]',
  output_artifacts jsonb not null default '[]',
  variables jsonb not null default '{}',
  revision jsonb,
  error jsonb,
  started_at timestamptz not null,
  updated_at timestamptz not null
);
create index on codepipeline.action_runs (execution_id, sequence);
create index on codepipeline.action_runs (external_id);
create index on codepipeline.action_runs (id) where status = 'InProgress';

create table codepipeline.tags (
  pipeline_id uuid not null references codepipeline.pipelines on delete cascade,
  key text not null,
  value text not null,
  primary key (pipeline_id, key)
);
