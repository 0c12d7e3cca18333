create table codebuild.webhooks (
  id uuid primary key,
  account text not null,
  region text not null,
  project text collate "C" not null,
  project_id uuid not null unique,
  -- branchFilter, filterGroups, buildType, manualCreation, scopeConfiguration, pullRequestBuildPolicy of the API
  definition jsonb not null,
  -- the project's source and role when the webhook was made: whose hook it is at the provider, also after the project is gone
  source jsonb not null,
  service_role text,
  -- what signs deliveries, under the master key
  sealed_secret text not null,
  -- the one before, while the provider is told of a new one
  sealed_former text,
  secret_changed_at timestamptz not null,
  -- CREATING, CREATE_FAILED, ACTIVE or DELETING
  status text not null,
  status_message text,
  -- how often the provider may have been asked to make the hook: from the second time on it may be there already
  attempts integer not null default 0,
  -- of the hook at the provider; null for those that users make by hand
  hook_id text,
  hook_url text
);
create index webhooks_unfinished on codebuild.webhooks (id) where status in ('CREATING', 'DELETING');

-- what was answered to the deliveries of the last days, so that one that comes again starts nothing
create table codebuild.webhook_deliveries (
  webhook uuid not null references codebuild.webhooks on delete cascade,
  delivery text not null,
  answer text not null,
  received_at timestamptz not null,
  primary key (webhook, delivery)
);
create index on codebuild.webhook_deliveries (received_at);

-- which event of which webhook started a build
alter table codebuild.builds add column webhook jsonb;
