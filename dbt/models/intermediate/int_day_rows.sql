{{ config(materialized='table') }}
-- How many 5-minute rows and polls of each device type a plant's day holds, and when the newest of them was read. Types
-- that the marts don't read are here where they are polled.
{% set kinds = five_minute_kinds() %}
{% set polled = polled_tables() %}
with counted as (

    {% for table, device_type_id, kind in kinds -%}
    select
        {{ device_type_id }} as device_type_id,
        '{{ kind }}' as kind,
        plant_code,
        local_date,
        count(*) as history_rows,
        max(extracted_at_utc) as history_extracted_at_utc,
        0 as poll_rows,
        null::timestamptz as polls_extracted_at_utc
    from {{ ref('stg_device_history_' ~ table) }}
    group by
        plant_code,
        local_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
    {%- for rule in poll_rules() if rule.table in polled %}
    {%- set kind = kinds | selectattr(0, 'equalto', rule.table) | map(attribute=2) | first -%}
    {%- if not kind %}
    union all
    select
        {{ rule.device_type_id }} as device_type_id,
        null as kind,
        plant_code,
        local_date,
        count(*) as history_rows,
        max(extracted_at_utc) as history_extracted_at_utc,
        0 as poll_rows,
        null as polls_extracted_at_utc
    from {{ ref('stg_device_history_' ~ rule.table) }}
    group by
        plant_code,
        local_date
    {%- endif %}
    union all
    select
        {{ rule.device_type_id }} as device_type_id,
        {{ "'" ~ kind ~ "'" if kind else 'null' }} as kind,
        plant_code,
        local_date,
        0 as history_rows,
        null as history_extracted_at_utc,
        count(*) as poll_rows,
        max(extracted_at_utc) as polls_extracted_at_utc
    from {{ ref('stg_device_realtime_' ~ rule.table) }}
    group by
        plant_code,
        local_date
    {%- endfor %}

),

summed as (

    select
        device_type_id,
        any_value(kind) as kind,
        plant_code,
        local_date,
        sum(history_rows)::bigint as history_rows,
        max(history_extracted_at_utc) as history_extracted_at_utc,
        sum(poll_rows)::bigint as poll_rows,
        max(polls_extracted_at_utc) as polls_extracted_at_utc
    from counted
    group by
        device_type_id,
        plant_code,
        local_date

)

select
    summed.*,
    hash(
        summed.device_type_id,
        summed.history_rows,
        summed.history_extracted_at_utc,
        summed.poll_rows,
        summed.polls_extracted_at_utc,
        plants.time_zone
    ) as signature
from summed
left join {{ ref('stg_plants') }} as plants
    on summed.plant_code = plants.plant_code
