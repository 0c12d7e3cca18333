create schema codeconnections;

-- servers of one's own that connections go to
create table codeconnections.hosts (
  arn text primary key,
  account text not null,
  region text not null,
  name text not null,
  provider_type text not null,
  endpoint text not null,
  tags jsonb not null,
  host_order bigint generated always as identity
);
create index on codeconnections.hosts (account, region, host_order);

create table codeconnections.connections (
  arn text primary key,
  account text not null,
  region text not null,
  name text not null,
  provider_type text not null,
  host text references codeconnections.hosts,
  -- PENDING until an operator gives a token
  status text not null,
  -- the token, under the master key
  sealed text,
  tags jsonb not null,
  connection_order bigint generated always as identity
);
create index on codeconnections.connections (account, region, connection_order);
create index on codeconnections.connections (host);
