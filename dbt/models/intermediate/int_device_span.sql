{{ config(materialized='table') }}
-- From when and until when a device owes 5-minute rows. One that was not there at the plant's first listing, or that took
-- another's place, owes them from its first on; one that is no longer listed until it was last seen.
with received as (

    select
        device_id,
        min(local_date) as first_date,
        min(first_row_at_utc) as first_row_at_utc,
        max(last_row_at_utc) as last_row_at_utc
    from {{ ref('int_device_day') }}
    group by device_id

),

listed as (

    select
        *,
        min(first_seen_at_utc) over (partition by plant_code) as plant_first_seen_at_utc,
        max(last_seen_at_utc) over (partition by plant_code) as plant_last_seen_at_utc
    from {{ ref('stg_devices') }}

)

select
    listed.plant_code,
    listed.device_id,
    case
        when listed.device_type_id in (1, 38) then 'inverter'
        when listed.device_type_id = 10 then 'emi'
        when listed.device_type_id in (17, 47) then 'meter'
        else 'battery'
    end as kind,
    received.first_date,
    case
        when listed.first_seen_at_utc > listed.plant_first_seen_at_utc or replacements.replaces_device_id is not null
            then coalesce(received.first_row_at_utc, listed.first_seen_at_utc)
    end as owes_from_utc,
    case
        when listed.last_seen_at_utc < listed.plant_last_seen_at_utc
            then greatest(listed.last_seen_at_utc, received.last_row_at_utc)
    end as owes_until_utc
from listed
left join received
    on listed.device_id = received.device_id
left join {{ ref('int_device_replacement') }} as replacements
    on listed.device_id = replacements.device_id
where listed.device_type_id in (1, 38, 10, 17, 47, 39, 41)
