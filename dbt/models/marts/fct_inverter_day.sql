{#- Of what isn't known of more than a fifth of the daylight, nobody says that it lost nothing. Silence tells no state, though
    a counter may tell that the inverter ran. -#}
{%- set mostly_unknown = '(coalesce(unknown_slots, 0) > 0.2 * daylight_slots)' -%}
{%- set mostly_stateless = '(coalesce(stateless_slots, 0) > 0.2 * daylight_slots)' -%}
-- Each inverter's day: energy by report and by counter, and what it did in daylight. Rules: docs/figures.md 2.
with runs as (

    select
        plant_code,
        local_date,
        device_id,
        sum(slots) as daylight_slots,
        sum(slots) filter (where availability = 'up') as up_slots,
        sum(slots) filter (where availability = 'down') as down_slots,
        sum(slots) filter (where availability = 'excluded') as excluded_slots,
        sum(slots) filter (where availability = 'unknown') as unknown_slots,
        sum(slots) filter (where sent_as = 'no data') as silent_slots,
        sum(stateless_slots) as stateless_slots,
        sum(slots) filter (where sent_as = 'up' and cause_group = 'power limit') as limited_slots,
        sum(slots) filter (where sent_as = 'up' and cause_group = 'derating') as derated_slots,
        sum(slots) filter (where sent_as = 'excluded' and cause_group = 'power limit') as limit_shutdown_slots,
        sum(below_kwh) filter (where cause_group = 'power limit' and potential_kwh is not null) as curtailed_kwh,
        bool_or(cause_group = 'power limit' and potential_kwh is null) as curtailment_is_unknown,
        sum(greatest(potential_kwh - own_kwh, 0)) filter (where availability = 'down') as lost_kwh,
        bool_or(availability = 'down' and potential_kwh is null) as loss_is_unknown,
        sum(clipped_slots) as clipped_slots,
        sum(clipped_kwh) as clipped_kwh,
        bool_or(clipping_is_known) as clipping_is_known,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from {{ ref('int_inverter_run') }}
    group by
        plant_code,
        local_date,
        device_id

),

reports as (

    select
        plant_code,
        device_id,
        local_date,
        yield_kwh,
        installed_capacity_kwp,
        specific_yield_kwh_kwp,
        extracted_at_utc
    from {{ ref('stg_device_daily') }}
    where device_type_id in (1, 38)
    qualify row_number() over (
        partition by device_id, local_date
        order by extracted_at_utc desc, collect_time_utc desc
    ) = 1

),

keys as (

    select
        plant_code,
        device_id,
        local_date
    from reports
    union
    select
        plant_code,
        device_id,
        local_date
    from {{ ref('int_inverter_day') }}
    union
    select
        plant_code,
        device_id,
        local_date
    from runs

),

received as (

    select
        device_days.device_id,
        device_days.local_date,
        {{ share('device_days.inverter_daylight_rows', 'days.inverter_slots') }} as completeness
    from {{ ref('int_device_day') }} as device_days
    inner join {{ ref('int_plant_day') }} as days
        on
            device_days.plant_code = days.plant_code
            and device_days.local_date = days.local_date
    where device_days.kind = 'inverter'

),

joined as (

    select
        keys.plant_code,
        keys.device_id,
        keys.local_date,
        days.time_zone,
        days.day_start_utc,
        days.day_end_utc,
        ratings.device_type_id,
        devices.chain_device_id,
        coalesce(reports.installed_capacity_kwp, ratings.p0_kwp) as p0_kwp,
        ratings.ac_kw,
        ratings.ac_kw_source,
        reports.yield_kwh,
        {{ sum_of_known('counted.energy_kwh', 'counted.energy_over_gaps_kwh') }} as energy_from_counter_kwh,
        counted.energy_from_power_kwh,
        {{ sum_of_known('counted.dc_energy_kwh', 'counted.dc_energy_over_gaps_kwh') }} as dc_energy_kwh,
        counted.counter_falls,
        counted.max_power_kw,
        counted.max_power_at_utc,
        counted.first_power_at_utc,
        counted.last_power_at_utc,
        received.completeness,
        runs.* exclude (plant_code, local_date, device_id, inputs_changed_at_utc),
        reports.specific_yield_kwh_kwp as specific_yield_vendor_kwh_kwp,
        greatest(reports.extracted_at_utc, counted.inputs_changed_at_utc, runs.inputs_changed_at_utc)
            as inputs_changed_at_utc
    from keys
    left join {{ ref('int_plant_day') }} as days
        on
            keys.plant_code = days.plant_code
            and keys.local_date = days.local_date
    left join reports
        on
            keys.device_id = reports.device_id
            and keys.local_date = reports.local_date
    left join {{ ref('int_inverter_day') }} as counted
        on
            keys.device_id = counted.device_id
            and keys.local_date = counted.local_date
            and keys.plant_code = counted.plant_code
    left join runs
        on
            keys.device_id = runs.device_id
            and keys.local_date = runs.local_date
            and keys.plant_code = runs.plant_code
    left join received
        on
            keys.device_id = received.device_id
            and keys.local_date = received.local_date
    left join {{ ref('int_inverter_rating') }} as ratings
        on keys.device_id = ratings.device_id
    left join {{ ref('dim_device') }} as devices
        on
            keys.device_id = devices.device_id
            and devices.is_current

)

select
    plant_code,
    device_id,
    device_type_id,
    coalesce(chain_device_id, device_id) as chain_device_id,
    local_date,
    time_zone,
    day_start_utc,
    day_end_utc,
    p0_kwp,
    ac_kw,
    ac_kw_source,
    coalesce(yield_kwh, energy_from_counter_kwh) as yield_kwh,
    case when yield_kwh is not null then 'report' when energy_from_counter_kwh is not null then 'counter' end
        as yield_source,
    yield_kwh as yield_from_report_kwh,
    energy_from_counter_kwh,
    yield_kwh - energy_from_counter_kwh as yield_difference_kwh,
    energy_from_power_kwh,
    dc_energy_kwh,
    coalesce(yield_kwh, energy_from_counter_kwh) / nullif(p0_kwp, 0) as specific_yield_kwh_kwp,
    specific_yield_vendor_kwh_kwp,
    max_power_kw,
    max_power_at_utc,
    first_power_at_utc,
    last_power_at_utc,
    daylight_slots / 12 as daylight_h,
    coalesce(up_slots, 0) / 12 + 0 * daylight_slots as up_h,
    coalesce(down_slots, 0) / 12 + 0 * daylight_slots as down_h,
    coalesce(excluded_slots, 0) / 12 + 0 * daylight_slots as excluded_h,
    coalesce(unknown_slots, 0) / 12 + 0 * daylight_slots as unknown_h,
    coalesce(silent_slots, 0) / 12 + 0 * daylight_slots as silent_h,
    coalesce(stateless_slots, 0) / 12 + 0 * daylight_slots as stateless_h,
    case
        when not {{ mostly_unknown }}
        then {{ percent('coalesce(up_slots, 0)', '(coalesce(up_slots, 0) + coalesce(down_slots, 0))') }}
    end as availability_pct,
    coalesce(limited_slots, 0) / 12 + 0 * daylight_slots as limited_h,
    coalesce(derated_slots, 0) / 12 + 0 * daylight_slots as derated_h,
    coalesce(limit_shutdown_slots, 0) / 12 + 0 * daylight_slots
        as limit_shutdown_h,
    case
        when daylight_slots is null or curtailment_is_unknown or {{ mostly_stateless }} then null
        else coalesce(curtailed_kwh, 0)
    end as curtailed_energy_kwh,
    case
        when clipping_is_known is distinct from true or {{ mostly_stateless }} then null
        when clipped_slots < 3 then 0
        else clipped_slots / 12
    end as clipped_h,
    case
        when clipping_is_known is distinct from true or {{ mostly_stateless }} then null
        when clipped_slots < 3 then 0
        else clipped_kwh
    end as clipped_energy_kwh,
    case
        when daylight_slots is null or loss_is_unknown or {{ mostly_unknown }} then null
        else coalesce(lost_kwh, 0)
    end as lost_energy_kwh,
    coalesce(counter_falls, 0)::integer as counter_falls,
    completeness,
    inputs_changed_at_utc
from joined
