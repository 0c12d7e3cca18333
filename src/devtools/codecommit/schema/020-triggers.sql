-- The triggers of a repository, put all at once.
create table codecommit.triggers (
  repository_id uuid primary key references codecommit.repositories on delete cascade,
  -- new with every put
  configuration_id uuid not null,
  -- as PutRepositoryTriggers takes them
  triggers jsonb not null
);
