alter table codecommit.repositories
  -- counts how often objects were dropped; what was proven against an earlier one must be proven again
  add column epoch bigint not null default 0,
  -- when it was last looked whether there are objects that nothing needs, and at which generation
  add column pruned_at timestamptz,
  add column pruned_generation bigint;

alter table codecommit.packs
  -- of a pack of objects that nothing needs: git's record of since when (gitformat-pack, "mtimes")
  add column unneeded_since bytea;
