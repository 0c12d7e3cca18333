-- Rules that pull requests get when they are made, if their repository is associated with the template.
create table codecommit.approval_rule_templates (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  description text,
  content text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- ARN of who changed it last
  updated_by text not null,
  unique (account, region, name)
);

create table codecommit.approval_rule_associations (
  template_id uuid not null references codecommit.approval_rule_templates,
  repository_id uuid not null references codecommit.repositories on delete cascade,
  primary key (template_id, repository_id)
);
create index on codecommit.approval_rule_associations (repository_id);

create table codecommit.approval_rules (
  id uuid primary key,
  account text not null,
  region text not null,
  pull_request_id bigint not null,
  name text collate "C" not null,
  content text not null,
  -- the template that it was made from, as it was called then; it may be gone by now
  template_id uuid,
  template_name text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  updated_by text not null,
  unique (account, region, pull_request_id, name),
  foreign key (account, region, pull_request_id) references codecommit.pull_requests on delete cascade
);

-- Each is for one revision: a push to the source branch makes a new revision, which nobody has approved.
create table codecommit.approvals (
  account text not null,
  region text not null,
  pull_request_id bigint not null,
  revision_id text not null,
  user_arn text not null,
  approved_at timestamptz not null,
  primary key (account, region, pull_request_id, revision_id, user_arn),
  foreign key (account, region, pull_request_id) references codecommit.pull_requests on delete cascade
);

create table codecommit.approval_overrides (
  account text not null,
  region text not null,
  pull_request_id bigint not null,
  revision_id text not null,
  overrider text not null,
  primary key (account, region, pull_request_id, revision_id),
  foreign key (account, region, pull_request_id) references codecommit.pull_requests on delete cascade
);
