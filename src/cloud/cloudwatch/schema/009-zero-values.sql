-- Values may all be zero, as the failures of builds that succeed are; 0 has no logarithm.
create or replace function cloudwatch.merged(a double precision[], b double precision[]) returns double precision[]
language sql immutable strict parallel safe as $$
  with pairs as (
    select pair.value, sum(pair.weight) as weight
    from (select a || b as flat) as both_of,
      lateral (select flat[2 * i - 1] as value, flat[2 * i] as weight from generate_series(1, cardinality(flat) / 2) as i) as pair
    group by pair.value
  ), measure as (
    select count(*) as number, greatest(ln(1.01::double precision), (ln(nullif(max(value), 0)) - ln(min(nullif(value, 0)))) / 1000) as width from pairs
  ), classes as (
    select case when number <= 500 or value = 0 then value else exp(round(ln(nullif(value, 0)) / width) * width) end as value, weight
    from pairs, measure
  ), gathered as (
    select value, sum(weight) as weight from classes group by value
  )
  select coalesce(array_agg(item order by value, place), '{}')
  from gathered, lateral (values (1, value), (2, weight)) as flat(place, item)
$$;
