{#
  Comments of a relation and its columns in one go. The macro that this replaces first asks for the relation's columns,
  twice, in order to pass over described columns that don't exist. Here such a column is an error: the docs are stale.
#}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
  {% set comments %}
    comment on {{ relation.type }} {{ relation }} is {{ duckdb_escape_comment(model.description) }};
    {%- for name, column in model.columns.items() %}
    comment on column {{ relation }}.{{ adapter.quote(name) }} is {{ duckdb_escape_comment(column['description']) }};
    {%- endfor %}
  {% endset %}
  {% do run_query(comments) %}
{%- endmacro %}
