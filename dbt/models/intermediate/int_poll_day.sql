{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_changed_days(ref('int_day_rows')) }}"
) }}
-- Which polls of each device's day stand for 5-minute slots that history lacks (docs/figures.md 4). A device that was
-- polled has a row, and an empty list once history has it all.
{% set polled = polled_tables() %}
{% set rules = poll_rules() | selectattr('table', 'in', polled) | list %}
{% if not rules -%}
select
    null::varchar as plant_code,
    null::integer as device_type_id,
    null::bigint as device_id,
    null::date as local_date,
    null::bigint as polls,
    null::bigint as samples,
    null::timestamptz[] as sample_polls,
    null::timestamptz as extracted_at_utc,
    null::ubigint as signature
where false
{%- else -%}
with todo as (

    select
        device_type_id,
        plant_code,
        local_date,
        signature
    from {{ ref('int_day_rows') }} as inputs
    where
        poll_rows > 0
        {% if is_incremental() -%}
        -- The signature tells device types apart, too.
        and not exists (
            select 1
            from {{ this }} as made
            where
                inputs.plant_code = made.plant_code
                and inputs.local_date = made.local_date
                and inputs.signature = made.signature
        )
        {%- endif %}

),

history as (

    {% for rule in rules -%}
    select distinct
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.local_date,
        {{ slot_of('rows_read.collect_time_utc') }} as slot_utc
    from {{ ref('stg_device_history_' ~ rule.table) }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
            and todo.device_type_id = {{ rule.device_type_id }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

polls as (

    {% for rule in rules -%}
    select
        rows_read.plant_code,
        {{ rule.device_type_id }} as device_type_id,
        rows_read.device_id,
        rows_read.local_date,
        rows_read.polled_at_utc,
        rows_read.extracted_at_utc,
        {{ slot_of('rows_read.polled_at_utc') }} as slot_utc,
        {{ rule.is_heard }} as is_heard,
        {{ rule.is_telling }} as is_telling,
        hash({{ rule.figures }}) as figures,
        todo.signature
    from {{ ref('stg_device_realtime_' ~ rule.table) }} as rows_read
    inner join todo
        on
            rows_read.plant_code = todo.plant_code
            and rows_read.local_date = todo.local_date
            and todo.device_type_id = {{ rule.device_type_id }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

compared as (

    select
        *,
        coalesce(lag(figures) over polls_of_day, lead(figures) over polls_of_day) as other_figures
    from polls
    window polls_of_day as (
        partition by plant_code, device_id, local_date
        order by polled_at_utc
    )

),

told as (

    select
        *,
        is_heard and not (is_telling and coalesce(figures = other_figures, false)) as tells
    from compared

),

-- The last poll of a slot that tells something.
last_of_slot as (

    select
        *,
        tells and polled_at_utc = max(case when tells then polled_at_utc end) over (
            partition by plant_code, device_id, local_date, slot_utc
        ) as is_last
    from told

),

chosen as (

    select
        last_of_slot.*,
        coalesce(last_of_slot.is_last, false) and history.device_id is null as is_sample
    from last_of_slot
    left join history
        on
            last_of_slot.plant_code = history.plant_code
            and last_of_slot.device_id = history.device_id
            and last_of_slot.local_date = history.local_date
            and last_of_slot.slot_utc = history.slot_utc

)

select
    plant_code,
    device_type_id,
    device_id,
    local_date,
    count(*) as polls,
    count(*) filter (where is_sample) as samples,
    coalesce(
        list(polled_at_utc order by polled_at_utc) filter (where is_sample), []::timestamptz[]
    ) as sample_polls,
    max(extracted_at_utc) filter (where is_sample) as extracted_at_utc,
    any_value(signature) as signature
from chosen
group by
    plant_code,
    device_type_id,
    device_id,
    local_date
{%- endif %}
