{#
  The sun, by Spencer's Fourier series (1971), as NOAA's solar calculator uses it. Good to about a minute of time
  and a third of a degree: a first guess, which int_plant_day moves by with_sun_elevation. Angles are in degrees,
  longitudes are positive to the east. `day_angle` is in radians.
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

{#
  A relation with one column more, `sun_elevation_deg`: how high the sun's centre stands at `instant`, without
  refraction, by the formulas of NOAA's solar calculator (Meeus). Within 0.02 degrees of the reference algorithm for
  1950 to 2050, so slots can be told apart by it. Needs columns `latitude` and `longitude` in degrees, east positive;
  null without them.
#}
{% macro with_sun_elevation(relation, instant) -%}
(
    select
        * exclude (sun_t, sun_l, sun_m, sun_e, sun_node, sun_lambda, sun_epsilon, sun_y),
        -- greatest() and least() pass over nulls.
        case when latitude is not null and longitude is not null then degrees(asin(greatest(-1, least(1,
            sin(radians(latitude)) * sin(asin(sin(sun_epsilon) * sin(sun_lambda)))
            + cos(radians(latitude)) * cos(asin(sin(sun_epsilon) * sin(sun_lambda))) * cos(radians(
                (
                    epoch({{ instant }}) / 60 % 1440 + 4 * longitude
                    + 4 * degrees(
                        sun_y * sin(2 * sun_l) - 2 * sun_e * sin(sun_m)
                        + 4 * sun_e * sun_y * sin(sun_m) * cos(2 * sun_l)
                        - 0.5 * sun_y * sun_y * sin(4 * sun_l) - 1.25 * sun_e * sun_e * sin(2 * sun_m)
                    )
                ) / 4 - 180
            ))
        )))) end as sun_elevation_deg
    from (
        select
            *,
            radians(
                degrees(sun_l) + sin(sun_m) * (1.914602 - sun_t * (0.004817 + 0.000014 * sun_t))
                + sin(2 * sun_m) * (0.019993 - 0.000101 * sun_t) + sin(3 * sun_m) * 0.000289
                - 0.00569 - 0.00478 * sin(sun_node)
            ) as sun_lambda,
            radians(
                23.4392911 - sun_t * (0.0130042 + sun_t * (0.00000016 - sun_t * 0.0000005))
                + 0.00256 * cos(sun_node)
            ) as sun_epsilon,
            pow(tan(radians(23.4392911 - sun_t * 0.0130042 + 0.00256 * cos(sun_node)) / 2), 2) as sun_y
        from (
            select
                *,
                radians(280.46646 + sun_t * (36000.76983 + sun_t * 0.0003032)) as sun_l,
                radians(357.52911 + sun_t * (35999.05029 - 0.0001537 * sun_t)) as sun_m,
                0.016708634 - sun_t * (0.000042037 + 0.0000001267 * sun_t) as sun_e,
                radians(125.04 - 1934.136 * sun_t) as sun_node
            from (
                select
                    *,
                    (epoch({{ instant }}) / 86400 - 10957.5) / 36525 as sun_t
                from {{ relation }}
            )
        )
    )
)
{%- endmacro %}

{# Whether a plant-day of int_plant_day is one of polar night: where and when are known, and nobody owes anything. #}
{% macro sun_stays_down(days) -%}
    (
        {{ days }}.latitude is not null
        and {{ days }}.longitude is not null
        and {{ days }}.day_start_utc is not null
        and coalesce({{ days }}.inverter_slots, 0) = 0
    )
{%- endmacro %}

{#
  Whether the sun stands more than 6 degrees below the horizon all the time from `since` to `until`, both in one local
  day. Needs that day's latitude, dawn_utc and dusk_utc; without these two the sun stays down all day.
#}
{% macro is_all_dark(since, until) -%}
    latitude is not null
        and (
            dawn_utc is null
            or ({{ until }} <= dawn_utc and {{ since }} >= dusk_utc - interval 1 day)
            or ({{ since }} >= dusk_utc and {{ until }} <= dawn_utc + interval 1 day)
        )
{%- endmacro %}
