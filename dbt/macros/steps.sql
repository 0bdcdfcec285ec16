{#
  Steps of counters and integrals of power between neighbouring 5-minute readings of one device. A model selects
  `previous(...)` over a window called by_device, then the rest from it. A step spans at most 15 minutes; what a counter
  did over a longer gap counts for the day alone (`step_over_gap`). A millionth of a kWh is noise of the floating point,
  not a fall.
#}
{% macro previous(column) -%}
    lag({{ column }} ignore nulls) over by_device as previous_{{ column }},
        lag(case when {{ column }} is not null then collect_time_utc end ignore nulls) over by_device
            as previous_{{ column }}_at
{%- endmacro %}

{# Whether the previous reading of the column lies near enough. #}
{% macro is_near(column) -%}
    previous_{{ column }}_at >= collect_time_utc - interval 15 minutes
{%- endmacro %}

{# What a counter rose by since its previous reading, however long ago that was; negative where it fell. #}
{% macro rise_of(column) -%}
    case
                when {{ column }} - previous_{{ column }} between -0.000001 and 0 then 0
                else {{ column }} - previous_{{ column }}
            end
{%- endmacro %}

{# The step of a counter: null without a near reading, negative where it fell. #}
{% macro step_of(column) -%}
    case
            when {{ is_near(column) }}
            then {{ rise_of(column) }}
        end
{%- endmacro %}

{#
  What a counter did over a gap of more than 15 minutes, where both readings lie in the local day (its first instant and
  its last included): the day's energy holds it, though nobody knows when in the gap it flowed. Null elsewhere: of a gap
  over midnight nobody knows which day's it is. Needs day_start_utc and day_end_utc of the day that the reading is
  filed on.
#}
{% macro step_over_gap(column) -%}
    case
            when
                not {{ is_near(column) }}
                and previous_{{ column }}_at >= day_start_utc
                and collect_time_utc <= day_end_utc
            then {{ rise_of(column) }}
        end
{%- endmacro %}

{# Energy under a power by trapezoids, in kWh. #}
{% macro integral_of(column) -%}
    case
            when {{ is_near(column) }}
            then ({{ column }} + previous_{{ column }}) / 2
                * (epoch(collect_time_utc) - epoch(previous_{{ column }}_at)) / 3600
        end
{%- endmacro %}

{# When the interval began that a reading closes: at the previous reading, else five minutes earlier. #}
{% macro interval_start_of(column) -%}
    case
            when {{ is_near(column) }} then previous_{{ column }}_at
            else collect_time_utc - interval 5 minutes
        end
{%- endmacro %}

{# Sum of the MPPT counters 1 to `count`; null where none is known. #}
{% macro mppt_sum(count) -%}
    case
            when coalesce({% for n in range(1, count + 1) %}rows_read.mppt_{{ n }}_yield_kwh{{ ', ' if not loop.last }}{% endfor %})
                is not null
            then {% for n in range(1, count + 1) %}coalesce(rows_read.mppt_{{ n }}_yield_kwh, 0){{ ' + ' if not loop.last }}{% endfor %}
        end
{%- endmacro %}
