{{ config(materialized='view') }}
-- Voltage and current of each PV input that is in use, an unpivot of the inverters' rows.
with inputs as not materialized (

    {% for table, device_type_id, count in [('string_inverter', 1, 28), ('residential_inverter', 38, 8)] -%}
    select
        plant_code,
        device_id,
        {{ device_type_id }} as device_type_id,
        local_date,
        local_time,
        collect_time_utc,
        unnest(generate_series(1, {{ count }}))::integer as pv_input,
        unnest([{% for n in range(1, count + 1) %}pv{{ n }}_voltage_v{{ ', ' if not loop.last }}{% endfor %}]) as voltage_v,
        unnest([{% for n in range(1, count + 1) %}pv{{ n }}_current_a{{ ', ' if not loop.last }}{% endfor %}]) as current_a,
        source,
        extracted_at_utc
    from {{ five_minutes(table) }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
)

select
    inputs.plant_code,
    inputs.device_id,
    inputs.device_type_id,
    inputs.pv_input,
    inputs.local_date,
    inputs.local_time,
    inputs.collect_time_utc,
    inputs.voltage_v,
    inputs.current_a,
    inputs.voltage_v * inputs.current_a / 1000 as dc_power_kw,
    inputs.source,
    inputs.extracted_at_utc
from inputs
where exists (
    select 1
    from {{ ref('int_string_used') }} as used
    where
        inputs.device_id = used.device_id
        and inputs.local_date = used.local_date
        and inputs.pv_input = used.pv_input
)
