create table cloudwatch.alarms (
  id uuid primary key,
  account text not null,
  region text not null,
  name text collate "C" not null,
  type text not null check (type in ('MetricAlarm', 'CompositeAlarm')),
  -- as it was put, without name and tags
  definition jsonb not null,
  tags jsonb not null default '{}',
  state text not null,
  state_reason text not null,
  state_reason_data text,
  state_at timestamptz not null,
  transitioned_at timestamptz not null,
  configured_at timestamptz not null,
  -- when a metric alarm is to be looked at again
  next_at timestamptz,
  unique (account, region, name)
);
create index on cloudwatch.alarms (next_at);

-- The metrics of each metric alarm.
create table cloudwatch.watched (
  metric uuid not null,
  alarm uuid not null references cloudwatch.alarms on delete cascade,
  -- whether values of a period that has not ended yet may already tell that it breaches
  eager boolean not null,
  primary key (metric, alarm)
);
create index on cloudwatch.watched (alarm);

-- The alarms that the rule of each composite alarm names.
create table cloudwatch.children (
  parent uuid not null references cloudwatch.alarms on delete cascade,
  child uuid not null references cloudwatch.alarms,
  primary key (parent, child)
);
create index on cloudwatch.children (child);

-- Stays when its alarm is deleted.
create table cloudwatch.alarm_history (
  id bigint generated always as identity primary key,
  account text not null,
  region text not null,
  alarm text collate "C" not null,
  type text not null,
  at timestamptz not null,
  item text not null,
  summary text not null,
  data text not null
);
create index on cloudwatch.alarm_history (account, region, at, id);
create index on cloudwatch.alarm_history (account, region, alarm, at, id);
create index on cloudwatch.alarm_history (at);
