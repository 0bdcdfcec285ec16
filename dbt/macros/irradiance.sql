{# A plant's irradiance in each 5-minute slot of some days: the mean of its sensors. #}
{% macro plant_irradiance(todo) -%}
    select
        rows_read.plant_code,
        time_bucket(interval 5 minutes, rows_read.collect_time_utc) as slot_utc,
        avg(rows_read.irradiance_w_m2) as irradiance_w_m2
    from {{ five_minutes('emi') }} as rows_read
    inner join {{ todo }} as todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
    where rows_read.irradiance_w_m2 is not null
    group by
        rows_read.plant_code,
        slot_utc
{%- endmacro %}
