-- The group in whose report of the whole batch this one of a part of its tests is put together with the others'.
alter table codebuild.reports add column merged_into uuid references codebuild.report_groups on delete set null;
create index reports_by_build on codebuild.reports (build);

-- of the reports that were put together at the end of a batch
alter table codebuild.build_batches add column report_arns text[];
