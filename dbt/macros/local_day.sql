{#
  First instant of a local day, as TIMESTAMPTZ. Where midnight happens twice (zones that turn their clocks back
  at 01:00, such as America/Havana) it is the first of the two; where midnight is skipped, the first instant after.
#}
{% macro local_day_start(local_date, time_zone) -%}
    case
        when timezone({{ time_zone }}, timezone({{ time_zone }}, ({{ local_date }})::timestamp) - interval 1 hour)::date
            = {{ local_date }}
        then timezone({{ time_zone }}, ({{ local_date }})::timestamp) - interval 1 hour
        else timezone({{ time_zone }}, ({{ local_date }})::timestamp)
    end
{%- endmacro %}
