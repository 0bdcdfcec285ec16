{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- What each inverter's counters and powers say of a plant's day; intervals are filed by their start.
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'inverter_rows') }}

),

to_read as (

    {{ days_to_read('todo') }}

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'inverter' -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
        {{ device_type_id }} as device_type_id,
        rows_read.local_date,
        rows_read.collect_time_utc,
        rows_read.active_power_kw,
        rows_read.total_yield_kwh,
        {% if device_type_id == 1 -%}
        coalesce(rows_read.mppt_total_yield_kwh, {{ mppt_sum(10) }})
        {%- else -%}
        {{ mppt_sum(4) }}
        {%- endif %} as dc_yield_kwh
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
        {{ previous('total_yield_kwh') }},
        {{ previous('dc_yield_kwh') }},
        {{ previous('active_power_kw') }}
    from readings
    window by_device as (
        partition by plant_code, device_id
        order by collect_time_utc
    )

),

stepped as (

    select
        *,
        {{ step_of('total_yield_kwh') }} as yield_step_kwh,
        {{ step_of('dc_yield_kwh') }} as dc_step_kwh,
        {{ integral_of('active_power_kw') }} as energy_from_power_kwh,
        {{ interval_start_of('total_yield_kwh') }} as interval_start_utc
    from with_previous

),

filed as (

    select
        stepped.*,
        todo.local_date as filed_on,
        todo.day_start_utc,
        todo.day_end_utc,
        todo.inputs_changed_at_utc,
        todo.signature
    from stepped
    inner join todo
        on
            stepped.plant_code = todo.plant_code
            and timezone(todo.time_zone, stepped.interval_start_utc)::date = todo.local_date

),

over_gaps as (

    select
        *,
        {{ step_over_gap('total_yield_kwh') }} as yield_over_gap_kwh,
        {{ step_over_gap('dc_yield_kwh') }} as dc_over_gap_kwh
    from filed

)

select
    plant_code,
    filed_on as local_date,
    device_id,
    any_value(device_type_id) as device_type_id,
    sum(yield_step_kwh) filter (where yield_step_kwh >= 0) as energy_kwh,
    sum(yield_over_gap_kwh) filter (where yield_over_gap_kwh >= 0) as energy_over_gaps_kwh,
    sum(energy_from_power_kwh) as energy_from_power_kwh,
    sum(dc_step_kwh) filter (where dc_step_kwh >= 0) as dc_energy_kwh,
    sum(dc_over_gap_kwh) filter (where dc_over_gap_kwh >= 0) as dc_energy_over_gaps_kwh,
    count(*) filter (where yield_step_kwh < 0 or yield_over_gap_kwh < 0) as counter_falls,
    -- How much of the day the steps cover, so that a hole is not read as a small day.
    sum(epoch(collect_time_utc) - epoch(interval_start_utc)) filter (where yield_step_kwh is not null) / 3600
        as counted_hours,
    max(active_power_kw) as max_power_kw,
    arg_max(collect_time_utc, active_power_kw) as max_power_at_utc,
    min(collect_time_utc) filter (where active_power_kw > 0) as first_power_at_utc,
    max(collect_time_utc) filter (where active_power_kw > 0) as last_power_at_utc,
    count(*) filter (where active_power_kw > 0) as power_rows,
    -- Enough of the highest powers for the 99.9th percentile of a year.
    max(active_power_kw, 110) filter (where active_power_kw > 0) as top_powers_kw,
    any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
    any_value(signature) as signature
from over_gaps
group by
    plant_code,
    filed_on,
    device_id
