{{ config(materialized='table') }}
-- Which inverters owe rows on a plant's day: from their first row on, until they were last listed.
with first_rows as (

    select
        device_id,
        min(local_date) as first_date
    from {{ ref('int_inverter_day') }}
    group by device_id

),

listed as (

    select
        devices.plant_code,
        devices.device_id,
        first_rows.first_date,
        case
            when devices.last_seen_at_utc < max(devices.last_seen_at_utc) over (partition by devices.plant_code)
            then devices.last_seen_at_utc
        end as gone_at_utc
    from {{ ref('stg_devices') }} as devices
    inner join first_rows
        on devices.device_id = first_rows.device_id
    where devices.device_type_id in (1, 38)

)

select
    days.plant_code,
    days.local_date,
    listed.device_id
from {{ ref('int_day_inputs') }} as days
inner join listed
    on
        days.plant_code = listed.plant_code
        and days.local_date >= listed.first_date
        and (listed.gone_at_utc is null or days.day_start_utc <= listed.gone_at_utc)
union
select
    plant_code,
    local_date,
    device_id
from {{ ref('int_inverter_day') }}
