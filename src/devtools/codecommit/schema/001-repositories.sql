create schema codecommit;

create table codecommit.repositories (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  description text,
  -- the branch's short name; null until the first branch exists
  default_branch text,
  -- counts every change of references, packs or default branch: names a view in the git cache
  generation bigint not null default 0,
  tags jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (account, region, name)
);
create index on codecommit.repositories (account, region, updated_at, name);

create table codecommit.refs (
  repository_id uuid not null references codecommit.repositories on delete cascade,
  -- in full, such as refs/heads/main; git sorts by bytes
  name text collate "C" not null,
  object_id text not null,
  -- what an annotated tag finally points at
  peeled_id text,
  primary key (repository_id, name)
);

create table codecommit.packs (
  blob_key text primary key,
  -- no foreign key: the rows outlive a deleted repository until their blobs are deleted too
  repository_id uuid not null,
  -- git's checksum of the pack
  name text not null,
  size bigint not null,
  objects integer not null,
  -- pending: the blob may be there, no reference needs it yet; live: part of the repository; retired: to be deleted
  state text not null,
  state_since timestamptz not null
);
create index on codecommit.packs (repository_id, state);
create index on codecommit.packs (state_since) where state <> 'live';
