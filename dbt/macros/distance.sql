{# Kilometres between two places on a sphere of 6,371 km; null where a coordinate is. #}
{% macro distance_km(latitude_a, longitude_a, latitude_b, longitude_b) -%}
    12742 * asin(sqrt(
        pow(sin(radians({{ latitude_b }} - {{ latitude_a }}) / 2), 2)
        + cos(radians({{ latitude_a }})) * cos(radians({{ latitude_b }}))
            * pow(sin(radians({{ longitude_b }} - {{ longitude_a }}) / 2), 2)
    ))
{%- endmacro %}
