-- What each EMI measured of a day's irradiation, by its irradiance and by its own counter.
with readings as (

    select
        plant_code,
        device_id,
        local_date,
        collect_time_utc,
        irradiance_w_m2,
        daily_irradiation_kwh_m2
    from {{ ref('stg_device_history_emi') }}
    where
        irradiance_w_m2 is not null
        or daily_irradiation_kwh_m2 is not null

),

summed as (

    select
        readings.plant_code,
        readings.local_date,
        readings.device_id,
        any_value(days.sunrise_utc) as sunrise_utc,
        any_value(days.sunset_utc) as sunset_utc,
        any_value(days.sun_slots) as sun_slots,
        count(readings.irradiance_w_m2) filter (
            where readings.collect_time_utc between days.sunrise_utc and days.sunset_utc
        ) as sun_rows,
        -- W/m2 over 5 minutes, in kWh/m2.
        sum(readings.irradiance_w_m2) * 5 / 60 / 1000 as irradiance_sum_kwh_m2,
        max(readings.daily_irradiation_kwh_m2) as counter_kwh_m2,
        max(readings.collect_time_utc) filter (
            where readings.daily_irradiation_kwh_m2 is not null
        ) as counter_last_utc
    from readings
    inner join {{ ref('int_plant_day') }} as days
        on
            readings.plant_code = days.plant_code
            and readings.local_date = days.local_date
    group by
        readings.plant_code,
        readings.local_date,
        readings.device_id

)

select
    plant_code,
    local_date,
    device_id,
    irradiance_sum_kwh_m2,
    {{ share('sun_rows', 'sun_slots') }} as irradiance_share,
    counter_kwh_m2,
    -- The counter runs through gaps: only what comes after its last reading is lost.
    {{ share(
        'greatest(0, epoch(counter_last_utc) - epoch(sunrise_utc))',
        '(epoch(sunset_utc) - epoch(sunrise_utc))'
    ) }} as counter_share
from summed
