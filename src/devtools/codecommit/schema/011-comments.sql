-- What is commented on: two commits compared, or a line or file of that, in a pull request or by itself. All comments of one place are one thread.
create table codecommit.comment_places (
  id bigint generated always as identity primary key,
  repository_id uuid not null references codecommit.repositories on delete cascade,
  account text not null,
  region text not null,
  -- null: a comparison of two commits by itself
  pull_request_id bigint,
  -- null: the first commit, compared with nothing
  before_commit text,
  after_commit text not null,
  file_path text,
  file_position bigint,
  file_version text,
  before_blob text,
  after_blob text,
  -- digest of all of the above that callers give
  key text not null,
  unique (repository_id, key),
  foreign key (account, region, pull_request_id) references codecommit.pull_requests on delete cascade
);
create index on codecommit.comment_places (account, region, pull_request_id, id);
create index on codecommit.comment_places (repository_id, after_commit, id);

create table codecommit.comments (
  id uuid primary key,
  -- the order in which they were made
  seq bigint generated always as identity,
  place_id bigint not null references codecommit.comment_places on delete cascade,
  account text not null,
  region text not null,
  -- null: deleted
  content text,
  in_reply_to uuid references codecommit.comments on delete cascade,
  author text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  client_request_token text,
  -- of the request that the token stands for
  request_hash text not null,
  unique (account, region, client_request_token)
);
create index on codecommit.comments (place_id, seq);
create index on codecommit.comments (in_reply_to) where in_reply_to is not null;

-- One of each user for each comment.
create table codecommit.comment_reactions (
  comment_id uuid not null references codecommit.comments on delete cascade,
  user_arn text not null,
  -- the name of one in reaction-values.ts
  reaction text not null,
  seq bigint generated always as identity,
  primary key (comment_id, user_arn)
);
create index on codecommit.comment_reactions (comment_id, reaction, seq);
