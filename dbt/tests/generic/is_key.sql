{#
  The columns are the key of the model: together unique and none of them null, but for those in `nullable`.
  `newest_days_only` looks only at the local days that the newest landing touched, so that the test stays quick on
  years of 5-minute rows: a twin can only appear on a day that was written.
#}
{% test is_key(model, columns, nullable=[], newest_days_only=false) %}
select
    {{ columns | join(',\n    ') }},
    count(*) as row_count
from {{ model }}
{% if newest_days_only -%}
where local_date in (
    select local_date
    from {{ model }}
    where extracted_at_utc >= (select max(extracted_at_utc) - interval 1 day from {{ model }})
)
{% endif -%}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- for column in columns if column not in nullable %}
    or {{ column }} is null
{%- endfor %}
{% endtest %}
