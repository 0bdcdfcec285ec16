{{ config(materialized='table') }}
-- Which device took which other's place, by the owner's word. What was replaced is as a rule no longer listed, so it is
-- looked for among all devices that ever were.
with serials as (

    select
        device_sn,
        min(device_id) as device_id
    from {{ ref('stg_devices') }}
    where device_sn is not null
    group by device_sn

)

select
    overrides.device_id,
    coalesce(overrides.replaces_device_id, by_id.device_id, serials.device_id) as replaces_device_id
from {{ source('ops', 'device_overrides') }} as overrides
left join {{ ref('stg_devices') }} as by_id
    on overrides.replaces_device = by_id.device_id::varchar
left join serials
    on overrides.replaces_device = serials.device_sn
where
    overrides.device_id is not null
    and coalesce(overrides.replaces_device_id, by_id.device_id, serials.device_id) is not null
