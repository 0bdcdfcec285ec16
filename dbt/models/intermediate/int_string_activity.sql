{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_inputs')) }}"
) }}
-- Which PV inputs of an inverter carried current on a plant's day: unused inputs read 0, not null.
with todo as (

    {{ days_to_do(ref('int_day_inputs'), 'inverter_rows') }}

),

peaks as (

    {% for table, device_type_id, count in [('string_inverter', 1, 28), ('residential_inverter', 38, 8)] -%}
    select
        rows_read.plant_code,
        rows_read.local_date,
        rows_read.device_id,
        any_value(todo.signature) as signature,
        [{% for n in range(1, count + 1) %}max(rows_read.pv{{ n }}_current_a){{ ', ' if not loop.last }}{% endfor %}]
            as peak_currents_a
    from {{ five_minutes(table) }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
    group by
        rows_read.plant_code,
        rows_read.local_date,
        rows_read.device_id
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
)

select
    plant_code,
    local_date,
    device_id,
    list_transform(
        list_filter(range(1, len(peak_currents_a) + 1), lambda n: peak_currents_a[n] > 0.5), lambda n: n::integer
    ) as active_inputs,
    signature
from peaks
