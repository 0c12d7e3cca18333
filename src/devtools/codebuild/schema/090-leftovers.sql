-- the data directory (its id) of the process that runs the build; null while queued
alter table codebuild.builds add column place text;

-- Machines of dead processes that others could not remove, since they are on another host: whoever works on that data directory next does.
create table codebuild.leftovers (
  place text not null,
  machine text not null,
  primary key (place, machine)
);
