-- How many 5-minute rows with a value each inverter, EMI, meter and battery sent on a plant's day.
{% set kinds = [
    ('string_inverter', 1, 'inverter', 'active_power_kw'),
    ('residential_inverter', 38, 'inverter', 'active_power_kw'),
    ('emi', 10, 'emi', 'irradiance_w_m2'),
    ('grid_meter', 17, 'meter', 'active_power_kw'),
    ('power_sensor', 47, 'meter', 'active_power_kw'),
    ('residential_battery', 39, 'battery', 'charge_discharge_power_kw'),
    ('ess', 41, 'battery', 'charge_discharge_power_kw'),
] %}
with readings as (

    {% for table, device_type_id, kind, value in kinds -%}
    select
        plant_code,
        device_id,
        local_date,
        collect_time_utc,
        {{ device_type_id }} as device_type_id,
        '{{ kind }}' as kind
    from {{ ref('stg_device_history_' ~ table) }}
    where {{ value }} is not null
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
    count(*) as day_rows,
    count(*) filter (
        where readings.collect_time_utc between days.sunrise_utc and days.sunset_utc
    ) as sun_rows,
    count(*) filter (
        where readings.collect_time_utc between days.inverter_daylight_start_utc and days.inverter_daylight_end_utc
    ) as inverter_daylight_rows
from readings
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
