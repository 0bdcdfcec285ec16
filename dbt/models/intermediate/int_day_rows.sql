{{ config(materialized='table') }}
-- How many 5-minute rows of each kind a plant's day holds, and when the newest of them was read.
with counted as (

    {% for table, device_type_id, kind in five_minute_kinds() -%}
    select
        plant_code,
        local_date,
        '{{ kind }}' as kind,
        count(*) as rows_read,
        max(extracted_at_utc) as extracted_at_utc
    from {{ five_minutes(table) }}
    group by
        plant_code,
        local_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
)

select
    plant_code,
    local_date,
    {% for kind in ['inverter', 'emi', 'meter', 'battery'] -%}
    coalesce(sum(rows_read) filter (where kind = '{{ kind }}'), 0)::bigint as {{ kind }}_rows,
    {% endfor -%}
    sum(rows_read)::bigint as all_rows,
    max(extracted_at_utc) as inputs_changed_at_utc
from counted
group by
    plant_code,
    local_date
