{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- How many 5-minute rows with a value each inverter, EMI, meter and battery sent on a plant's day, and how many of
-- them are polls.
{% set values = {'inverter': 'active_power_kw', 'emi': 'irradiance_w_m2', 'meter': 'active_power_kw',
    'battery': 'charge_discharge_power_kw'} %}
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'all_rows') }}

),

readings as (

    {% for table, device_type_id, kind in five_minute_kinds() -%}
    select
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.local_date,
        rows_read.collect_time_utc,
        {{ device_type_id }} as device_type_id,
        '{{ kind }}' as kind,
        rows_read.{{ values[kind] }} is not null as has_value,
        rows_read.source
    from {{ five_minutes(table) }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
)

select
    readings.plant_code,
    readings.local_date,
    readings.device_id,
    readings.device_type_id,
    readings.kind,
    count(*) filter (where readings.has_value) as day_rows,
    count(*) filter (where readings.has_value and readings.source = 'realtime') as realtime_rows,
    count(*) filter (
        where
            readings.has_value
            and readings.collect_time_utc between days.sunrise_utc and days.sunset_utc
    ) as sun_rows,
    count(*) filter (
        where
            readings.has_value
            and readings.collect_time_utc between days.inverter_daylight_start_utc and days.inverter_daylight_end_utc
    ) as inverter_daylight_rows,
    min(readings.collect_time_utc) as first_row_at_utc,
    max(readings.collect_time_utc) as last_row_at_utc,
    any_value(todo.inputs_changed_at_utc) as inputs_changed_at_utc,
    any_value(todo.signature) as signature
from readings
inner join todo
    on
        readings.plant_code = todo.plant_code
        and readings.local_date = todo.local_date
inner join {{ ref('int_plant_day') }} as days
    on
        readings.plant_code = days.plant_code
        and readings.local_date = days.local_date
group by
    readings.plant_code,
    readings.local_date,
    readings.device_id,
    readings.device_type_id,
    readings.kind
