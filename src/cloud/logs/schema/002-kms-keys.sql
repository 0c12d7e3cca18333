-- A data key under which chunks of a group are, as KMS sealed it (base64).
create table logs.data_keys (
  id uuid primary key,
  group_id uuid not null,
  kms_key_id text not null,
  wrapped_key text not null
);
create index on logs.data_keys (group_id);

-- What is logged from now on is under this one; what is there already stays as it is.
alter table logs.groups add kms_key_id text;
alter table logs.groups add data_key uuid;
alter table logs.chunks add data_key uuid;
