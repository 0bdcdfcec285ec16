{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_signature')) }}"
) }}
-- How far the current of each PV input in use lies below the median of its inverter, over the sunny slots of a day.
with todo as (

    {{ days_to_do(ref('int_day_signature'), 'inverter_rows') }}

),

irradiance as (

    {{ plant_irradiance('todo') }}

),

readings as (

    {% for table, device_type_id, count in [('string_inverter', 1, 28), ('residential_inverter', 38, 8)] -%}
    select
        rows_read.plant_code,
        rows_read.local_date,
        rows_read.device_id,
        rows_read.collect_time_utc,
        rows_read.active_power_kw,
        [{% for n in range(1, count + 1) %}rows_read.pv{{ n }}_current_a{{ ', ' if not loop.last }}{% endfor %}]
            as currents_a,
        [{% for n in range(1, count + 1) %}rows_read.pv{{ n }}_voltage_v{{ ', ' if not loop.last }}{% endfor %}]
            as voltages_v,
        todo.inputs_changed_at_utc,
        todo.signature
    from {{ five_minutes(table) }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

currents as (

    select
        readings.* exclude (currents_a, voltages_v),
        used.pv_input,
        readings.currents_a[used.pv_input] as current_a,
        readings.currents_a[used.pv_input] * readings.voltages_v[used.pv_input] / 1000 as dc_power_kw,
        coalesce(
            irradiance.irradiance_w_m2 > {{ var('sunny_w_m2') }},
            readings.active_power_kw > 0.3 * ratings.ac_kw
        ) as is_sunny
    from readings
    inner join {{ ref('int_string_used') }} as used
        on
            readings.device_id = used.device_id
            and readings.local_date = used.local_date
    left join irradiance
        on
            readings.plant_code = irradiance.plant_code
            and time_bucket(interval 5 minutes, readings.collect_time_utc) = irradiance.slot_utc
    left join {{ ref('int_inverter_rating') }} as ratings
        on readings.device_id = ratings.device_id

),

compared as (

    select
        *,
        median(current_a) over (partition by device_id, collect_time_utc) as median_current_a
    from currents

)

select
    plant_code,
    local_date,
    device_id,
    pv_input,
    max(current_a) as max_current_a,
    sum(dc_power_kw) / 12 as dc_energy_kwh,
    count(current_a) as string_rows,
    count(current_a) filter (where is_sunny) as sunny_rows,
    median(1 - current_a / median_current_a) filter (where is_sunny and median_current_a > 0) as mismatch,
    any_value(inputs_changed_at_utc) as inputs_changed_at_utc,
    any_value(signature) as signature
from compared
group by
    plant_code,
    local_date,
    device_id,
    pv_input
