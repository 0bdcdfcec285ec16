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

irradiance as (

    {{ plant_irradiance('todo') }}

),

grid as (

    select
        plant_code,
        local_date,
        latitude,
        longitude,
        -- What nobody has asked for yet is not silence.
        unnest(generate_series(
            day_start_utc,
            least(day_end_utc - interval 5 minutes, coalesce(asked_until_utc, day_end_utc)),
            interval 5 minutes
        )) as slot_utc
    from todo

),

daylight as (

    select
        grid.plant_code,
        grid.local_date,
        grid.slot_utc,
        irradiance.irradiance_w_m2,
        row_number() over (
            partition by grid.plant_code, grid.local_date
            order by grid.slot_utc
        ) as slot_number,
        count(*) over (partition by grid.plant_code, grid.local_date) as slot_count
    from {{ with_sun_elevation('grid', 'slot_utc') }} as grid
    left join irradiance
        on
            grid.plant_code = irradiance.plant_code
            and grid.slot_utc = irradiance.slot_utc
    where
        coalesce(
            irradiance.irradiance_w_m2 >= {{ var('daylight_w_m2') }},
            grid.sun_elevation_deg >= {{ var('daylight_degrees') }}
        )

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'inverter' -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
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

counters as (

    select
        device_id,
        collect_time_utc,
        total_yield_kwh
    from readings
    where total_yield_kwh is not null

),

slots as (

    select
        daylight.*,
        expected.device_id,
        ratings.p0_kwp,
        ratings.ac_kw,
        ratings.ac_kw_is_rating,
        readings.active_power_kw,
        readings.inverter_state_code,
        states.cause_group,
        case
            when readings.device_id is null then 'no data'
            when readings.active_power_kw > 0 then 'up'
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
    left join (
        select *
        from readings
        qualify row_number() over (
            partition by device_id, slot_utc
            order by collect_time_utc desc
        ) = 1
    ) as readings
        on
            expected.device_id = readings.device_id
            and daylight.slot_utc = readings.slot_utc
    left join {{ ref('dim_inverter_state') }} as states
        on readings.inverter_state_code = states.inverter_state_code

),

-- What the others of the plant give per kWp while nothing limits them.
sisters as (

    select
        plant_code,
        slot_utc,
        median(active_power_kw / p0_kwp) as kw_per_kwp
    from slots
    where
        kind = 'up'
        and inverter_state_code = 512
        and p0_kwp > 0
    group by
        plant_code,
        slot_utc

),

reckoned as (

    select
        slots.*,
        todo.inputs_changed_at_utc,
        todo.signature,
        case
            when slots.kind = 'no data' then 'communication'
            when slots.kind = 'up' and slots.inverter_state_code = 513 then 'power limit'
            when slots.kind = 'up' and slots.inverter_state_code = 514 then 'derating'
            when slots.kind = 'up' then 'running'
            when slots.kind = 'unknown' then 'unknown'
            else slots.cause_group
        end as cause,
        sisters.kw_per_kwp * slots.p0_kwp as sister_kw,
        slots.irradiance_w_m2 / 1000 * slots.p0_kwp * todo.trailing_pr as sensor_kw
    from slots
    inner join todo
        on
            slots.plant_code = todo.plant_code
            and slots.local_date = todo.local_date
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
            partition by device_id, local_date
            order by slot_number
        ) as begins
    from reckoned

),

numbered as (

    select
        *,
        sum(begins::integer) over (
            partition by device_id, local_date
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
        max(slot_number) = any_value(slot_count) as touches_evening,
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
        any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
        any_value(signature) as signature
    from numbered
    group by
        plant_code,
        local_date,
        device_id,
        run_number

)

select
    runs.plant_code,
    runs.local_date,
    runs.device_id,
    runs.run_number,
    runs.start_utc,
    runs.end_utc,
    runs.slots,
    runs.kind as sent_as,
    runs.cause as sent_cause,
    runs.inverter_state_code,
    runs.touches_morning,
    runs.touches_evening,
    runs.own_kwh,
    runs.potential_kwh,
    runs.potential_slots,
    before.collect_time_utc as counter_before_utc,
    before.total_yield_kwh as counter_before_kwh,
    after.total_yield_kwh as counter_after_kwh,
    runs.below_kwh,
    runs.clipped_slots,
    runs.clipped_kwh,
    runs.clipping_is_known,
    runs.inputs_changed_at_utc,
    runs.signature
from runs
asof left join counters as before
    on
        runs.device_id = before.device_id
        and runs.start_utc > before.collect_time_utc
asof left join counters as after
    on
        runs.device_id = after.device_id
        and runs.end_utc <= after.collect_time_utc
