-- Who deleted a branch of an open pull request before it was known whether the pushes until then had merged it.
alter table codecommit.pull_requests add column branch_deleted_by text;
