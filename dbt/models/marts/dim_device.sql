-- Every device as it was over time. What was before the first observation is taken to be as first observed, so that
-- facts of any date find a version.
with recursive versions as (

    select
        *,
        row_number() over by_device as version_number,
        lead(valid_from_utc) over by_device is null as is_current
    from {{ ref('stg_device_versions') }}
    window by_device as (
        partition by device_id
        order by valid_from_utc
    )

),

-- A device that took another's place continues its counters: all of one chain have the id of the first.
chains as (

    select
        device_id,
        device_id as chain_device_id,
        0 as depth
    from {{ ref('stg_devices') }}
    union all
    select
        chains.device_id,
        replacements.replaces_device_id as chain_device_id,
        chains.depth + 1 as depth
    from chains
    inner join {{ ref('int_device_replacement') }} as replacements
        on chains.chain_device_id = replacements.device_id
    where chains.depth < 100

),

first_of_chain as (

    select
        device_id,
        arg_max(chain_device_id, depth) as chain_device_id
    from chains
    group by device_id

),

plants as (

    select
        plant_code,
        time_zone
    from {{ ref('stg_plants') }}

)

select
    versions.device_id,
    versions.version_number::integer as version_number,
    case when versions.version_number = 1 then timestamptz '1900-01-01 00:00:00+00' else versions.valid_from_utc end
        as valid_from_utc,
    coalesce(versions.valid_to_utc, timestamptz '2200-01-01 00:00:00+00') as valid_to_utc,
    versions.valid_from_utc as observed_from_utc,
    timezone(plants.time_zone, versions.valid_from_utc) as observed_from_local_time,
    versions.is_current,
    versions.plant_code,
    versions.device_dn,
    versions.device_name,
    versions.device_sn,
    versions.device_type_id,
    versions.device_type,
    case
        when versions.device_type_id in (1, 38) then 'inverter'
        when versions.device_type_id = 10 then 'emi'
        when versions.device_type_id in (17, 47) then 'meter'
        when versions.device_type_id in (39, 41) then 'battery'
        else 'other'
    end as device_kind,
    versions.inverter_model,
    versions.software_version,
    versions.optimizer_number,
    overrides.ac_kw,
    overrides.usable_kwh,
    overrides.meter_role,
    overrides.power_sign,
    overrides.unit as power_unit,
    replacements.replaces_device_id,
    coalesce(first_of_chain.chain_device_id, versions.device_id) as chain_device_id,
    devices.first_seen_at_utc,
    devices.last_seen_at_utc,
    devices.retired_at_utc,
    versions.extracted_at_utc as inputs_changed_at_utc
from versions
left join {{ ref('stg_devices') }} as devices
    on versions.device_id = devices.device_id
left join {{ source('ops', 'device_overrides') }} as overrides
    on versions.device_id = overrides.device_id
left join {{ ref('int_device_replacement') }} as replacements
    on versions.device_id = replacements.device_id
left join first_of_chain
    on versions.device_id = first_of_chain.device_id
left join plants
    on versions.plant_code = plants.plant_code
