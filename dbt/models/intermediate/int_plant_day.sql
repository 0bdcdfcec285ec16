{{ config(materialized='table') }}
-- Which plant-days there are, when they begin and end, and how many 5-minute slots are expected in each.
with days as (

    select
        plant_code,
        local_date
    from {{ ref('stg_plant_daily') }}
    union
    select
        plant_code,
        period as local_date
    from {{ source('ops', 'coverage') }}
    where
        dataset in ('plant_daily', 'plant_hourly', 'device_history')
        and covered > 0
    union
    select
        plant_code,
        local_date
    from {{ ref('int_day_rows') }}
    where kind is not null

),

located as (

    select
        days.plant_code,
        days.local_date,
        plants.time_zone,
        -- 0,0 is what the interface sends for "not set".
        case when plants.latitude != 0 or plants.longitude != 0 then plants.latitude end as latitude,
        case when plants.latitude != 0 or plants.longitude != 0 then plants.longitude end as longitude,
        {{ local_day_start('days.local_date', 'plants.time_zone') }} as day_start_utc,
        {{ local_day_start('(days.local_date + 1)', 'plants.time_zone') }} as day_end_utc
    from days
    left join {{ ref('stg_plants') }} as plants
        on days.plant_code = plants.plant_code

),

sun as (

    select
        *,
        {{ sun_declination(sun_day_angle('local_date')) }} as declination,
        -- Solar noon by the clock of Greenwich, brought into the local day.
        day_start_utc + to_milliseconds((60000 * (
            (
                720 - 4 * longitude - {{ sun_equation_of_time(sun_day_angle('local_date')) }}
                - (epoch(day_start_utc) / 60) % 1440 + 2880
            ) % 1440
        ))::bigint) as solar_noon_utc
    from located

),

elevations as (

    select
        *,
        -- Where the sun stays low all day, half its height at noon has to do.
        least(
            {{ var('inverter_daylight_degrees') }},
            greatest(0, (90 - abs(latitude - declination)) / 2)
        ) as inverter_elevation
    from sun

),

halves as (

    select
        *,
        {{ sun_half_day_minutes('latitude', 'declination', '0') }} as sun_minutes,
        {{ sun_half_day_minutes('latitude', 'declination', 'inverter_elevation') }} as inverter_minutes,
        {{ sun_half_day_minutes('latitude', 'declination', '-6') }} as twilight_minutes
    from elevations

),

-- The sun's declination changes by up to 0.2 degrees from noon to the evening, and the year's formulas are a third of a
-- degree off in some years: a slot more or less. So each moment is moved by how high the sun stands then.
{% set moments = [
    ('dawn_utc', '-6', '-twilight_minutes'),
    ('sunrise_utc', '0', '-sun_minutes'),
    ('inverter_daylight_start_utc', 'inverter_elevation', '-inverter_minutes'),
    ('inverter_daylight_end_utc', 'inverter_elevation', 'inverter_minutes'),
    ('sunset_utc', '0', 'sun_minutes'),
    ('dusk_utc', '-6', 'twilight_minutes'),
] %}
moments as (

    select
        *,
        solar_noon_utc + to_milliseconds((60000 * minutes)::bigint) as guessed_utc
    from (
        select
            plant_code,
            local_date,
            latitude,
            longitude,
            declination,
            solar_noon_utc,
            unnest([
                {% for name, elevation, minutes in moments -%}
                {'moment': '{{ name }}', 'elevation': {{ elevation }}::double, 'minutes': {{ minutes }}::double}
                {{- ',' if not loop.last }}
                {% endfor %}
            ], recursive := true)
        from halves
    )
    where minutes is not null

),

moved as (

    select
        plant_code,
        local_date,
        moment,
        case
            -- Where it stays above or grazes, there is nothing to move.
            when abs(minutes) between 1 and 719
            then guessed_utc + to_milliseconds((60000 * greatest(-10, least(10,
                (elevation - sun_elevation_deg) * cos(radians(elevation))
                / (-0.25 * cos(radians(latitude)) * cos(radians(declination)) * sin(radians(minutes / 4)))
            )))::bigint)
            else guessed_utc
        end as at_utc
    from {{ with_sun_elevation('moments', 'guessed_utc') }}

),

windows as (

    select
        plant_code,
        local_date,
        {% for name, elevation, minutes in moments -%}
        max(at_utc) filter (where moment = '{{ name }}') as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from moved
    group by
        plant_code,
        local_date

)

select
    halves.plant_code,
    halves.local_date,
    time_zone,
    latitude,
    longitude,
    day_start_utc,
    day_end_utc,
    (epoch(day_end_utc) - epoch(day_start_utc))::bigint // 300 as day_slots,
    solar_noon_utc,
    dawn_utc,
    sunrise_utc,
    sunset_utc,
    dusk_utc,
    {{ slots_between('sunrise_utc', 'sunset_utc') }} as sun_slots,
    inverter_daylight_start_utc,
    inverter_daylight_end_utc,
    {{ slots_between('inverter_daylight_start_utc', 'inverter_daylight_end_utc') }} as inverter_slots
from halves
left join windows
    on
        halves.plant_code = windows.plant_code
        and halves.local_date = windows.local_date
