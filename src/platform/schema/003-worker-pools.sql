-- By which names a process takes jobs. It has a new one whenever its job runner was started again.
create table platform.worker_pools (
  id text primary key,
  process bigint not null references platform.processes on delete cascade
);
create index on platform.worker_pools (process);
alter table platform.processes drop column pool_id;
