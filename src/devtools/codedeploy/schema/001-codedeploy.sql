create schema codedeploy;

create table codedeploy.applications (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  compute_platform text not null,
  tags jsonb not null default '{}',
  created_at timestamptz not null,
  unique (account, region, name)
);

-- A revision is known by the digest of its location: the location itself is only ever read whole.
create table codedeploy.revisions (
  application_id uuid not null references codedeploy.applications on delete cascade,
  digest text not null,
  location jsonb not null,
  description text,
  registered_at timestamptz not null,
  first_used_at timestamptz,
  last_used_at timestamptz,
  primary key (application_id, digest)
);

create table codedeploy.groups (
  id uuid primary key,
  account text not null,
  region text not null,
  application_id uuid not null references codedeploy.applications on delete cascade,
  name text collate "C" not null,
  config_name text not null,
  service_role_arn text not null,
  -- Members of DeploymentGroupInfo that are kept as they were given.
  settings jsonb not null,
  tags jsonb not null default '{}',
  target_revision text,
  -- The one deployment that may run in a group.
  active_deployment text,
  last_attempted_deployment text,
  last_successful_deployment text,
  created_at timestamptz not null,
  unique (application_id, name)
);
create index on codedeploy.groups (account, region, config_name);

create table codedeploy.configs (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  compute_platform text not null,
  minimum_healthy_hosts jsonb,
  traffic_routing jsonb,
  zonal jsonb,
  created_at timestamptz not null,
  unique (account, region, name)
);

create table codedeploy.instances (
  account text not null,
  region text not null,
  name text collate "C" not null,
  -- The random tail of the instance's ARN.
  suffix text not null,
  iam_user_arn text,
  iam_session_arn text,
  tags jsonb not null default '{}',
  registered_at timestamptz not null,
  deregistered_at timestamptz,
  primary key (account, region, name)
);
create unique index on codedeploy.instances (account, region, coalesce(iam_user_arn, iam_session_arn)) where deregistered_at is null;

-- When the agent of a host was last heard of.
create table codedeploy.agents (
  host text primary key,
  last_seen_at timestamptz not null,
  version text
);

create table codedeploy.deployments (
  id text primary key,
  account text not null,
  region text not null,
  application_id uuid not null,
  application_name text not null,
  group_id uuid not null,
  group_name text not null,
  service_role_arn text not null,
  config_name text not null,
  minimum_healthy_hosts jsonb not null,
  status text not null,
  creator text not null,
  revision jsonb not null,
  revision_digest text not null,
  previous_revision jsonb,
  -- Members of DeploymentInfo that are kept as they were given.
  options jsonb not null,
  rollback_of text,
  rolled_back_by text,
  rollback_message text,
  stop_requested_at timestamptz,
  rollback_on_stop boolean not null default false,
  error_code text,
  error_message text,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz
);
create index on codedeploy.deployments (account, region, created_at desc, id desc);
create index on codedeploy.deployments (group_id, created_at desc, id desc);
create index on codedeploy.deployments (id) where status in ('Created', 'Queued', 'InProgress');

create table codedeploy.targets (
  deployment_id text not null references codedeploy.deployments,
  position integer not null,
  name text collate "C" not null,
  arn text not null,
  -- `account/region/identity of the host's agent`.
  host text not null,
  status text not null,
  updated_at timestamptz not null,
  primary key (deployment_id, position),
  unique (deployment_id, name)
);
create index on codedeploy.targets (host);

-- A lifecycle event of a target, and the command by which its host is told to run it.
create table codedeploy.events (
  deployment_id text not null,
  target integer not null,
  position integer not null,
  name text not null,
  status text not null,
  command_id uuid not null unique,
  host text not null,
  queued_at timestamptz,
  delivered_at timestamptz,
  -- The host said that it begins.
  started_at timestamptz,
  ended_at timestamptz,
  diagnostics jsonb,
  primary key (deployment_id, target, position),
  foreign key (deployment_id, target) references codedeploy.targets
);
-- What a host is to do.
create index on codedeploy.events (host, queued_at) where queued_at is not null and ended_at is null;
create index on codedeploy.events (deployment_id) where queued_at is not null and ended_at is null;

-- What a group's instances run, for the order of the next deployment and for outdated instances.
create table codedeploy.installed (
  group_id uuid not null references codedeploy.groups on delete cascade,
  instance text not null,
  -- Of the last successful deployment.
  revision_digest text,
  healthy boolean not null,
  updated_at timestamptz not null,
  primary key (group_id, instance)
);
