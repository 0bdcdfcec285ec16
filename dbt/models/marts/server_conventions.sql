{{ config(schema='ops', materialized='table') }}
-- Which side of the hour a server's labels stand on, by which of the two lies nearer to the inverters' counters.
with servers as (

    select
        plant_code,
        arg_max(server, last_seen_at) as server
    from {{ source('ops', 'account_plants') }}
    group by plant_code

),

storage as (

    {{ ac_storage_by_plant() | indent }}

),

counted as (

    select
        plant_code,
        hour_start_utc,
        sum(coalesce(a_within_kwh, 0) + coalesce(a_midnight_step_kwh, 0)) as counter_kwh
    from {{ ref('int_device_hour') }}
    where kind = 'inverter'
    group by
        plant_code,
        hour_start_utc

),

hours as (

    select
        reported.*,
        {{ ac_storage_kwh('reported', 'storage') | indent(8) }} as ac_storage_kwh
    from {{ ref('stg_plant_hourly') }} as reported
    left join storage
        on reported.plant_code = storage.plant_code

),

compared as (

    select
        servers.server,
        hours.plant_code,
        hours.local_date,
        sum(abs(hours.inverter_yield_kwh - hours.ac_storage_kwh - if_start.counter_kwh)) as residual_if_start_kwh,
        sum(abs(hours.inverter_yield_kwh - hours.ac_storage_kwh - if_end.counter_kwh)) as residual_if_end_kwh,
        count(*) as hours_compared,
        max(hours.extracted_at_utc) as inputs_changed_at_utc
    from hours
    inner join servers
        on hours.plant_code = servers.plant_code
    inner join counted as if_start
        on
            hours.plant_code = if_start.plant_code
            and hours.collect_time_utc = if_start.hour_start_utc
    inner join counted as if_end
        on
            hours.plant_code = if_end.plant_code
            and hours.collect_time_utc - interval 1 hour = if_end.hour_start_utc
    where hours.inverter_yield_kwh - hours.ac_storage_kwh is not null
    group by
        servers.server,
        hours.plant_code,
        hours.local_date

),

votes as (

    select
        server,
        sum(residual_if_start_kwh) as residual_if_start_kwh,
        sum(residual_if_end_kwh) as residual_if_end_kwh,
        sum(hours_compared)::bigint as hours_compared,
        count(distinct local_date) filter (where residual_if_start_kwh != residual_if_end_kwh) as evidence_days,
        count(*) filter (where residual_if_start_kwh < residual_if_end_kwh) as start_days,
        count(*) filter (where residual_if_start_kwh > residual_if_end_kwh) as end_days,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from compared
    group by server

)

select
    server,
    case
        when evidence_days < {{ var('evidence_at_least_days') }} then 'unknown'
        when start_days >= {{ var('agreement') }} * (start_days + end_days) then 'start'
        when end_days >= {{ var('agreement') }} * (start_days + end_days) then 'end'
        else 'unknown'
    end as hour_label,
    residual_if_start_kwh,
    residual_if_end_kwh,
    hours_compared,
    evidence_days,
    {{ agreement_of('start_days', 'end_days') }} as agreement,
    inputs_changed_at_utc
from votes
