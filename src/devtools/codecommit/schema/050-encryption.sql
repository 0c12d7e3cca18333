-- The KMS key of a repository, and the data key of its blobs as KMS sealed it (base64). Null for repositories from before there were keys:
-- their blobs are under the store's key alone.
alter table codecommit.repositories add kms_key_id text;
alter table codecommit.repositories add wrapped_key text;
-- Whether it is the key that AWS manages for CodeCommit, for which nobody needs a permission.
alter table codecommit.repositories add key_managed boolean not null default false;
