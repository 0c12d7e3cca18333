alter table codebuild.projects add column batches integer not null default 0;

create table codebuild.build_batches (
  id uuid primary key,
  account text not null,
  region text not null,
  project text collate "C" not null,
  project_id uuid not null,
  number integer not null,
  -- later batches have a greater one
  batch_order bigint not null default nextval('codebuild.build_order'),
  -- what its builds are made of, but for what each of them overrides
  definition jsonb not null,
  -- buildBatchConfig, with the request's overrides and defaults
  config jsonb not null,
  -- what StartBuildBatch was called with, in the words of StartBuild
  request jsonb not null,
  status text not null,
  phases jsonb not null,
  -- the download of the source first, then the builds of the batch section, once it is read
  groups jsonb not null,
  fast_fail boolean not null default false,
  initiator text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  deadline timestamptz not null,
  -- how the batch ends once no build of it runs any more; no further build starts
  ending text,
  resolved_source_version text,
  -- of the combined artifacts
  artifacts jsonb,
  unique (account, region, project, number)
);
create index build_batches_by_region on codebuild.build_batches (account, region, batch_order);
create index build_batches_by_status on codebuild.build_batches (account, region, status, batch_order);
create index build_batches_by_project on codebuild.build_batches (account, region, project, batch_order);
create index build_batches_unfinished on codebuild.build_batches (project_id) where status = 'IN_PROGRESS';

alter table codebuild.builds add column batch uuid;
-- which build of the batch it is
alter table codebuild.builds add column batch_build jsonb;
-- of the build that downloads a batch's source: the text of the buildspec with the batch section
alter table codebuild.builds add column batchspec text;
create index builds_of_batch on codebuild.builds (batch) where batch is not null;
