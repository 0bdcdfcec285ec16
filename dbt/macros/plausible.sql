{# The value where it lies in the catalog's plausible range (both ends included), else null. #}
{% macro plausible(column, low, high) -%}
    case when {{ column }} between {{ low }} and {{ high }} then {{ column }} end
{%- endmacro %}

{# 'column=value' where the value lies outside the plausible range, else null. For concat_ws. #}
{% macro implausible(column, low, high) -%}
    case when not {{ column }} between {{ low }} and {{ high }} then '{{ column }}=' || {{ column }} end
{%- endmacro %}
