-- Each PV input in use, a day, against the median of its inverter. Rules: docs/figures.md 2.
select
    strings.plant_code,
    strings.device_id,
    strings.pv_input,
    strings.local_date,
    days.time_zone,
    days.day_start_utc,
    days.day_end_utc,
    strings.max_current_a,
    strings.dc_energy_kwh,
    strings.mismatch,
    strings.sunny_rows,
    strings.string_rows,
    count(*) over (partition by strings.device_id, strings.local_date) as inputs_in_use,
    used.active_days,
    coalesce(strings.max_current_a <= 0.5, false) as is_dead_today,
    {{ share('strings.string_rows', 'days.inverter_slots') }} as completeness,
    strings.inputs_changed_at_utc
from {{ ref('int_string_day') }} as strings
inner join {{ ref('int_plant_day') }} as days
    on
        strings.plant_code = days.plant_code
        and strings.local_date = days.local_date
left join {{ ref('int_string_used') }} as used
    on
        strings.device_id = used.device_id
        and strings.local_date = used.local_date
        and strings.pv_input = used.pv_input
