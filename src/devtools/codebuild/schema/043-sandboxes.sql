create table codebuild.sandboxes (
  id uuid primary key,
  account text not null,
  region text not null,
  project text collate "C" not null,
  project_id uuid not null,
  -- later sandboxes have a greater one
  sandbox_order bigint not null generated always as identity,
  -- the id of its session, which its log stream is named after
  session uuid not null,
  -- as of a build
  definition jsonb not null,
  phases jsonb not null,
  requested_at timestamptz not null,
  started_at timestamptz,
  -- it must have left the queue, and be over, by then
  queue_deadline timestamptz not null,
  deadline timestamptz,
  stop_requested_at timestamptz,
  ended_at timestamptz,
  -- STOPPED, FAILED, FAULT; null until it is over
  end_status text,
  -- the process that runs it; null while queued, when it is over, and when its process died with the machine left
  owner text,
  attempts integer not null default 0,
  machine text,
  -- the data directory that the machine is in; null when the machine is there no more, or is being removed
  place text,
  -- when its process died and left the machine for another one
  left_at timestamptz,
  -- where commands run, and what of their environment depends on the sources; null until these are there
  workspace jsonb,
  resolved_source_version text
);
create index sandboxes_by_region on codebuild.sandboxes (account, region, sandbox_order);
create index sandboxes_by_project on codebuild.sandboxes (account, region, project, sandbox_order);
create index sandboxes_unfinished on codebuild.sandboxes (sandbox_order) where ended_at is null;

create table codebuild.command_executions (
  id uuid primary key,
  sandbox uuid not null references codebuild.sandboxes on delete cascade,
  command_order bigint not null generated always as identity,
  command text not null,
  -- SUBMITTED, IN_PROGRESS, SUCCEEDED, FAILED
  status text not null,
  submitted_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  exit_code integer,
  stdout text,
  stderr text
);
create index command_executions_by_sandbox on codebuild.command_executions (sandbox, command_order);
