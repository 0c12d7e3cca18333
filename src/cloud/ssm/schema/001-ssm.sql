create schema ssm;

-- Parameters as they are now, and by version as they were
create table ssm.parameters (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  -- the version that is current, copied, so that a list needs no join
  version bigint not null,
  type text not null,
  tier text not null,
  data_type text not null,
  description text,
  allowed_pattern text,
  key_id text,
  modified_at timestamptz not null,
  modified_by text not null,
  tags jsonb not null default '{}',
  unique (account, region, name)
);

create table ssm.versions (
  parameter_id uuid not null references ssm.parameters on delete cascade,
  version bigint not null,
  type text not null,
  tier text not null,
  data_type text not null,
  description text,
  allowed_pattern text,
  key_id text,
  -- of a SecureString: encrypted under its KMS key
  value text not null,
  labels text[] not null default '{}',
  modified_at timestamptz not null,
  modified_by text not null,
  primary key (parameter_id, version)
);
