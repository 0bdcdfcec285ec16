-- Each battery's month, and its round trip over the shortest run of at least 30 days up to the month's last that begins
-- and ends at nearly the same state of charge.
with days as (

    select
        *,
        date_trunc('month', local_date)::date as month_start
    from {{ ref('fct_battery_day') }}
    where
        charge_energy_kwh is not null
        and discharge_energy_kwh is not null

),

-- Days that are over; those without a hole between them share an island.
whole as (

    select
        *,
        local_date - (row_number() over (
            partition by device_id
            order by local_date
        ))::integer as island
    from days
    where is_running is distinct from true

),

running as (

    select
        *,
        sum(charge_energy_kwh) over up_to as charged_so_far,
        sum(discharge_energy_kwh) over up_to as discharged_so_far
    from whole
    window up_to as (
        partition by device_id, island
        order by local_date
    )

),

ends as (

    select *
    from running
    where last_soc_pct is not null
    qualify row_number() over (
        partition by device_id, month_start
        order by local_date desc
    ) = 1

),

round_trips as (

    select
        ends.device_id,
        ends.month_start,
        begun.local_date as round_trip_from,
        ends.local_date as round_trip_to,
        ends.charged_so_far - begun.charged_so_far + begun.charge_energy_kwh as charged_kwh,
        ends.discharged_so_far - begun.discharged_so_far + begun.discharge_energy_kwh as discharged_kwh
    from ends
    inner join running as begun
        on
            ends.device_id = begun.device_id
            and ends.island = begun.island
            and begun.local_date <= ends.local_date - ({{ var('round_trip_days') }} - 1)
            and abs(begun.first_soc_pct - ends.last_soc_pct) <= 10
    qualify row_number() over (
        partition by ends.device_id, ends.month_start
        order by begun.local_date desc
    ) = 1

)

select
    days.plant_code,
    days.device_id,
    any_value(days.device_type_id) as device_type_id,
    days.month_start,
    any_value(days.time_zone) as time_zone,
    min(days.day_start_utc) as first_day_start_utc,
    max(days.day_end_utc) as last_day_end_utc,
    -- A day that still runs has not given its energy yet.
    count(*) filter (where days.is_running is distinct from true)::integer as days_with_energy,
    {{ share('count(*) filter (where days.is_running is distinct from true)', 'day(last_day(days.month_start))') }} as completeness,
    sum(days.charge_energy_kwh) as charge_energy_kwh,
    sum(days.discharge_energy_kwh) as discharge_energy_kwh,
    sum(days.charge_from_counter_kwh) as charge_from_counter_kwh,
    sum(days.discharge_from_counter_kwh) as discharge_from_counter_kwh,
    count(*) filter (where days.discharge_energy_kwh < 0.1 and days.is_running is distinct from true)::integer as idle_days,
    sum(days.cycles) as cycles,
    any_value({{ percent('round_trips.discharged_kwh', 'round_trips.charged_kwh') }}) as round_trip_pct,
    any_value(round_trips.round_trip_from) as round_trip_from,
    any_value(round_trips.round_trip_to) as round_trip_to,
    max(days.inputs_changed_at_utc) as inputs_changed_at_utc
from days
left join round_trips
    on
        days.device_id = round_trips.device_id
        and days.month_start = round_trips.month_start
group by
    days.plant_code,
    days.device_id,
    days.month_start
