{{ config(materialized='view') }}
-- A row next to midnight is looked at from both of its days. So an interval is filed by its start, as it must be,
-- and a filter on local_date still reads no more than that day and its neighbours.
with inverters as not materialized (

    select
        1 as device_type_id,
        plant_code,
        device_id,
        device_sn,
        local_date,
        local_time,
        collect_time_utc,
        inverter_state_code,
        inverter_state,
        active_power_kw,
        reactive_power_kvar,
        power_factor,
        grid_frequency_hz,
        efficiency_pct,
        temperature_degc,
        mppt_power_kw,
        yield_today_kwh,
        total_yield_kwh,
        mppt_1_yield_kwh,
        mppt_2_yield_kwh,
        mppt_3_yield_kwh,
        mppt_4_yield_kwh,
        startup_at_utc,
        shutdown_at_utc,
        implausible,
        extracted_at_utc,
        mppt_total_yield_kwh,
        mppt_5_yield_kwh,
        mppt_6_yield_kwh,
        mppt_7_yield_kwh,
        mppt_8_yield_kwh,
        mppt_9_yield_kwh,
        mppt_10_yield_kwh
    from {{ ref('stg_device_history_string_inverter') }}
    union all by name
    select
        38 as device_type_id,
        plant_code,
        device_id,
        device_sn,
        local_date,
        local_time,
        collect_time_utc,
        inverter_state_code,
        inverter_state,
        active_power_kw,
        reactive_power_kvar,
        power_factor,
        grid_frequency_hz,
        efficiency_pct,
        temperature_degc,
        mppt_power_kw,
        yield_today_kwh,
        total_yield_kwh,
        mppt_1_yield_kwh,
        mppt_2_yield_kwh,
        mppt_3_yield_kwh,
        mppt_4_yield_kwh,
        startup_at_utc,
        shutdown_at_utc,
        implausible,
        extracted_at_utc
    from {{ ref('stg_device_history_residential_inverter') }}

),

readings as not materialized (

    select
        inverters.*,
        plants.time_zone
    from inverters
    left join {{ ref('stg_plants') }} as plants
        on inverters.plant_code = plants.plant_code

),

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

),

with_previous as (

    select
        *,
        lag(total_yield_kwh ignore nulls) over by_device as previous_yield_kwh,
        lag(case when total_yield_kwh is not null then collect_time_utc end ignore nulls) over by_device
            as previous_yield_at,
        lag(active_power_kw ignore nulls) over by_device as previous_power_kw,
        lag(case when active_power_kw is not null then collect_time_utc end ignore nulls) over by_device
            as previous_power_at
    from filed
    window by_device as (
        partition by plant_code, device_id, filed_on
        order by collect_time_utc
    )

),

stepped as (

    select
        *,
        case
            when previous_yield_at >= collect_time_utc - interval 15 minutes then previous_yield_at
            else collect_time_utc - interval 5 minutes
        end as interval_start_utc,
        case
            when previous_yield_at >= collect_time_utc - interval 15 minutes then total_yield_kwh - previous_yield_kwh
        end as yield_step_kwh,
        case
            when previous_power_at >= collect_time_utc - interval 15 minutes
            then (active_power_kw + previous_power_kw) / 2
                * (epoch(collect_time_utc) - epoch(previous_power_at)) / 3600
        end as energy_from_power_kwh
    from with_previous

)

select
    plant_code,
    device_id,
    device_sn,
    device_type_id,
    filed_on as local_date,
    local_time,
    collect_time_utc,
    interval_start_utc,
    collect_time_utc as interval_end_utc,
    inverter_state_code,
    inverter_state,
    active_power_kw,
    reactive_power_kvar,
    power_factor,
    grid_frequency_hz,
    efficiency_pct,
    temperature_degc,
    mppt_power_kw as dc_power_kw,
    yield_today_kwh,
    total_yield_kwh,
    -- A millionth of a kWh is noise of the floating point, not a fall.
    case when yield_step_kwh >= -0.000001 then greatest(yield_step_kwh, 0) end as energy_kwh,
    energy_from_power_kwh,
    coalesce(yield_step_kwh < -0.000001, false) as counter_fell,
    mppt_total_yield_kwh,
    mppt_1_yield_kwh,
    mppt_2_yield_kwh,
    mppt_3_yield_kwh,
    mppt_4_yield_kwh,
    mppt_5_yield_kwh,
    mppt_6_yield_kwh,
    mppt_7_yield_kwh,
    mppt_8_yield_kwh,
    mppt_9_yield_kwh,
    mppt_10_yield_kwh,
    startup_at_utc,
    shutdown_at_utc,
    implausible,
    extracted_at_utc
from stepped
where coalesce(timezone(time_zone, interval_start_utc)::date, local_date) = filed_on
