-- The data key of a content under a KMS key, as KMS sealed it; null where only the store's key protects the bytes.
alter table s3.pieces add wrapped_key bytea;
alter table s3.uploads add wrapped_key bytea;
