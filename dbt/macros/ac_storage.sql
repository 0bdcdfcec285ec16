{% macro ac_storage_by_plant() -%}
{#- A row per plant: whether it has storage on the AC side (41), which works behind the inverters' counters, and on the
    DC side (39), which works before them. -#}
select
    plant_code,
    bool_or(device_type_id = 41) as has_ac_storage,
    bool_or(device_type_id = 39) as has_dc_storage
from {{ ref('stg_devices') }}
group by plant_code
{%- endmacro %}

{% macro ac_storage_kwh(hours, storage) -%}
{#- What storage on the AC side adds to inverterYield in an hour, by the report (KPI: inverterYield = PVYield - chargeCap
    + dischargeCap); null where storage of both sides shares the report's figures. -#}
case
    when not coalesce({{ storage }}.has_ac_storage, false) then 0
    when not {{ storage }}.has_dc_storage then {{ hours }}.discharged_energy_kwh - {{ hours }}.charged_energy_kwh
end
{%- endmacro %}
