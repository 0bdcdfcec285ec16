{{ config(materialized='view') }}
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
        source,
        mppt_total_yield_kwh,
        mppt_5_yield_kwh,
        mppt_6_yield_kwh,
        mppt_7_yield_kwh,
        mppt_8_yield_kwh,
        mppt_9_yield_kwh,
        mppt_10_yield_kwh
    from {{ five_minutes('string_inverter') }}
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
        extracted_at_utc,
        source
    from {{ five_minutes('residential_inverter') }}

),

readings as not materialized (

    select
        inverters.*,
        plants.time_zone
    from inverters
    left join {{ ref('stg_plants') }} as plants
        on inverters.plant_code = plants.plant_code

),

{{ filed_both_ways() }},

with_previous as (

    select
        *,
        {{ previous('total_yield_kwh') }},
        {{ previous('active_power_kw') }}
    from filed
    window by_device as (
        partition by plant_code, device_id, filed_on
        order by collect_time_utc
    )

),

stepped as (

    select
        *,
        {{ interval_start_of('total_yield_kwh') }} as interval_start_utc,
        {{ step_of('total_yield_kwh') }} as yield_step_kwh,
        {{ integral_of('active_power_kw') }} as energy_from_power_kwh
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
    case when yield_step_kwh >= 0 then yield_step_kwh end as energy_kwh,
    energy_from_power_kwh,
    case when yield_step_kwh >= 0 then yield_step_kwh - energy_from_power_kwh end as energy_difference_kwh,
    coalesce(yield_step_kwh < 0, false) as counter_fell,
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
    source,
    extracted_at_utc
from stepped
where {{ belongs_here() }}
