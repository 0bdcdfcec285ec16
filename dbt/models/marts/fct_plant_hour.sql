-- The vendor's report by hour, with what its rows lack from the counters. Rules: docs/figures.md.
with hours as (

    select *
    from {{ ref('stg_plant_hourly') }}
    qualify row_number() over (
        partition by plant_code, collect_time_utc
        order by extracted_at_utc desc
    ) = 1

),

storage as (

    {{ ac_storage_by_plant() | indent }}

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

devices as (

    select
        hours.plant_code,
        hours.local_date,
        hours.hour_start_utc,
        hours.device_id,
        hours.kind,
        conventions.import_counter,
        hours.kind = 'inverter' or coalesce(conventions.meter_role, 'grid') = 'grid' as counts,
        -- A counter that restarts at midnight counts from there.
        {% for c in ['a', 'b'] -%}
        coalesce(hours.{{ c }}_within_kwh, 0)
        + coalesce(
            case
                when conventions.counter_kind = 'daily' then hours.{{ c }}_midnight_value_kwh
                else hours.{{ c }}_midnight_step_kwh
            end, 0
        ) as {{ c }}_kwh,
        {% endfor -%}
        hours.within_minutes
        + case
            when conventions.counter_kind = 'daily' then hours.midnight_value_minutes
            else hours.midnight_step_minutes
        end as counted_minutes,
        hours.inputs_changed_at_utc
    from {{ ref('int_device_hour') }} as hours
    left join {{ ref('conventions') }} as conventions
        on hours.device_id = conventions.device_id

),

-- Between its first and its last row of a day a device owes every hour.
owed as (

    select
        plant_code,
        local_date,
        device_id,
        kind,
        min(hour_start_utc) as first_hour_utc,
        max(hour_start_utc) as last_hour_utc
    from devices
    where counts
    group by
        plant_code,
        local_date,
        device_id,
        kind

),

silent as (

    select
        seen.plant_code,
        seen.hour_start_utc,
        count(*) filter (where owed.kind = 'inverter') as inverters,
        count(*) filter (where owed.kind = 'meter') as meters
    from (select distinct plant_code, local_date, hour_start_utc from devices) as seen
    inner join owed
        on
            seen.plant_code = owed.plant_code
            and seen.local_date = owed.local_date
            and seen.hour_start_utc between owed.first_hour_utc and owed.last_hour_utc
    anti join devices
        on
            owed.device_id = devices.device_id
            and seen.hour_start_utc = devices.hour_start_utc
    group by
        seen.plant_code,
        seen.hour_start_utc

),

counters as (

    select
        devices.plant_code,
        devices.hour_start_utc,
        sum(devices.a_kwh) filter (where devices.kind = 'inverter') as inverter_kwh,
        case when any_value(coalesce(silent.inverters, 0)) > 0 then 0
            else min(devices.counted_minutes) filter (where devices.kind = 'inverter') end as inverter_minutes,
        sum(case devices.import_counter when 'forward' then devices.a_kwh when 'reverse' then devices.b_kwh end)
            filter (where devices.kind = 'meter') as import_kwh,
        sum(case devices.import_counter when 'forward' then devices.b_kwh when 'reverse' then devices.a_kwh end)
            filter (where devices.kind = 'meter') as export_kwh,
        bool_and(devices.import_counter is not null) filter (where devices.kind = 'meter') as directions_are_known,
        case when any_value(coalesce(silent.meters, 0)) > 0 then 0
            else min(devices.counted_minutes) filter (where devices.kind = 'meter') end as meter_minutes,
        max(devices.inputs_changed_at_utc) as inputs_changed_at_utc
    from devices
    left join silent
        on
            devices.plant_code = silent.plant_code
            and devices.hour_start_utc = silent.hour_start_utc
    where devices.counts
    group by
        devices.plant_code,
        devices.hour_start_utc

),

labelled as (

    select
        hours.*,
        coalesce(servers.hour_label, 'unknown') as hour_label,
        -- The hour that ends at midnight is yesterday's.
        case
            when servers.hour_label = 'end'
                then timezone(plants.time_zone, hours.collect_time_utc - interval 1 hour)::date
            else hours.local_date
        end as interval_date,
        {{ ac_storage_kwh('hours', 'storage') | indent(8) }} as ac_storage_kwh
    from hours
    left join storage
        on hours.plant_code = storage.plant_code
    left join servers
        on hours.plant_code = servers.plant_code
    left join {{ ref('stg_plants') }} as plants
        on hours.plant_code = plants.plant_code

),

placed as (

    select
        labelled.*,
        days.time_zone,
        days.has_battery,
        count(*) over (partition by labelled.plant_code, labelled.interval_date) as day_rows,
        -- At most 24 rows a day: the hour that autumn repeats is then added to its first time.
        days.day_slots = 300
        and count(*) over (partition by labelled.plant_code, labelled.interval_date) = 24 as has_merged_hour
    from labelled
    left join {{ ref('int_plant_report_day') }} as days
        on
            labelled.plant_code = days.plant_code
            and labelled.interval_date = days.local_date

),

started as (

    select
        *,
        case
            when hour_label = 'start' then collect_time_utc
            -- The merged hour ends when its second time does, if the label says so.
            when hour_label = 'end' and has_merged_hour and hour(timezone(time_zone, collect_time_utc - interval 1 hour))
                = hour(timezone(time_zone, collect_time_utc - interval 2 hours))
                then collect_time_utc - interval 2 hours
            when hour_label = 'end' then collect_time_utc - interval 1 hour
        end as interval_start_utc
    from placed

),

flagged as (

    select
        *,
        coalesce(
            has_merged_hour
            and hour(timezone(time_zone, interval_start_utc))
                = hour(timezone(time_zone, interval_start_utc + interval 1 hour)),
            false
        ) as is_merged_hour
    from started

),

summed as (

    select
        flagged.*,
        -- Full hours only: a counter that was silent for some of it says less than the hour's energy.
        case
            when least(first_hour.inverter_minutes, if(flagged.is_merged_hour, coalesce(second_hour.inverter_minutes, 0), 60)) >= 60
            then first_hour.inverter_kwh + coalesce(second_hour.inverter_kwh, 0) end as ac_energy_from_counters_kwh,
        case
            when first_hour.directions_are_known
                and least(first_hour.meter_minutes, if(flagged.is_merged_hour, coalesce(second_hour.meter_minutes, 0), 60)) >= 60
            then first_hour.import_kwh + coalesce(second_hour.import_kwh, 0) end as import_kwh,
        case
            when first_hour.directions_are_known
                and least(first_hour.meter_minutes, if(flagged.is_merged_hour, coalesce(second_hour.meter_minutes, 0), 60)) >= 60
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
    interval_date as local_date,
    is_merged_hour,
    day_rows::integer as day_rows,
    coalesce(pv_yield_kwh, case when has_battery = false then inverter_yield_kwh end) as pv_energy_kwh,
    inverter_yield_kwh as ac_energy_kwh,
    ac_energy_from_counters_kwh,
    inverter_yield_kwh - ac_storage_kwh - ac_energy_from_counters_kwh as ac_energy_difference_kwh,
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
