-- Each alarm from the moment it was raised to when a poll missed it.
select
    alarms.plant_code,
    alarms.device_sn,
    alarms.device_name,
    alarms.device_type_id,
    alarms.alarm_id,
    alarms.cause_id,
    alarms.raise_time_utc,
    alarms.local_time as raise_local_time,
    alarms.local_time::date as local_date,
    alarms.alarm_name,
    alarms.alarm_cause,
    alarms.alarm_type,
    alarms.severity_code,
    alarms.severity,
    alarms.repair_suggestion,
    alarms.cleared_before_utc is null as is_open,
    alarms.cleared_after_utc,
    alarms.cleared_before_utc,
    (epoch(coalesce(alarms.cleared_after_utc, alarms.last_seen_at_utc)) - epoch(alarms.raise_time_utc)) / 86400
        as open_days_at_least,
    (epoch(alarms.cleared_after_utc) - epoch(alarms.raise_time_utc)) / 3600 as time_to_clear_at_least_h,
    (epoch(alarms.cleared_before_utc) - epoch(alarms.raise_time_utc)) / 3600 as time_to_clear_at_most_h,
    count(*) over (
        partition by alarms.plant_code, alarms.device_sn, alarms.device_name, alarms.alarm_id, alarms.cause_id
        order by alarms.raise_time_utc
        range between interval 90 days preceding and current row
    ) - 1 as repeats_in_90_days,
    alarms.first_seen_at_utc,
    alarms.last_seen_at_utc,
    alarms.extracted_at_utc as inputs_changed_at_utc
from {{ ref('stg_alarms') }} as alarms
