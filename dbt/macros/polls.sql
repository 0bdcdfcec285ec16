{#
  Names of the device types of which anything was ever polled. Nothing is spent on real time where there is none.
  While dbt parses, all of them, so that it knows what may be read.
#}
{% macro polled_tables() -%}
    {%- set known = poll_rules() | map(attribute='table') | list -%}
    {%- if not execute -%}{{ return(known) }}{%- endif -%}
    {%- set questions = [] -%}
    {%- for table in known -%}
    {%- do questions.append(
        "select '" ~ table ~ "' where exists (select 1 from " ~ source('raw', 'device_realtime_' ~ table) ~ ")"
    ) -%}
    {%- endfor -%}
    {{ return(run_query(questions | join(' union all ')).columns[0].values() | list) }}
{%- endmacro %}

{# The 5-minute slot that an instant lies in. #}
{% macro slot_of(instant) -%}
    to_timestamp(300 * floor(epoch({{ instant }}) / 300))
{%- endmacro %}
