{#
  The sun, by Spencer's Fourier series (1971), as NOAA's solar calculator uses it. Good to about a minute of time
  and a third of a degree, which is enough to count 5-minute slots. Angles are in degrees, longitudes are positive
  to the east. `day_angle` is in radians.
#}
{% macro sun_day_angle(local_date) -%}
    (2 * pi() * (dayofyear({{ local_date }}) - 1 + 0.5) / 365)
{%- endmacro %}

{# Declination of the sun in degrees. #}
{% macro sun_declination(day_angle) -%}
    degrees(
        0.006918
        - 0.399912 * cos({{ day_angle }}) + 0.070257 * sin({{ day_angle }})
        - 0.006758 * cos(2 * {{ day_angle }}) + 0.000907 * sin(2 * {{ day_angle }})
        - 0.002697 * cos(3 * {{ day_angle }}) + 0.001480 * sin(3 * {{ day_angle }})
    )
{%- endmacro %}

{# How far the sundial is ahead of the clock, in minutes. #}
{% macro sun_equation_of_time(day_angle) -%}
    229.18 * (
        0.000075
        + 0.001868 * cos({{ day_angle }}) - 0.032077 * sin({{ day_angle }})
        - 0.014615 * cos(2 * {{ day_angle }}) - 0.040849 * sin(2 * {{ day_angle }})
    )
{%- endmacro %}

{#
  Minutes from solar noon to the moment when the sun passes `elevation`: null where it stays below it the whole
  day, 720 where it stays above.
#}
{% macro sun_half_day_minutes(latitude, declination, elevation) -%}
    case
        when sin(radians({{ elevation }})) - sin(radians({{ latitude }})) * sin(radians({{ declination }}))
            > cos(radians({{ latitude }})) * cos(radians({{ declination }}))
        then null
        else 4 * degrees(acos(greatest(-1, least(1,
            (sin(radians({{ elevation }})) - sin(radians({{ latitude }})) * sin(radians({{ declination }})))
            / (cos(radians({{ latitude }})) * cos(radians({{ declination }})))
        ))))
    end
{%- endmacro %}

{# How many instants of the 5-minute grid lie in [first, last], both included. #}
{% macro slots_between(first, last) -%}
    (floor(epoch({{ last }}) / 300) - ceil(epoch({{ first }}) / 300) + 1)::bigint
{%- endmacro %}
