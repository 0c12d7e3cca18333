create schema sqs;

create table sqs.queues (
  account text not null,
  region text not null,
  name text not null,
  -- a queue that is made anew under a name is another one: its messages and receipt handles are none of the old one's
  id uuid not null unique,
  fifo boolean not null,
  -- as they were set, all of them texts; what was not set has its default
  attributes jsonb not null,
  policy text,
  tags jsonb not null,
  -- of RedrivePolicy
  dead_letter_arn text,
  max_receive_count integer,
  -- messages up to here were purged: they are gone at once, and deleted by and by
  purged_seq bigint not null default 0,
  purged_at timestamptz,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  primary key (account, region, name)
);
create index on sqs.queues (dead_letter_arn) where dead_letter_arn is not null;

create sequence sqs.order;

create table sqs.messages (
  seq bigint primary key default nextval('sqs.order'),
  queue_id uuid not null,
  id uuid not null,
  body text not null,
  attributes jsonb,
  system_attributes jsonb,
  sender_id text not null,
  sent_at timestamptz not null,
  -- delayed or in flight until then
  visible_at timestamptz not null,
  -- of the last receive; null while it was never received
  receipt uuid,
  -- since it is in this queue; what a dead-letter queue got was received elsewhere before
  received integer not null default 0,
  received_before integer not null default 0,
  first_received_at timestamptz,
  group_id text,
  dedup_id text,
  -- the queue that gave it up
  source_arn text
);
create index on sqs.messages (queue_id, visible_at);
create index on sqs.messages (queue_id, sent_at);
create index on sqs.messages (queue_id, seq) where group_id is not null;

-- What a FIFO queue took within five minutes. `scope` is the group where deduplication is per group, else empty.
create table sqs.deduplication (
  queue_id uuid not null,
  scope text not null,
  dedup_id text not null,
  message_id uuid not null,
  seq bigint not null,
  expires_at timestamptz not null,
  primary key (queue_id, scope, dedup_id)
);
create index on sqs.deduplication (expires_at);

-- Receives of FIFO queues that may be repeated by their id within five minutes.
create table sqs.attempts (
  queue_id uuid not null,
  attempt_id text not null,
  receipts uuid[] not null,
  expires_at timestamptz not null,
  primary key (queue_id, attempt_id)
);
create index on sqs.attempts (expires_at);

-- Deleted queues whose messages are still to be deleted.
create table sqs.dropped (
  queue_id uuid primary key,
  at timestamptz not null
);

create table sqs.move_tasks (
  id uuid primary key,
  account text not null,
  region text not null,
  source_arn text not null,
  -- null: back to where each message came from
  destination_arn text,
  per_second integer,
  status text not null,
  moved integer not null,
  to_move integer not null,
  failure text,
  started_at timestamptz not null
);
create index on sqs.move_tasks (source_arn, started_at);
-- One active task for each source, whoever starts one at the same moment.
create unique index on sqs.move_tasks (source_arn) where status in ('RUNNING', 'CANCELLING');
