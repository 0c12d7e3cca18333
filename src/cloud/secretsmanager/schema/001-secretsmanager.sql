create schema secretsmanager;

create table secretsmanager.secrets (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  -- six characters behind the name in the ARN: another secret of the name has others
  suffix text not null,
  description text,
  -- null: aws/secretsmanager
  kms_key_id text,
  policy text,
  tags jsonb not null default '{}',
  created_at timestamptz not null,
  changed_at timestamptz not null,
  accessed_on date,
  -- marked for deletion: when, and until when it can be restored
  deleted_at timestamptz,
  purge_at timestamptz,
  unique (account, region, name)
);

create table secretsmanager.versions (
  secret_id uuid not null references secretsmanager.secrets on delete cascade,
  version_id text collate "C" not null,
  -- sealed under a data key of KMS
  value text not null,
  is_binary boolean not null,
  kms_key_id text not null,
  stages text[] not null,
  created_at timestamptz not null,
  accessed_on date,
  primary key (secret_id, version_id)
);
