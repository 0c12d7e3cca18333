create schema kms;

create table kms.keys (
  account text not null,
  region text not null,
  id uuid primary key,
  spec text not null,
  usage text not null,
  -- Enabled, Disabled or PendingDeletion
  state text not null,
  description text not null,
  -- the service that an AWS-managed key belongs to; null for customers' keys
  service text,
  policy text not null,
  tags jsonb not null,
  created_at timestamptz not null,
  deletion_at timestamptz,
  deletion_days integer,
  -- null while automatic rotation is not enabled
  rotation_days integer,
  next_rotation_at timestamptz,
  -- the generation that encrypts; older ones still decrypt
  generation integer not null
);
create index keys_listed on kms.keys (account, region, id);
create unique index keys_of_services on kms.keys (account, region, service);
create index keys_deleted on kms.keys (deletion_at) where state = 'PendingDeletion';
create index keys_rotated on kms.keys (next_rotation_at) where next_rotation_at is not null;

-- The secrets, sealed under the installation's master key.
create table kms.materials (
  key_id uuid not null references kms.keys on delete cascade,
  generation integer not null,
  -- what the API shows: 64 hex digits
  id text not null,
  sealed text not null,
  -- null for the first
  rotated_at timestamptz,
  rotation_type text,
  primary key (key_id, generation)
);

create table kms.aliases (
  account text not null,
  region text not null,
  -- without `alias/`
  name text collate "C" not null,
  key_id uuid not null references kms.keys on delete cascade,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (account, region, name)
);
create index on kms.aliases (key_id);

create table kms.grants (
  key_id uuid not null references kms.keys on delete cascade,
  id text not null,
  account text not null,
  region text not null,
  name text,
  -- ARN, or the host name of a service
  grantee text not null,
  retiring text,
  issuing_account text not null,
  operations jsonb not null,
  constraints jsonb,
  created_at timestamptz not null,
  primary key (key_id, id)
);
create index on kms.grants (key_id, grantee);
create index on kms.grants (region, retiring, key_id, id) where retiring is not null;
