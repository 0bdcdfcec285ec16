{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- What each EMI measured of a day's irradiation, by its irradiance and by its own counter.
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'emi_rows') }}

),

readings as (

    select
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.local_date,
        rows_read.collect_time_utc,
        rows_read.irradiance_w_m2,
        rows_read.daily_irradiation_kwh_m2,
        todo.signature
    from {{ five_minutes('emi') }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date

),

summed as (

    select
        readings.plant_code,
        readings.local_date,
        readings.device_id,
        any_value(readings.signature) as signature,
        any_value(days.sunrise_utc) as sunrise_utc,
        any_value(days.sunset_utc) as sunset_utc,
        any_value(days.sun_slots) as sun_slots,
        count(readings.irradiance_w_m2) filter (
            where readings.collect_time_utc between days.sunrise_utc and days.sunset_utc
        ) as sun_rows,
        -- W/m2 over 5 minutes, in kWh/m2.
        sum(readings.irradiance_w_m2) * 5 / 60 / 1000 as irradiance_sum_kwh_m2,
        -- The row of midnight, or later ones of a sensor whose clock is late, still hold the day before.
        max(readings.daily_irradiation_kwh_m2) filter (
            where readings.collect_time_utc >= days.sunrise_utc
        ) as counter_kwh_m2,
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
    ) }} as counter_share,
    signature
from summed
