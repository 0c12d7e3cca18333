-- Merge commits that this API made, so that the commit of a merge can be asked for.
create table codecommit.merges (
  id bigint generated always as identity primary key,
  repository_id uuid not null references codecommit.repositories on delete cascade,
  source_commit text not null,
  destination_commit text not null,
  merged_commit text not null,
  conflict_detail_level text not null,
  conflict_resolution_strategy text not null
);
create index on codecommit.merges (repository_id, source_commit, destination_commit, id);
