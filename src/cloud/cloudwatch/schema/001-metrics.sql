create schema cloudwatch;

create table cloudwatch.metrics (
  -- made of all that names the metric, so that writers need not look it up
  id uuid primary key,
  account text not null,
  region text not null,
  namespace text collate "C" not null,
  name text collate "C" not null,
  -- [{"Name": …, "Value": …}], by name
  dimensions jsonb not null,
  -- seconds since 1970 of the newest values, give or take some minutes: not every write says so
  last_at bigint not null
);
create index on cloudwatch.metrics (account, region, namespace, name, id);
create index on cloudwatch.metrics using gin (dimensions jsonb_path_ops);
create index on cloudwatch.metrics (last_at);

-- All values of a metric and unit within one second, minute, five minutes or hour. Each value is in one row only: rows that are past the time
-- of their resolution are put together to coarser ones.
create table cloudwatch.points (
  metric uuid not null,
  -- seconds since 1970
  at bigint not null,
  unit text not null,
  -- seconds: 1, 60, 300 or 3600
  resolution integer not null,
  count double precision not null,
  sum double precision not null,
  min double precision not null,
  max double precision not null,
  -- value, weight, value, weight, …; null where it is not known, or values are negative
  distribution double precision[],
  primary key (metric, at, unit, resolution)
);
create index on cloudwatch.points (resolution, at);

-- Two distributions as one. Up to 200 different values are kept as they are; more are gathered in classes, which are a hundredth wide, or as
-- wide as it takes for 500 of them to span all.
create function cloudwatch.merged(a double precision[], b double precision[]) returns double precision[]
language sql immutable strict parallel safe as $$
  with pairs as (
    select pair.value, sum(pair.weight) as weight
    from (select a || b as flat) as both_of,
      lateral (select flat[2 * i - 1] as value, flat[2 * i] as weight from generate_series(1, cardinality(flat) / 2) as i) as pair
    group by pair.value
  ), measure as (
    select count(*) as number, greatest(ln(1.01::double precision), (ln(max(nullif(value, 0))) - ln(min(nullif(value, 0)))) / 500) as width from pairs
  ), classes as (
    select case when number <= 200 or value = 0 then value else exp(round(ln(nullif(value, 0)) / width) * width) end as value, weight
    from pairs, measure
  ), gathered as (
    select value, sum(weight) as weight from classes group by value
  )
  select coalesce(array_agg(item order by value, place), '{}')
  from gathered, lateral (values (1, value), (2, weight)) as flat(place, item)
$$;

-- The same for writers: values are put behind each other until there are too many, since to gather them each time would take far longer.
create function cloudwatch.appended(a double precision[], b double precision[]) returns double precision[]
language sql immutable strict parallel safe as $$
  select case when cardinality(a) + cardinality(b) <= 1600 then a || b else cloudwatch.merged(a, b) end
$$;

-- Leaves out what is null, so whoever asks looks whether there is any.
create aggregate cloudwatch.merge(double precision[]) (sfunc = cloudwatch.merged, stype = double precision[], initcond = '{}');
