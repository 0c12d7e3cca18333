-- What all processes of an installation must share, sealed under the master key: the certificate authority, a check of the key itself.
create table platform.secrets (
  name text primary key,
  sealed text not null
);
