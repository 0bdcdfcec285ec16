{#
  A part of a whole as a number from 0 to 1; null where one of them is unknown or the whole is nothing. Nine digits: what binary
  fractions leave behind them (0.9999999999999999) says nothing.
  DuckDB's least() passes over nulls, so the unknown needs a branch of its own.
#}
{% macro share(part, whole) -%}
    case when {{ whole }} > 0 and {{ part }} is not null then round(least(1.0, {{ part }} / {{ whole }}), 9) end
{%- endmacro %}

{# A part of a whole in percent, to nine digits; null where one is unknown or the whole is nothing. #}
{% macro percent(part, whole) -%}
    round(100 * {{ part }} / nullif({{ whole }}, 0), 9)
{%- endmacro %}

{# Two parts of a sum, of which one may be unknown; null where both are. #}
{% macro sum_of_known(one, other) -%}
    case when coalesce({{ one }}, {{ other }}) is not null then coalesce({{ one }}, 0) + coalesce({{ other }}, 0) end
{%- endmacro %}
