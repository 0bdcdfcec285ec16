{#
  For views that file an interval under the local date of its start. A row next to midnight is looked at from both of
  its days, so a filter on local_date still reads no more than that day and its neighbours. Makes the CTE `filed` of
  the CTE `readings`, which has plant_code, local_date, collect_time_utc and time_zone; `filed_on` is the day looked
  from, and belongs into the partitions of windows. In the end `{{ belongs_here() }}` keeps each row once.
#}
{% macro filed_both_ways() -%}
-- A join, for DuckDB turns the filter on its one side into a choice of files on the other; it can't solve
-- `local_date - 1 = ...`.
neighbours as (

    select
        filed_on::date as filed_on,
        filed_on::date - 1 as day_before,
        filed_on::date + 1 as day_after
    from range(date '2000-01-01', date '2100-01-01', interval 1 day) as calendar (filed_on)

),

filed as (

    select
        readings.*,
        readings.local_date as filed_on
    from readings
    union all
    -- Its interval may have begun yesterday.
    select
        readings.*,
        neighbours.filed_on
    from readings
    inner join neighbours
        on readings.local_date = neighbours.day_after
    where timezone(readings.time_zone, readings.collect_time_utc - interval 15 minutes)::date < readings.local_date
    union all
    -- The interval of a row of tomorrow may begin with it.
    select
        readings.*,
        neighbours.filed_on
    from readings
    inner join neighbours
        on readings.local_date = neighbours.day_before
    where timezone(readings.time_zone, readings.collect_time_utc + interval 15 minutes)::date > readings.local_date

)
{%- endmacro %}

{% macro belongs_here() -%}
    coalesce(timezone(time_zone, interval_start_utc)::date, local_date) = filed_on
{%- endmacro %}

{#
  Energy of an interval by a counter whose kind is known: one that restarts at midnight counts from there, and what
  spans midnight can't be told apart. Needs `day_start_utc`, `day_end_utc` and `counter_kind`.
#}
{% macro energy_of(column) -%}
    case
            when counter_kind = 'daily' and interval_start_utc = filed_start_utc and {{ is_near(column) }} then {{ column }}
            when counter_kind = 'daily' and collect_time_utc > filed_end_utc then null
            when {{ step_of(column) }} >= 0 then {{ step_of(column) }}
        end
{%- endmacro %}

{# Whether the counter fell where nothing explains it. #}
{% macro fell(column) -%}
    coalesce(
            {{ step_of(column) }} < 0
            and not (
                counter_kind != 'lifetime'
                and (interval_start_utc = filed_start_utc or collect_time_utc >= filed_end_utc)
            ),
            false
        )
{%- endmacro %}
