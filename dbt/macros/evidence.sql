{# True or false where the evidence is enough and agrees; null, which is unknown, where it doesn't. #}
{% macro seen_share(yes, no, days) -%}
    case
            when {{ days }} < {{ var('evidence_at_least_days') }} then null
            when {{ yes }} >= {{ var('agreement') }} * ({{ yes }} + {{ no }}) then true
            when {{ no }} >= {{ var('agreement') }} * ({{ yes }} + {{ no }}) then false
        end
{%- endmacro %}

{# Share of the evidence that agrees with its majority. #}
{% macro agreement_of(yes, no) -%}
    greatest({{ yes }}, {{ no }}) / nullif({{ yes }} + {{ no }}, 0)
{%- endmacro %}
