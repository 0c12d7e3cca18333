-- Whom to tell of changes beside EventBridge: [{"id", "arn", "events", "prefix", "suffix"}]
alter table s3.buckets add column notifications jsonb not null default '[]';
