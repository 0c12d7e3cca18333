-- what an account's builds show to a git provider where their project says nothing else
create table codebuild.source_credentials (
  account text not null,
  region text not null,
  -- ServerType of the API
  server_type text not null,
  auth_type text not null,
  -- token or password under the master key; null where another service keeps it
  sealed text,
  -- for BASIC_AUTH
  user_name text,
  -- ARN of the connection or of the secret that has the token
  resource text,
  created_at timestamptz not null,
  primary key (account, region, server_type)
);
