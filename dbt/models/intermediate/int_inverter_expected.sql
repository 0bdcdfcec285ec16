{{ config(materialized='table') }}
-- Which inverters owe rows on a plant's day: from their first row on, until they were last listed.
with keys as (

    select
        days.plant_code,
        days.local_date,
        spans.device_id
    from {{ ref('int_day_inputs') }} as days
    inner join {{ ref('int_device_span') }} as spans
        on
            days.plant_code = spans.plant_code
            and days.local_date >= spans.first_date
            and (spans.owes_until_utc is null or days.day_start_utc <= spans.owes_until_utc)
    where spans.kind = 'inverter'
    union
    select
        plant_code,
        local_date,
        device_id
    from {{ ref('int_inverter_day') }}

)

select
    keys.plant_code,
    keys.local_date,
    keys.device_id,
    spans.owes_from_utc,
    spans.owes_until_utc
from keys
left join {{ ref('int_device_span') }} as spans
    on
        keys.plant_code = spans.plant_code
        and keys.device_id = spans.device_id
