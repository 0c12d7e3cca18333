-- Fleets of reserved capacity: how many builds may run in each at once.
create table codebuild.fleets (
  account text not null,
  region text not null,
  name text collate "C" not null,
  id uuid not null unique,
  -- the API's Fleet, without what has a column here
  definition jsonb not null,
  tags jsonb not null,
  -- CREATING, UPDATING, ACTIVE, PENDING_DELETION
  status text not null,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  primary key (account, region, name)
);
create index fleets_unsettled on codebuild.fleets (id) where status <> 'ACTIVE';

-- the fleet that a build is meant for, and whether it took one of its places (else it overflowed)
alter table codebuild.builds add column fleet uuid;
alter table codebuild.builds add column in_fleet boolean not null default false;
create index builds_of_fleet on codebuild.builds (fleet, owner) where status = 'IN_PROGRESS' and fleet is not null;
