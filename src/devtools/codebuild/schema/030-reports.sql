create table codebuild.report_groups (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  type text not null,
  export_config jsonb not null,
  tags jsonb not null,
  -- ACTIVE, DELETING
  status text not null,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  unique (account, region, name)
);
create index report_groups_deleting on codebuild.report_groups (id) where status = 'DELETING';

create sequence codebuild.report_order;

create table codebuild.reports (
  id uuid primary key,
  account text not null,
  region text not null,
  -- later reports have a greater one
  report_order bigint not null default nextval('codebuild.report_order'),
  group_id uuid not null references codebuild.report_groups,
  group_name text collate "C" not null,
  build uuid not null,
  -- the build's ARN
  execution text not null,
  type text not null,
  status text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  -- as the group's was when the report was made
  export_config jsonb not null,
  truncated boolean not null default false,
  test_summary jsonb,
  coverage_summary jsonb
);
create index reports_by_region on codebuild.reports (account, region, report_order);
create index reports_by_group on codebuild.reports (group_id, report_order);
create index reports_generating on codebuild.reports (build) where status = 'GENERATING';
create index reports_deleting on codebuild.reports (id) where status = 'DELETING';
create index reports_by_end on codebuild.reports (expires_at);

create table codebuild.test_cases (
  report uuid not null references codebuild.reports on delete cascade,
  ordinal integer not null,
  raw_path text not null,
  prefix text not null,
  name text not null,
  suite text not null,
  status text not null,
  -- ns
  duration bigint not null,
  message text not null,
  primary key (report, ordinal)
);

create table codebuild.code_coverages (
  report uuid not null references codebuild.reports on delete cascade,
  ordinal integer not null,
  id uuid not null,
  file_path text collate "C" not null,
  lines_covered integer not null,
  lines_missed integer not null,
  line_percentage double precision not null,
  branches_covered integer not null,
  branches_missed integer not null,
  branch_percentage double precision not null,
  primary key (report, ordinal)
);

-- of the reports that a build made
alter table codebuild.builds add column report_arns text[];
