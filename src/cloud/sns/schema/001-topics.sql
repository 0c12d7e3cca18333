create schema sns;

create table sns.topics (
  account text not null,
  region text not null,
  name text not null,
  fifo boolean not null,
  -- as they were set; what was not set has its default
  attributes jsonb not null,
  -- null: the one that every new topic has
  policy text,
  tags jsonb not null,
  created_at timestamptz not null,
  primary key (account, region, name)
);

create sequence sns.order;

create table sns.subscriptions (
  arn text primary key,
  topic_arn text not null,
  account text not null,
  region text not null,
  protocol text not null,
  endpoint text not null,
  attributes jsonb not null,
  -- when its owner agreed, in the order of messages: what was published before is none of his; null until then
  confirmed_seq bigint,
  confirmed boolean not null generated always as (confirmed_seq is not null) stored,
  -- whether the agreement was signed by an account, and if so, whether only an account may end it
  authenticated boolean not null default false,
  guarded boolean not null default false,
  principal text not null,
  created_at timestamptz not null,
  unique (topic_arn, protocol, endpoint)
);
create index on sns.subscriptions (account, region, arn);

-- What was published and is not delivered to everybody yet.
create table sns.messages (
  id uuid primary key,
  seq bigint not null default nextval('sns.order'),
  topic_arn text not null,
  subject text,
  -- the text, or one for each protocol
  message text not null,
  by_protocol jsonb,
  attributes jsonb,
  group_id text,
  dedup_id text,
  published_at timestamptz not null
);

-- One message for one subscription.
create table sns.deliveries (
  id bigint generated always as identity primary key,
  message_id uuid not null references sns.messages,
  subscription_arn text not null,
  -- of a FIFO topic: what has one lane is delivered one after the other
  lane text,
  -- tries that failed
  attempts integer not null default 0
);
create index on sns.deliveries (message_id);
create index on sns.deliveries (subscription_arn, lane, id);

create table sns.deduplication (
  topic_arn text not null,
  scope text not null,
  dedup_id text not null,
  message_id uuid not null,
  seq bigint not null,
  expires_at timestamptz not null,
  primary key (topic_arn, scope, dedup_id)
);
create index on sns.deduplication (expires_at);

-- The key that signs what is delivered; sealed. Receivers keep its certificate by its address, so old ones stay.
create table sns.signers (
  id text primary key,
  sealed text not null,
  certificate text not null,
  made_at timestamptz not null
);
