{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_signature')) }}"
) }}
-- What the rows of a day say of each inverter in daylight, as runs of neighbouring 5-minute slots of one kind, with what
-- it could have given, and where its counter stood before and after. int_inverter_run judges them.
with todo as (

    {{ days_to_do(ref('int_day_signature'), 'all_rows') }}

),

to_read as (

    {{ days_to_read('todo') }}

),

read_days as (

    select
        plant_code,
        read_date as local_date
    from to_read

),

irradiance as (

    {{ plant_irradiance('read_days') }}

),

grid as (

    select
        read_days.plant_code,
        read_days.local_date,
        days.latitude,
        days.longitude,
        unnest(generate_series(
            days.day_start_utc, days.day_end_utc - interval 5 minutes, interval 5 minutes
        )) as slot_utc
    from read_days
    inner join {{ ref('int_plant_day') }} as days
        on
            read_days.plant_code = days.plant_code
            and read_days.local_date = days.local_date

),

-- Down to the horizon, for a counter runs on where the light is too low to judge anybody.
lit as (

    select
        grid.plant_code,
        grid.local_date,
        grid.slot_utc,
        irradiance.irradiance_w_m2,
        coalesce(
            irradiance.irradiance_w_m2 >= {{ var('daylight_w_m2') }},
            grid.sun_elevation_deg >= {{ var('daylight_degrees') }}
        ) as is_daylight
    from {{ with_sun_elevation('grid', 'slot_utc') }} as grid
    left join irradiance
        on
            grid.plant_code = irradiance.plant_code
            and grid.slot_utc = irradiance.slot_utc
    where coalesce(irradiance.irradiance_w_m2 > 0, grid.sun_elevation_deg >= 0)

),

