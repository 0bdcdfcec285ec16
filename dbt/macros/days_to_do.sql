{#
  Models that read 5-minute rows keep what they made of each plant's day, and make it anew only if the day's inputs
  have changed: `signature` in `inputs` is a digest of all that a day depends on. The days that differ are deleted
  first (`forget_changed_days`, a pre-hook), then all that are missing are made (`days_to_do`), so what a broken-off
  build left undone is done by the next.
#}
{% macro forget_changed_days(inputs) -%}
    {% if is_incremental() -%}
    delete from {{ this }} as made
    where not exists (
        select 1
        from {{ inputs }} as inputs
        where
            inputs.plant_code = made.plant_code
            and inputs.local_date = made.local_date
            and inputs.signature = made.signature
    )
    {%- endif %}
{%- endmacro %}

{# The plant-days to make: those with rows of the kind that the model does not hold. #}
{% macro days_to_do(inputs, rows) -%}
    select inputs.*
    from {{ inputs }} as inputs
    where
        inputs.{{ rows }} > 0
        {% if is_incremental() -%}
        and not exists (
            select 1
            from {{ this }} as made
            where
                inputs.plant_code = made.plant_code
                and inputs.local_date = made.local_date
        )
        {%- endif %}
{%- endmacro %}

{# Days to read for the days to make: an interval may begin a day before its reading, or end a day after. #}
{% macro days_to_read(todo) -%}
    select distinct
        plant_code,
        local_date + step::integer as read_date
    from {{ todo }}, range(-1, 2) as steps (step)
{%- endmacro %}
