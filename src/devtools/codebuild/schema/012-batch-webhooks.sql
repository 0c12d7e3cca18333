-- the event of a git provider that started the batch
alter table codebuild.build_batches add column webhook jsonb;
