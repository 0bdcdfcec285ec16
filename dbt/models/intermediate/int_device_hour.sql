{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- Steps of the counters of inverters (a) and meters (a forward, b reverse) in each hour of the plant's clock. An
-- interval belongs to the hour in which it began. Intervals that touch local midnight stand apart: what they mean depends
-- on whether the counter restarts there.
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'hour_rows') }}

),

to_read as (

    {{ days_to_read('todo') }}

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind in ('inverter', 'meter') -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
        '{{ kind }}' as kind,
        rows_read.collect_time_utc,
        {% if kind == 'inverter' -%}
        rows_read.total_yield_kwh as a_kwh,
        null::double as b_kwh
        {%- else -%}
        rows_read.forward_active_energy_kwh as a_kwh,
        rows_read.reverse_active_energy_kwh as b_kwh
        {%- endif %}
    from {{ five_minutes(table) }} as rows_read
    inner join to_read
        on
            rows_read.plant_code = to_read.plant_code
            and rows_read.local_date = to_read.read_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

with_previous as (

    select
        *,
        {{ previous('a_kwh') }},
        {{ previous('b_kwh') }}
    from readings
    window by_device as (
        partition by plant_code, device_id
        order by collect_time_utc
    )

),

stepped as (

    select
        *,
        {{ step_of('a_kwh') }} as a_step,
        {{ step_of('b_kwh') }} as b_step,
        {{ interval_start_of('a_kwh') }} as interval_start_utc
    from with_previous

),

filed as (

    select
        stepped.*,
        todo.local_date,
        todo.inputs_changed_at_utc,
        todo.signature,
        case
            when stepped.interval_start_utc = todo.day_start_utc then 'begins'
            when stepped.collect_time_utc > todo.day_end_utc then 'spans'
            else 'within'
        end as midnight,
        (epoch(stepped.collect_time_utc) - epoch(stepped.interval_start_utc)) / 60 as minutes,
        stepped.interval_start_utc - to_seconds(epoch(
            timezone(todo.time_zone, stepped.interval_start_utc)
            - date_trunc('hour', timezone(todo.time_zone, stepped.interval_start_utc))
        )) as hour_start_utc
    from stepped
    inner join todo
        on
            stepped.plant_code = todo.plant_code
            and timezone(todo.time_zone, stepped.interval_start_utc)::date = todo.local_date

)

select
    plant_code,
    local_date,
    hour_start_utc,
    device_id,
    any_value(kind) as kind,
    {% for c in ['a', 'b'] -%}
    sum({{ c }}_step) filter (where midnight = 'within' and {{ c }}_step >= 0) as {{ c }}_within_kwh,
    sum({{ c }}_step) filter (where midnight != 'within' and {{ c }}_step >= 0) as {{ c }}_midnight_step_kwh,
    sum({{ c }}_kwh) filter (where midnight = 'begins' and {{ is_near(c ~ '_kwh') }}) as {{ c }}_midnight_value_kwh,
    {% endfor -%}
    coalesce(sum(minutes) filter (where midnight = 'within' and a_step >= 0), 0) as within_minutes,
    coalesce(sum(minutes) filter (where midnight != 'within' and a_step >= 0), 0) as midnight_step_minutes,
    coalesce(sum(minutes) filter (where midnight = 'begins' and {{ is_near('a_kwh') }}), 0) as midnight_value_minutes,
    any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
    any_value(signature) as signature
from filed
group by
    plant_code,
    local_date,
    hour_start_utc,
    device_id
