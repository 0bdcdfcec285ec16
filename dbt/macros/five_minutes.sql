{# The staging model that holds what devices of a type measured every 5 minutes: history, and polls where it has none. #}
{% macro five_minutes(table) -%}
    {{ return(ref('stg_device_5min_' ~ table)) }}
{%- endmacro %}

{# The device types that the marts read every 5 minutes: staging table, vendor's type, kind. #}
{% macro five_minute_kinds() -%}
    {{ return([
        ('string_inverter', 1, 'inverter'),
        ('residential_inverter', 38, 'inverter'),
        ('emi', 10, 'emi'),
        ('grid_meter', 17, 'meter'),
        ('power_sensor', 47, 'meter'),
        ('residential_battery', 39, 'battery'),
        ('ess', 41, 'battery'),
    ]) }}
{%- endmacro %}
