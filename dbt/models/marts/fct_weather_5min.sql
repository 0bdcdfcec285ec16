{{ config(materialized='view') }}
-- What weather sensors measured; the sensor's plane is what the plants file says, or unknown.
select
    rows_read.plant_code,
    rows_read.device_id,
    rows_read.device_sn,
    rows_read.local_date,
    rows_read.local_time,
    rows_read.collect_time_utc,
    rows_read.irradiance_w_m2,
    coalesce(overrides.irradiance_plane, 'unknown') as irradiance_plane,
    rows_read.daily_irradiation_kwh_m2,
    rows_read.temperature_degc as air_temperature_degc,
    rows_read.pv_temperature_degc as module_temperature_degc,
    rows_read.wind_speed_m_s,
    rows_read.wind_direction_deg,
    rows_read.implausible,
    rows_read.source,
    rows_read.extracted_at_utc
from {{ five_minutes('emi') }} as rows_read
left join {{ source('ops', 'plant_overrides') }} as overrides
    on rows_read.plant_code = overrides.plant_code
