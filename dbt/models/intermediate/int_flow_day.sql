{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- What the two counters and the power of each meter and battery say of a plant's day, in the device's own sense of
-- direction. Counter a is a meter's forward or a battery's charged energy, b the reverse or the discharged one.
-- Intervals that touch local midnight stand apart: what they mean depends on whether the counter restarts there. Over a
-- gap within the day a counter runs on.
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'flow_rows') }}

),

to_read as (

    {{ days_to_read('todo') }}

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind in ('meter', 'battery') -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
        {{ device_type_id }} as device_type_id,
        '{{ kind }}' as kind,
        rows_read.local_date,
        rows_read.collect_time_utc,
        {% if kind == 'meter' -%}
        rows_read.active_power_kw as power_kw,
        rows_read.forward_active_energy_kwh as a_kwh,
        rows_read.reverse_active_energy_kwh as b_kwh,
        null::double as soc_pct
        {%- else -%}
        rows_read.charge_discharge_power_kw as power_kw,
        rows_read.charged_energy_kwh as a_kwh,
        rows_read.discharged_energy_kwh as b_kwh,
        rows_read.battery_soc_pct as soc_pct
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

-- What a counter that restarts at midnight has counted when the day's first reading comes, however late that is.
firsts as (

    select
        readings.plant_code,
        readings.device_id,
        todo.local_date,
        {% for c in ['a', 'b'] -%}
        arg_min(readings.{{ c }}_kwh, readings.collect_time_utc) filter (where readings.{{ c }}_kwh is not null)
            as {{ c }}_first_after_midnight_kwh,
        min(readings.collect_time_utc) filter (where readings.{{ c }}_kwh is not null)
            as {{ c }}_first_after_midnight_at{{ ',' if not loop.last }}
        {% endfor %}
    from readings
    inner join todo
        on
            readings.plant_code = todo.plant_code
            and readings.collect_time_utc > todo.day_start_utc
            and readings.collect_time_utc <= todo.day_end_utc
    group by
        readings.plant_code,
        readings.device_id,
        todo.local_date

),

-- When a plant's batteries are at work, what flows at night may be theirs.
at_work as (

    select
        plant_code,
        collect_time_utc,
        max(abs(power_kw)) as battery_kw
    from readings
    where kind = 'battery'
    group by
        plant_code,
        collect_time_utc

),

with_previous as (

    select
        *,
        {{ previous('a_kwh') }},
        {{ previous('b_kwh') }},
        {{ previous('power_kw') }},
        {{ previous('soc_pct') }}
    from readings
    window by_device as (
        partition by plant_code, device_id
        order by collect_time_utc
    )

),

stepped as (

    select
        with_previous.*,
        {{ step_of('a_kwh') }} as a_step,
        {{ step_of('b_kwh') }} as b_step,
        {{ step_of('soc_pct') }} as soc_step,
        {{ integral_of('power_kw') }} as power_kwh,
        {{ interval_start_of('a_kwh') }} as interval_start_utc,
        case
            when {{ is_near('power_kw') }} and power_kw > 0 and previous_power_kw > 0 then 1
            when {{ is_near('power_kw') }} and power_kw < 0 and previous_power_kw < 0 then -1
        end as steady_sign
    from with_previous

),

filed as (

    select
        stepped.*,
        todo.local_date as filed_on,
        todo.time_zone,
        todo.day_start_utc,
        todo.day_end_utc,
        todo.latitude,
        todo.longitude,
        days.dawn_utc,
        days.dusk_utc,
        {% for c in ['a', 'b'] -%}
        firsts.{{ c }}_first_after_midnight_kwh,
        firsts.{{ c }}_first_after_midnight_at,
        {% endfor -%}
        todo.inputs_changed_at_utc,
        todo.signature,
        coalesce(at_work.battery_kw, 0) <= 0.05 as battery_rests,
        case
            when stepped.interval_start_utc = todo.day_start_utc then 'begins'
            when stepped.collect_time_utc > todo.day_end_utc then 'spans'
            else 'within'
        end as midnight
    from stepped
    inner join todo
        on
            stepped.plant_code = todo.plant_code
            and timezone(todo.time_zone, stepped.interval_start_utc)::date = todo.local_date
    inner join {{ ref('int_plant_day') }} as days
        on
            todo.plant_code = days.plant_code
            and todo.local_date = days.local_date
    left join firsts
        on
            stepped.plant_code = firsts.plant_code
            and stepped.device_id = firsts.device_id
            and todo.local_date = firsts.local_date
    left join at_work
        on
            stepped.plant_code = at_work.plant_code
            and stepped.collect_time_utc = at_work.collect_time_utc

),

placed as (

    select
        *,
        -- Where the plant's place is unknown, the hours about midnight are dark enough to see what is bought.
        coalesce(
            sun_elevation_deg < -6, hour(timezone(time_zone, collect_time_utc)) in (23, 0, 1, 2)
        ) as is_dark,
        {% for c in ['a', 'b'] -%}
        {{ step_over_gap(c ~ '_kwh') }} as {{ c }}_over_gap,
        previous_{{ c }}_kwh_at = day_start_utc as {{ c }}_gap_begins_at_midnight,
        {{ is_all_dark('previous_' ~ c ~ '_kwh_at', 'collect_time_utc') }} as {{ c }}_gap_is_dark,
        {{ is_all_dark('day_start_utc', c ~ '_first_after_midnight_at') }} as {{ c }}_first_is_dark{{ ',' if not loop.last }}
        {% endfor %}
    from {{ with_sun_elevation('filed', 'collect_time_utc') }}

)

select
    plant_code,
    filed_on as local_date,
    device_id,
    any_value(device_type_id) as device_type_id,
    any_value(kind) as kind,
    {% for c in ['a', 'b'] -%}
    sum({{ c }}_step) filter (where midnight = 'within' and {{ c }}_step >= 0) as {{ c }}_within_kwh,
    sum({{ c }}_step) filter (where midnight != 'within' and {{ c }}_step >= 0) as {{ c }}_midnight_step_kwh,
    sum({{ c }}_over_gap) filter (where {{ c }}_over_gap >= 0 and not {{ c }}_gap_begins_at_midnight)
        as {{ c }}_over_gaps_kwh,
    sum({{ c }}_over_gap) filter (where {{ c }}_over_gap >= 0 and {{ c }}_gap_begins_at_midnight)
        as {{ c }}_midnight_over_gap_kwh,
    any_value({{ c }}_first_after_midnight_kwh) as {{ c }}_midnight_value_kwh,
    sum({{ c }}_step) filter (where midnight = 'within' and sun_elevation_deg < -6 and {{ c }}_step >= 0)
        as {{ c }}_night_within_kwh,
    sum({{ c }}_step) filter (where midnight != 'within' and sun_elevation_deg < -6 and {{ c }}_step >= 0)
        as {{ c }}_night_midnight_step_kwh,
    sum({{ c }}_over_gap) filter (where {{ c }}_over_gap >= 0 and {{ c }}_gap_is_dark and not {{ c }}_gap_begins_at_midnight)
        as {{ c }}_night_over_gaps_kwh,
    sum({{ c }}_over_gap) filter (where {{ c }}_over_gap >= 0 and {{ c }}_gap_is_dark and {{ c }}_gap_begins_at_midnight)
        as {{ c }}_night_midnight_over_gap_kwh,
    any_value({{ c }}_first_after_midnight_kwh) filter (where {{ c }}_first_is_dark) as {{ c }}_night_midnight_value_kwh,
    count(*) filter (
        where midnight = 'within' and {{ c }}_step < 0 or {{ c }}_over_gap < 0 and not {{ c }}_gap_begins_at_midnight
    ) as {{ c }}_falls_within,
    count(*) filter (
        where midnight != 'within' and {{ c }}_step < 0 or {{ c }}_over_gap < 0 and {{ c }}_gap_begins_at_midnight
    ) as {{ c }}_falls_at_midnight,
    arg_min({{ c }}_kwh, collect_time_utc) filter (where {{ c }}_kwh is not null) as {{ c }}_first_kwh,
    arg_max({{ c }}_kwh, collect_time_utc) filter (where {{ c }}_kwh is not null) as {{ c }}_last_kwh,
    {% endfor -%}
    sum(epoch(collect_time_utc) - epoch(interval_start_utc)) filter (where a_step is not null) / 3600 as counted_hours,
    sum(greatest(power_kwh, 0)) as positive_power_kwh,
    sum(greatest(-power_kwh, 0)) as negative_power_kwh,
    max(power_kw) as max_power_kw,
    min(power_kw) as min_power_kw,
    -- Which way the power points when one counter alone moves.
    count(*) filter (where midnight = 'within' and a_step > 0 and b_step = 0 and steady_sign = 1)
    + count(*) filter (where midnight = 'within' and b_step > 0 and a_step = 0 and steady_sign = -1)
        as positive_is_a_rows,
    count(*) filter (where midnight = 'within' and a_step > 0 and b_step = 0 and steady_sign = -1)
    + count(*) filter (where midnight = 'within' and b_step > 0 and a_step = 0 and steady_sign = 1)
        as positive_is_b_rows,
    -- Which way the power points when the state of charge moves.
    count(*) filter (where sign(soc_step) = steady_sign) as positive_charges_rows,
    count(*) filter (where sign(soc_step) = -steady_sign) as positive_discharges_rows,
    -- Which counter moves at night, while no battery works.
    count(*) filter (
        where midnight = 'within' and is_dark and battery_rests and a_step > 0 and b_step = 0
    ) as a_at_night_rows,
    count(*) filter (
        where midnight = 'within' and is_dark and battery_rests and b_step > 0 and a_step = 0
    ) as b_at_night_rows,
    -- Energy by power against energy by counters, over the same intervals, where one counter alone moves.
    sum(abs(power_kwh)) filter (where midnight = 'within' and (a_step = 0) != (b_step = 0) and a_step + b_step > 0)
        as compared_power_kwh,
    sum(a_step + b_step) filter (
        where midnight = 'within' and (a_step = 0) != (b_step = 0) and a_step + b_step > 0 and power_kwh is not null
    ) as compared_counter_kwh,
    arg_min(soc_pct, collect_time_utc) filter (where soc_pct is not null) as first_soc_pct,
    arg_max(soc_pct, collect_time_utc) filter (where soc_pct is not null) as last_soc_pct,
    min(soc_pct) as min_soc_pct,
    max(soc_pct) as max_soc_pct,
    count(power_kw) as power_rows,
    bool_and(sun_elevation_deg is not null) as sun_is_known,
    any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
    any_value(signature) as signature
from placed
group by
    plant_code,
    filed_on,
    device_id
