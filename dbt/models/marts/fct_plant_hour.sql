-- The vendor's report by hour, with what its rows lack from the counters. Rules: docs/figures.md.
with hours as (

    select *
    from {{ ref('stg_plant_hourly') }}
    qualify row_number() over (
        partition by plant_code, collect_time_utc
        order by extracted_at_utc desc
    ) = 1

),

servers as (

    select
        plants.plant_code,
        conventions.hour_label
    from (
        select
            plant_code,
            arg_max(server, last_seen_at) as server
        from {{ source('ops', 'account_plants') }}
        group by plant_code
    ) as plants
    inner join {{ ref('server_conventions') }} as conventions
        on plants.server = conventions.server

),

counters as (

    select
        hours.plant_code,
        hours.hour_start_utc,
        sum(hours.a_kwh) filter (where hours.kind = 'inverter') as inverter_kwh,
        min(hours.counted_minutes) filter (where hours.kind = 'inverter') as inverter_minutes,
        sum(case conventions.import_counter when 'forward' then hours.a_kwh when 'reverse' then hours.b_kwh end)
            filter (where hours.kind = 'meter' and coalesce(conventions.meter_role, 'grid') = 'grid') as import_kwh,
        sum(case conventions.import_counter when 'forward' then hours.b_kwh when 'reverse' then hours.a_kwh end)
            filter (where hours.kind = 'meter' and coalesce(conventions.meter_role, 'grid') = 'grid') as export_kwh,
        min(hours.counted_minutes)
            filter (where hours.kind = 'meter' and coalesce(conventions.meter_role, 'grid') = 'grid') as meter_minutes,
        max(hours.inputs_changed_at_utc) as inputs_changed_at_utc
    from {{ ref('int_device_hour') }} as hours
    left join {{ ref('conventions') }} as conventions
        on hours.device_id = conventions.device_id
    group by
        hours.plant_code,
        hours.hour_start_utc

),

placed as (

    select
        hours.*,
        days.time_zone,
        days.day_slots,
        days.has_battery,
        coalesce(servers.hour_label, 'unknown') as hour_label,
        count(*) over (partition by hours.plant_code, hours.local_date) as day_rows,
        case servers.hour_label
            when 'start' then hours.collect_time_utc
            when 'end' then hours.collect_time_utc - interval 1 hour
        end as interval_start_utc
    from hours
    left join {{ ref('int_plant_report_day') }} as days
        on
            hours.plant_code = days.plant_code
            and hours.local_date = days.local_date
    left join servers
        on hours.plant_code = servers.plant_code

),

flagged as (

    select
        *,
        -- At most 24 rows a day: the hour that autumn repeats is then added to its first time.
        coalesce(
            day_slots = 300
            and day_rows = 24
            and hour(timezone(time_zone, interval_start_utc))
                = hour(timezone(time_zone, interval_start_utc + interval 1 hour)),
            false
        ) as is_merged_hour
    from placed

),

summed as (

    select
        flagged.*,
        -- Full hours only: a counter that was silent for some of it says less than the hour's energy.
        case when least(first_hour.inverter_minutes, coalesce(second_hour.inverter_minutes, 60)) >= 60
            then first_hour.inverter_kwh + coalesce(second_hour.inverter_kwh, 0) end as ac_energy_from_counters_kwh,
        case when least(first_hour.meter_minutes, coalesce(second_hour.meter_minutes, 60)) >= 60
            then first_hour.import_kwh + coalesce(second_hour.import_kwh, 0) end as import_kwh,
        case when least(first_hour.meter_minutes, coalesce(second_hour.meter_minutes, 60)) >= 60
            then first_hour.export_kwh + coalesce(second_hour.export_kwh, 0) end as export_kwh,
        first_hour.meter_minutes,
        first_hour.inverter_minutes,
        greatest(flagged.extracted_at_utc, first_hour.inputs_changed_at_utc) as inputs_changed_at_utc
    from flagged
    left join counters as first_hour
        on
            flagged.plant_code = first_hour.plant_code
            and flagged.interval_start_utc = first_hour.hour_start_utc
    left join counters as second_hour
        on
            flagged.is_merged_hour
            and flagged.plant_code = second_hour.plant_code
            and flagged.interval_start_utc + interval 1 hour = second_hour.hour_start_utc

)

select
    plant_code,
    collect_time_utc as label_utc,
    hour_label,
    interval_start_utc,
    interval_start_utc + case when is_merged_hour then interval 2 hours else interval 1 hour end as interval_end_utc,
    timezone(time_zone, interval_start_utc) as interval_start_local_time,
    local_date,
    is_merged_hour,
    day_rows::integer as day_rows,
    coalesce(pv_yield_kwh, case when has_battery = false then inverter_yield_kwh end) as pv_energy_kwh,
    inverter_yield_kwh as ac_energy_kwh,
    ac_energy_from_counters_kwh,
    inverter_yield_kwh - ac_energy_from_counters_kwh as ac_energy_difference_kwh,
    feed_in_energy_kwh,
    export_kwh as feed_in_from_counters_kwh,
    feed_in_energy_kwh - export_kwh as feed_in_difference_kwh,
    import_kwh as purchased_energy_kwh,
    self_provided_energy_kwh,
    self_provided_energy_kwh + import_kwh as consumption_kwh,
    charged_energy_kwh as battery_charged_energy_kwh,
    discharged_energy_kwh as battery_discharged_energy_kwh,
    global_irradiation_kwh_m2 as irradiation_kwh_m2,
    theoretical_yield_kwh,
    revenue,
    least(inverter_minutes / 60, 1) as inverter_counter_completeness,
    least(meter_minutes / 60, 1) as meter_counter_completeness,
    implausible,
    inputs_changed_at_utc
from summed
