-- Each battery's day: charge and discharge by report, by counter and by power. Rules: docs/figures.md 1 and 2.
with reports as (

    select *
    from {{ ref('stg_device_daily') }}
    where device_type_id in (39, 41)
    qualify row_number() over (
        partition by device_id, local_date
        order by extracted_at_utc desc, collect_time_utc desc
    ) = 1

),

flows as (

    select *
    from {{ ref('int_flow_directed_day') }}
    where kind = 'battery'

),

keys as (

    select
        plant_code,
        device_id,
        device_type_id,
        local_date
    from reports
    union
    select
        plant_code,
        device_id,
        device_type_id,
        local_date
    from flows

)

select
    keys.plant_code,
    keys.device_id,
    keys.device_type_id,
    keys.local_date,
    days.time_zone,
    days.day_start_utc,
    days.day_end_utc,
    coalesce(reports.charged_energy_kwh, flows.in_kwh) as charge_energy_kwh,
    coalesce(reports.discharged_energy_kwh, flows.out_kwh) as discharge_energy_kwh,
    case
        when reports.charged_energy_kwh is not null then 'report'
        when flows.in_kwh is not null then 'counter'
    end as energy_source,
    flows.in_kwh as charge_from_counter_kwh,
    flows.out_kwh as discharge_from_counter_kwh,
    flows.night_in_kwh as night_charge_from_counter_kwh,
    reports.charged_energy_kwh - flows.in_kwh as charge_difference_kwh,
    reports.discharged_energy_kwh - flows.out_kwh as discharge_difference_kwh,
    flows.positive_power_kwh as charge_from_power_kwh,
    flows.negative_power_kwh as discharge_from_power_kwh,
    reports.charging_duration_h,
    reports.discharging_duration_h,
    flows.max_positive_kw as max_charge_power_kw,
    flows.max_negative_kw as max_discharge_power_kw,
    flows.first_soc_pct,
    flows.last_soc_pct,
    flows.min_soc_pct,
    flows.max_soc_pct,
    overrides.usable_kwh,
    coalesce(reports.discharged_energy_kwh, flows.out_kwh) / overrides.usable_kwh as cycles,
    flows.counter_falls,
    flows.counter_kind,
    {{ share('flows.power_rows', 'days.day_slots') }} as completeness,
    coalesce(
        case
            when reports.charged_energy_kwh is not null then reports.extracted_at_utc
            -- Up to then it was asked for, and the day's end at most.
            else inputs.asked_until_utc
        end < days.day_end_utc, false
    ) as is_running,
    greatest(reports.extracted_at_utc, flows.inputs_changed_at_utc) as inputs_changed_at_utc
from keys
left join {{ ref('int_plant_day') }} as days
    on
        keys.plant_code = days.plant_code
        and keys.local_date = days.local_date
left join reports
    on
        keys.device_id = reports.device_id
        and keys.local_date = reports.local_date
left join flows
    on
        keys.device_id = flows.device_id
        and keys.local_date = flows.local_date
left join {{ ref('int_day_inputs') }} as inputs
    on
        keys.plant_code = inputs.plant_code
        and keys.local_date = inputs.local_date
left join {{ source('ops', 'device_overrides') }} as overrides
    on keys.device_id = overrides.device_id
