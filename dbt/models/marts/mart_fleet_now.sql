-- Each plant as it was last seen: health, power of the day, what is down, and open alarms.
with polled as (

    select *
    from {{ ref('stg_plant_realtime') }}
    qualify row_number() over (
        partition by plant_code
        order by polled_at_utc desc
    ) = 1

),

-- Since when the plant has been in its present state of health, by the polls.
changed as (

    select
        polls.plant_code,
        max(polls.polled_at_utc) filter (where polls.health_state_code is distinct from polled.health_state_code)
            as other_until_utc,
        min(polls.polled_at_utc) as first_polled_at_utc
    from {{ ref('stg_plant_realtime') }} as polls
    inner join polled
        on polls.plant_code = polled.plant_code
    group by polls.plant_code

),

since as (

    select
        polls.plant_code,
        min(polls.polled_at_utc) as health_since_utc
    from {{ ref('stg_plant_realtime') }} as polls
    inner join changed
        on
            polls.plant_code = changed.plant_code
            and (changed.other_until_utc is null or polls.polled_at_utc > changed.other_until_utc)
    group by polls.plant_code

),

history as (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'inverter' -%}
    select
        plant_code,
        device_id,
        max(collect_time_utc) as last_row_utc
    from {{ five_minutes(table) }}
    where local_date >= (
        select max(local_date) - 7
        from {{ ref('int_day_rows') }}
    )
    group by
        plant_code,
        device_id
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

rows_seen as (

    select
        plant_code,
        max(last_row_utc) as last_inverter_row_utc
    from history
    group by plant_code

),

-- A silence at dusk lasts to the newest slot of daylight, though the inverter may have spoken in the dark since.
lasting as (

    select spans.*
    from {{ ref('fct_inverter_episode') }} as spans
    left join history
        on spans.device_id = history.device_id
    where
        spans.is_open
        and not coalesce(spans.cause_group = 'communication' and history.last_row_utc > spans.end_utc, false)

),

episodes as (

    select
        plant_code,
        count(*) filter (where availability = 'down') as inverters_down,
        min(start_utc) filter (where availability = 'down') as down_since_utc,
        string_agg(distinct cause_group, ', ' order by cause_group) filter (where availability = 'down') as down_causes,
        count(*) filter (where cause_group = 'communication') as inverters_silent,
        min(start_utc) filter (where cause_group = 'communication') as silent_since_utc
    from lasting
    group by plant_code

),

alarms as (

    select
        plant_code,
        count(*) as open_alarms,
        count(*) filter (where severity_code = 1) as open_critical_alarms,
        count(*) filter (where severity_code = 2) as open_major_alarms,
        min(raise_time_utc) as oldest_open_alarm_utc
    from {{ ref('fct_alarm') }}
    where is_open
    group by plant_code

),

latest as (

    select *
    from {{ ref('fct_plant_day') }}
    where pv_energy_kwh is not null
    qualify row_number() over (
        partition by plant_code
        order by local_date desc
    ) = 1

)

select
    plants.plant_code,
    plants.plant_name,
    plants.time_zone,
    plants.p0_kwp,
    plants.inverter_count,
    polled.polled_at_utc,
    polled.local_time as polled_local_time,
    polled.health_state,
    since.health_since_utc,
    polled.yield_today_kwh,
    polled.yield_this_month_kwh,
    polled.total_yield_kwh,
    polled.revenue_today,
    rows_seen.last_inverter_row_utc,
    timezone(plants.time_zone, rows_seen.last_inverter_row_utc) as last_inverter_row_local_time,
    -- Of a plant that never sent a row nobody says that no inverter is down or silent.
    coalesce(episodes.inverters_down, case when rows_seen.plant_code is not null then 0 end)::integer as inverters_down,
    episodes.down_since_utc,
    episodes.down_causes,
    coalesce(episodes.inverters_silent, case when rows_seen.plant_code is not null then 0 end)::integer
        as inverters_silent,
    episodes.silent_since_utc,
    case
        when polled.health_state = 'disconnected' or episodes.inverters_silent > 0 then true
        when polled.health_state is not null or rows_seen.plant_code is not null then false
    end as is_offline,
    case
        when polled.health_state = 'disconnected' then least(since.health_since_utc, episodes.silent_since_utc)
        when episodes.inverters_silent > 0 then episodes.silent_since_utc
    end as offline_since_utc,
    coalesce(alarms.open_alarms, 0)::integer as open_alarms,
    coalesce(alarms.open_critical_alarms, 0)::integer as open_critical_alarms,
    coalesce(alarms.open_major_alarms, 0)::integer as open_major_alarms,
    alarms.oldest_open_alarm_utc,
    latest.local_date as last_report_date,
    latest.pv_energy_kwh as last_report_pv_energy_kwh,
    latest.specific_yield_kwh_kwp as last_report_specific_yield_kwh_kwp,
    latest.peer_yield_ratio as last_report_peer_yield_ratio,
    latest.inverter_completeness as last_report_inverter_completeness,
    plants.retired_at_utc,
    greatest(polled.extracted_at_utc, latest.inputs_changed_at_utc) as inputs_changed_at_utc
from {{ ref('dim_plant') }} as plants
left join polled
    on plants.plant_code = polled.plant_code
left join since
    on plants.plant_code = since.plant_code
left join rows_seen
    on plants.plant_code = rows_seen.plant_code
left join episodes
    on plants.plant_code = episodes.plant_code
left join alarms
    on plants.plant_code = alarms.plant_code
left join latest
    on plants.plant_code = latest.plant_code
