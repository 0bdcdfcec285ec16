-- When an inverter was down, silent, limited or taken out, from its first slot to its last, nights left out.
with runs as (

    select
        *,
        lag(touches_evening and local_date = lead_date - 1, 1, false) over by_kind as comes_from_yesterday
    from (
        select
            *,
            lead(local_date) over by_kind as lead_date
        from {{ ref('int_inverter_run') }}
        where cause_group != 'running'
        window by_kind as (
            partition by device_id, availability, cause_group
            order by start_utc
        )
    )
    window by_kind as (
        partition by device_id, availability, cause_group
        order by start_utc
    )

),

numbered as (

    select
        *,
        sum((not (touches_morning and comes_from_yesterday))::integer) over (
            partition by device_id, availability, cause_group
            order by start_utc
        ) as episode_number
    from runs

),

newest as (

    select
        device_id,
        max(end_utc) as last_end_utc
    from {{ ref('int_inverter_run') }}
    group by device_id

),

episodes as (

    select
        numbered.device_id,
        numbered.availability,
        numbered.cause_group,
        numbered.episode_number,
        arg_max(numbered.plant_code, numbered.start_utc) as plant_code,
        min(numbered.start_utc) as start_utc,
        max(numbered.end_utc) as end_utc,
        min(numbered.local_date) as start_local_date,
        max(numbered.local_date) as end_local_date,
        mode(numbered.inverter_state_code) as inverter_state_code,
        sum(numbered.slots) as daylight_slots,
        case when bool_and(numbered.own_kwh is not null) then sum(numbered.own_kwh) end as own_kwh,
        sum(numbered.potential_kwh) as potential_kwh,
        bool_or(numbered.potential_kwh is null) as potential_is_unknown,
        sum(numbered.below_kwh) as below_kwh,
        max(numbered.inputs_changed_at_utc) as inputs_changed_at_utc
    from numbered
    group by
        numbered.device_id,
        numbered.availability,
        numbered.cause_group,
        numbered.episode_number

)

select
    episodes.plant_code,
    episodes.device_id,
    episodes.availability,
    episodes.cause_group,
    episodes.start_utc,
    episodes.end_utc,
    timezone(plants.time_zone, episodes.start_utc) as start_local_time,
    timezone(plants.time_zone, episodes.end_utc) as end_local_time,
    episodes.start_local_date as local_date,
    episodes.end_local_date,
    episodes.end_utc = newest.last_end_utc as is_open,
    episodes.inverter_state_code,
    episodes.daylight_slots / 12 as daylight_h,
    episodes.own_kwh as own_energy_kwh,
    case when not episodes.potential_is_unknown then episodes.potential_kwh end as potential_energy_kwh,
    case
        when episodes.availability in ('up', 'unknown') and episodes.cause_group = 'communication' then null
        when episodes.potential_is_unknown or episodes.own_kwh is null then null
        when episodes.cause_group in ('power limit', 'derating') then coalesce(episodes.below_kwh, 0)
        else greatest(episodes.potential_kwh - episodes.own_kwh, 0)
    end as lost_energy_kwh,
    episodes.inputs_changed_at_utc
from episodes
inner join newest
    on episodes.device_id = newest.device_id
left join {{ ref('stg_plants') }} as plants
    on episodes.plant_code = plants.plant_code