daylight as (

    select
        lit.* exclude (is_daylight),
        todo.trailing_pr,
        todo.day_before_is_whole,
        -- Up to where it was asked for, no evening is reached.
        coalesce(todo.asked_until_utc < todo.day_end_utc, false) as is_cut,
        todo.inputs_changed_at_utc,
        todo.signature,
        row_number() over (
            partition by lit.plant_code, lit.local_date
            order by lit.slot_utc
        ) as slot_number,
        count(*) over (partition by lit.plant_code, lit.local_date) as slot_count
    from lit
    inner join todo
        on
            lit.plant_code = todo.plant_code
            and lit.local_date = todo.local_date
    where
        lit.is_daylight
        -- What nobody has asked for yet is not silence.
        and lit.slot_utc <= coalesce(todo.asked_until_utc, lit.slot_utc)

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'inverter' -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.local_date,
        rows_read.collect_time_utc,
        time_bucket(interval 5 minutes, rows_read.collect_time_utc) as slot_utc,
        rows_read.active_power_kw,
        rows_read.inverter_state_code,
        rows_read.total_yield_kwh
    from {{ five_minutes(table) }} as rows_read
    inner join to_read
        on
            rows_read.plant_code = to_read.plant_code
            and rows_read.local_date = to_read.read_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

-- What the SmartLogger writes while it hears nothing (45056, 49152) says nothing of the counter either.
heard as (

    select readings.*
    from readings
    left join {{ ref('dim_inverter_state') }} as states
        on readings.inverter_state_code = states.inverter_state_code
    where coalesce(readings.active_power_kw > 0, false) or states.availability_group is distinct from 'no data'

),

per_slot as (

    select *
    from readings
    qualify row_number() over (
        partition by plant_code, device_id, slot_utc
        order by collect_time_utc desc
    ) = 1

),

-- What the others of the plant give per kWp while nothing limits them.
sisters as (

    select
        per_slot.plant_code,
        per_slot.slot_utc,
        median(per_slot.active_power_kw / ratings.p0_kwp) as kw_per_kwp
    from per_slot
    inner join {{ ref('int_inverter_rating') }} as ratings
        on per_slot.device_id = ratings.device_id
    where
        per_slot.active_power_kw > 0
        and per_slot.inverter_state_code = 512
        and ratings.p0_kwp > 0
    group by
        per_slot.plant_code,
        per_slot.slot_utc

),

slots as (

    select
        daylight.*,
        expected.device_id,
        ratings.p0_kwp,
        ratings.ac_kw,
        ratings.ac_kw_is_rating,
        per_slot.active_power_kw,
        per_slot.inverter_state_code,
        states.cause_group,
        coalesce(states.availability_group, 'no data') = 'no data' as is_stateless,
        case
            when per_slot.device_id is null then 'no data'
            when per_slot.active_power_kw > 0 then 'up'
            when states.availability_group in ('no data', 'down', 'excluded', 'standby') then states.availability_group
            else 'unknown'
        end as kind
    from daylight
    inner join {{ ref('int_inverter_expected') }} as expected
        on
            daylight.plant_code = expected.plant_code
            and daylight.local_date = expected.local_date
            and daylight.slot_utc >= coalesce(expected.owes_from_utc, daylight.slot_utc)
            and daylight.slot_utc <= coalesce(expected.owes_until_utc, daylight.slot_utc)
    left join {{ ref('int_inverter_rating') }} as ratings
        on expected.device_id = ratings.device_id
    left join per_slot
        on
            expected.device_id = per_slot.device_id
            and expected.plant_code = per_slot.plant_code
            and daylight.slot_utc = per_slot.slot_utc
    left join {{ ref('dim_inverter_state') }} as states
        on per_slot.inverter_state_code = states.inverter_state_code

),

reckoned as (

    select
        slots.*,
        case
            when slots.kind = 'no data' then 'communication'
            when slots.kind = 'up' and slots.inverter_state_code = 513 then 'power limit'
            when slots.kind = 'up' and slots.inverter_state_code = 514 then 'derating'
            when slots.kind = 'up' then 'running'
            when slots.kind = 'unknown' then 'unknown'
            else slots.cause_group
        end as cause,
        sisters.kw_per_kwp * slots.p0_kwp as sister_kw,
        slots.irradiance_w_m2 / 1000 * slots.p0_kwp * slots.trailing_pr as sensor_kw
    from slots
    left join sisters
        on
            slots.plant_code = sisters.plant_code
            and slots.slot_utc = sisters.slot_utc

),

potentials as (

    select
        *,
        -- Nobody is the sister of an inverter that runs unlimited itself.
        coalesce(case when kind != 'up' or inverter_state_code != 512 then sister_kw end, sensor_kw) as potential_kw,
        kind || ' ' || cause != lag(kind || ' ' || cause, 1, '') over (
            partition by plant_code, device_id, local_date
            order by slot_number
        ) as begins
    from reckoned

),

dim as (

    select
        lit.plant_code,
        lit.local_date,
        lit.slot_utc,
        lit.irradiance_w_m2,
        sisters.kw_per_kwp
    from lit
    left join sisters
        on
            lit.plant_code = sisters.plant_code
            and lit.slot_utc = sisters.slot_utc
    where not lit.is_daylight

),

numbered as (

    select
        *,
        sum(begins::integer) over (
            partition by plant_code, device_id, local_date
            order by slot_number
        ) as run_number
    from potentials

),

runs as (

    select
        plant_code,
        local_date,
        device_id,
        run_number::integer as run_number,
        any_value(kind) as kind,
        any_value(cause) as cause,
        mode(inverter_state_code) as inverter_state_code,
        min(slot_utc) as start_utc,
        max(slot_utc) + interval 5 minutes as end_utc,
        count(*) as slots,
        min(slot_number) = 1 as touches_morning,
        max(slot_number) = any_value(slot_count) and not any_value(is_cut) as touches_evening,
        -- Silence tells no power, and in a state that nobody knows no power is not 0.
        sum(case
            when kind = 'unknown' then active_power_kw
            when kind != 'no data' then coalesce(active_power_kw, 0)
        end) / 12 as own_kwh,
        sum(potential_kw) / 12 as potential_kwh,
        count(potential_kw) as potential_slots,
        sum(potential_kw - active_power_kw) filter (where active_power_kw < 0.95 * potential_kw) / 12 as below_kwh,
        count(*) filter (where ac_kw_is_rating and inverter_state_code = 512 and active_power_kw >= 0.99 * ac_kw)
            as clipped_slots,
        sum(case when sensor_kw is not null then greatest(sensor_kw - active_power_kw, 0) end) filter (
            where ac_kw_is_rating and inverter_state_code = 512 and active_power_kw >= 0.99 * ac_kw
        ) / 12 as clipped_kwh,
        any_value(ac_kw_is_rating) as clipping_is_known,
        count(*) filter (where is_stateless) as stateless_slots,
        any_value(p0_kwp) as p0_kwp,
        any_value(trailing_pr) as trailing_pr,
        any_value(is_cut) as is_cut,
        any_value(day_before_is_whole) as day_before_is_whole,
        any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
        any_value(signature) as signature
    from numbered
    group by
        plant_code,
        local_date,
        device_id,
        run_number

),

-- The last that was heard before a run and the first after it, in its plant, on its day or one beside it: further away
-- only some builds read. Where nobody asked for the time between, what happened then is no part of a silence. A reading
-- without a counter is one all the same: then nobody knows what the run came to.
neighbours as (

    select
        runs.*,
        coalesce(
            before.local_date = runs.local_date
            or (before.local_date = runs.local_date - 1 and runs.day_before_is_whole),
            false
        ) as before_is_near,
        coalesce(
            after.local_date = runs.local_date
            or (after.local_date = runs.local_date + 1 and not runs.is_cut),
            false
        ) as after_is_near,
        before.collect_time_utc as before_utc,
        before.total_yield_kwh as before_kwh,
        after.collect_time_utc as after_utc,
        after.slot_utc as after_slot_utc,
        after.total_yield_kwh as after_kwh
    from runs
    asof left join heard as before
        on
            runs.plant_code = before.plant_code
            and runs.device_id = before.device_id
            and runs.start_utc > before.collect_time_utc
    asof left join heard as after
        on
            runs.plant_code = after.plant_code
            and runs.device_id = after.device_id
            and runs.end_utc <= after.collect_time_utc

),

bounded as (

    select
        * exclude (before_utc, before_kwh, after_utc, after_kwh, after_slot_utc),
        case when before_is_near then before_utc end as heard_before_utc,
        case when before_is_near then before_kwh end as counter_before_kwh,
        case when after_is_near then after_utc end as heard_after_utc,
        case when after_is_near then after_kwh end as counter_after_kwh,
        case when after_is_near then after_slot_utc end as heard_after_slot_utc
    from neighbours

),

-- What could have been given between these two while the light was low: on the day before, on the run's own, on the next.
dim_around as (

    select
        bounded.plant_code,
        bounded.local_date,
        bounded.device_id,
        bounded.run_number,
        {% for name, step, known in [
            ('before', -1, 'bounded.heard_before_utc is not null'),
            ('own', 0, 'true'),
            ('after', 1, 'bounded.heard_after_utc is not null'),
        ] -%}
        coalesce(sum(coalesce(
            dim.kw_per_kwp * bounded.p0_kwp, dim.irradiance_w_m2 / 1000 * bounded.p0_kwp * bounded.trailing_pr
        )) filter (where dim.local_date = bounded.local_date + ({{ step }}) and {{ known }}) / 12, 0) as dim_{{ name }}_kwh
        {{- ',' if not loop.last }}
        {% endfor %}
    from bounded
    inner join dim
        on
            bounded.plant_code = dim.plant_code
            and dim.local_date between bounded.local_date - 1 and bounded.local_date + 1
            and (dim.slot_utc > bounded.heard_before_utc or bounded.heard_before_utc is null)
            and (dim.slot_utc <= bounded.heard_after_utc or bounded.heard_after_utc is null)
    where bounded.kind = 'no data'
    group by
        bounded.plant_code,
        bounded.local_date,
        bounded.device_id,
        bounded.run_number

)

select
    bounded.plant_code,
    bounded.local_date,
    bounded.device_id,
    bounded.run_number,
    bounded.start_utc,
    bounded.end_utc,
    bounded.slots,
    bounded.kind as sent_as,
    bounded.cause as sent_cause,
    bounded.inverter_state_code,
    bounded.touches_morning,
    bounded.touches_evening,
    bounded.own_kwh,
    bounded.potential_kwh,
    bounded.potential_slots,
    coalesce(dim_around.dim_before_kwh, 0) as dim_before_kwh,
    coalesce(dim_around.dim_own_kwh, 0) as dim_own_kwh,
    coalesce(dim_around.dim_after_kwh, 0) as dim_after_kwh,
    coalesce(lit.is_daylight, false) as daylight_after,
    bounded.heard_before_utc,
    bounded.counter_before_kwh,
    bounded.heard_after_utc,
    bounded.counter_after_kwh,
    bounded.below_kwh,
    bounded.clipped_slots,
    bounded.clipped_kwh,
    bounded.clipping_is_known,
    bounded.stateless_slots,
    bounded.inputs_changed_at_utc,
    bounded.signature
from bounded
left join dim_around
    on
        bounded.plant_code = dim_around.plant_code
        and bounded.local_date = dim_around.local_date
        and bounded.device_id = dim_around.device_id
        and bounded.run_number = dim_around.run_number
left join lit
    on
        bounded.plant_code = lit.plant_code
        and bounded.heard_after_slot_utc = lit.slot_utc
