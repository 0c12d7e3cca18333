create schema iam;

-- All that IAM keeps belongs to an account, not to a region.
create table iam.accounts (
  account text primary key,
  created_at timestamptz not null
);

-- Users, groups, roles, managed policies and instance profiles: what has a name, a path and an ARN.
create table iam.entities (
  id text collate "C" primary key,
  account text not null references iam.accounts,
  kind text not null,
  -- lower-case name: names differ by more than case
  key text collate "C" not null,
  name text not null,
  path text collate "C" not null,
  arn text collate "C" not null,
  created_at timestamptz not null,
  tags jsonb not null default '{}',
  description text,
  -- ARN of the managed policy that bounds a user or role
  boundary text,
  -- roles
  trust_policy text,
  max_session_seconds integer,
  linked_service text,
  last_used_at timestamptz,
  last_used_region text,
  -- instance profiles: the role's id
  role_id text,
  -- managed policies
  default_version integer,
  latest_version integer,
  updated_at timestamptz,
  unique (account, kind, key)
);
create index on iam.entities (arn);
create index on iam.entities (role_id) where role_id is not null;
create index on iam.entities (account, boundary) where boundary is not null;

create table iam.policy_versions (
  policy_id text not null references iam.entities on delete cascade,
  version integer not null,
  document text not null,
  created_at timestamptz not null,
  primary key (policy_id, version)
);

create table iam.inline_policies (
  entity_id text not null references iam.entities on delete cascade,
  name text collate "C" not null,
  document text not null,
  primary key (entity_id, name)
);

-- policy_arn may name a policy of AWS, which has no row
create table iam.attachments (
  entity_id text not null references iam.entities on delete cascade,
  policy_arn text collate "C" not null,
  account text not null,
  primary key (entity_id, policy_arn)
);
create index on iam.attachments (account, policy_arn);

create table iam.group_members (
  group_id text not null references iam.entities on delete cascade,
  user_id text not null references iam.entities on delete cascade,
  primary key (group_id, user_id)
);
create index on iam.group_members (user_id);

create table iam.access_keys (
  id text collate "C" primary key,
  user_id text not null references iam.entities,
  -- sealed under the master key: signatures cannot be checked with less than the secret itself
  secret text not null,
  active boolean not null,
  created_at timestamptz not null,
  last_used_at timestamptz,
  last_used_service text,
  last_used_region text
);
create index on iam.access_keys (user_id);

create table iam.service_credentials (
  id text collate "C" primary key,
  user_id text not null references iam.entities,
  service text not null,
  user_name text collate "C" not null unique,
  -- keyed hash of the password
  password_hash text not null,
  active boolean not null,
  created_at timestamptz not null,
  expires_at timestamptz
);
create index on iam.service_credentials (user_id);
