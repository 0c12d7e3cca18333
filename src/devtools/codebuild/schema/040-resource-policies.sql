-- Who, beside the policies of its own account, may look at a project or a report group.
create table codebuild.resource_policies (
  account text not null,
  region text not null,
  arn text collate "C" not null,
  -- project, report-group
  kind text not null,
  policy text not null,
  -- whom its statements allow: account ids, ARNs of users and roles, or *
  principals text[] not null,
  modified_at timestamptz not null,
  primary key (account, region, arn)
);
create index resource_policies_principals on codebuild.resource_policies using gin (principals);
