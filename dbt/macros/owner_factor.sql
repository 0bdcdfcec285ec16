{#
  What the owner's devices file makes of a power value: its unit against the catalog's (`unit`: 'W' or 'kW', none
  where the file's unit doesn't speak of the column), and its sign (`directional`). 1 where the file says nothing.
  Expects the joined overrides under the name `overrides`.
#}
{% macro owner_factor(unit, directional) -%}
    {%- if unit == 'W' -%}
        case overrides.unit when 'kW' then 1000.0 else 1.0 end
    {%- elif unit == 'kW' -%}
        case overrides.unit when 'W' then 0.001 else 1.0 end
    {%- else -%}
        1.0
    {%- endif -%}
    {%- if directional %} * coalesce(overrides.power_sign, 1){% endif -%}
{%- endmacro %}
