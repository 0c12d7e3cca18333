-- Large files of git LFS. The rows outlive a deleted repository until their blobs are deleted too, hence no foreign key.
create table codecommit.lfs_objects (
  repository_id uuid not null,
  -- SHA-256 of the content, lower-case hex
  oid text collate "C" not null,
  size bigint not null,
  -- pending: on its way; live: the repository has it; retired: to be deleted
  state text not null,
  state_since timestamptz not null,
  primary key (repository_id, oid)
);
create index on codecommit.lfs_objects (state_since) where state <> 'live';

create table codecommit.lfs_locks (
  id uuid primary key,
  repository_id uuid not null references codecommit.repositories on delete cascade,
  path text collate "C" not null,
  owner_arn text not null,
  owner_name text not null,
  locked_at timestamptz not null,
  unique (repository_id, path)
);
