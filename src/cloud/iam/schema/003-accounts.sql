-- The account's own name for itself, and its rules for passwords (null: AWS's default rules)
alter table iam.accounts add column alias text unique;
alter table iam.accounts add column password_policy jsonb;

create table iam.login_profiles (
  user_id text primary key references iam.entities,
  -- scrypt, with its parameters and salt
  password_hash text not null,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  reset_required boolean not null
);

-- Passwords that may not be used again
create table iam.former_passwords (
  user_id text not null references iam.entities on delete cascade,
  password_hash text not null,
  replaced_at timestamptz not null
);
create index on iam.former_passwords (user_id, replaced_at);

create table iam.oidc_providers (
  arn text collate "C" primary key,
  account text not null references iam.accounts,
  -- without https://
  url text not null,
  client_ids text[] not null,
  -- SHA-1 of certificates, lower-case hex
  thumbprints text[] not null,
  tags jsonb not null default '{}',
  created_at timestamptz not null
);
create index on iam.oidc_providers (account);
