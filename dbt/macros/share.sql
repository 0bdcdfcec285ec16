{#
  A part of a whole as a number from 0 to 1; null where the whole is unknown or nothing.
  DuckDB's least() passes over nulls, so the unknown needs a branch of its own.
#}
{% macro share(part, whole) -%}
    case when {{ whole }} > 0 then least(1.0, {{ part }} / {{ whole }}) end
{%- endmacro %}
