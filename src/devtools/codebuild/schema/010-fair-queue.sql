-- Queued builds run in the order of their turns: a project's next build has the turn after its last waiting one, and a project that comes
-- to wait begins at the turn that its account is at, so that projects of an account take turns.
alter table codebuild.builds add column turn bigint not null default 0;

-- Given when a build leaves the queue: the account that was served longest ago is next.
create sequence codebuild.claim_order;
alter table codebuild.builds add column claim_order bigint;

create index builds_queued on codebuild.builds (account, turn, build_order) where status = 'IN_PROGRESS' and owner is null;
create index builds_of_project on codebuild.builds (project_id, owner, turn) where status = 'IN_PROGRESS';
create index builds_claimed on codebuild.builds (account, claim_order) where claim_order is not null;
create index builds_running on codebuild.builds (account) where status = 'IN_PROGRESS' and owner is not null;
