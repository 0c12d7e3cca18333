create table iam.ssh_keys (
  id text collate "C" primary key,
  user_id text not null references iam.entities,
  -- such as ssh-rsa
  type text not null,
  -- as the SSH protocol carries it
  public_key bytea not null,
  comment text not null,
  active boolean not null,
  created_at timestamptz not null
);
create index on iam.ssh_keys (user_id);
