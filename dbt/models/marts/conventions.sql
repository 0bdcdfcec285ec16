{{ config(schema='ops', materialized='table') }}
-- What each meter's and battery's figures mean, by the evidence of its last 90 days with any, or by the owner's word.
with days as (

    select
        *,
        coalesce(a_first_kwh, 0) + coalesce(b_first_kwh, 0) as first_kwh,
        lag(coalesce(a_last_kwh, 0) + coalesce(b_last_kwh, 0)) over by_device as last_kwh_before,
        lag(local_date) over by_device as date_before
    from {{ ref('int_flow_day') }}
    window by_device as (
        partition by device_id
        order by local_date
    )
    qualify row_number() over (
        partition by device_id
        order by local_date desc
    ) <= {{ var('evidence_days') }}

),

votes as (

    select
        device_id,
        any_value(device_type_id) as device_type_id,
        any_value(kind) as kind,
        arg_max(plant_code, local_date) as plant_code,
        {% for name, yes, no in [
            ('positive_is_a', 'positive_is_a_rows', 'positive_is_b_rows'),
            ('positive_charges', 'positive_charges_rows', 'positive_discharges_rows'),
            ('a_is_import', 'a_at_night_rows', 'b_at_night_rows'),
        ] -%}
        sum({{ yes }})::bigint as {{ name }}_yes,
        sum({{ no }})::bigint as {{ name }}_no,
        count(*) filter (where {{ yes }} + {{ no }} > 0) as {{ name }}_days,
        {% endfor -%}
        -- A day speaks of the unit if enough has flowed to compare.
        count(*) filter (where compared_counter_kwh >= 0.1) as unit_days,
        count(*) filter (
            where compared_counter_kwh >= 0.1 and compared_power_kwh / compared_counter_kwh between 0.5 and 2
        ) as unit_is_right_days,
        count(*) filter (
            where compared_counter_kwh >= 0.1 and compared_power_kwh / compared_counter_kwh between 500 and 2000
        ) as power_in_w_days,
        count(*) filter (
            where compared_counter_kwh >= 0.1 and compared_power_kwh / compared_counter_kwh between 0.0005 and 0.002
        ) as power_in_kw_days,
        count(*) filter (where date_before = local_date - 1 and last_kwh_before > 0) as counter_days,
        count(*) filter (where date_before = local_date - 1 and last_kwh_before > 0 and first_kwh < last_kwh_before)
            as daily_counter_days,
        min(local_date) as evidence_from,
        max(local_date) as evidence_to,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from days
    group by device_id

),

seen as (

    select
        *,
        {{ seen_share('positive_is_a_yes', 'positive_is_a_no', 'positive_is_a_days') }} as positive_is_a,
        {{ seen_share('positive_charges_yes', 'positive_charges_no', 'positive_charges_days') }} as positive_charges,
        {{ seen_share('a_is_import_yes', 'a_is_import_no', 'a_is_import_days') }} as a_is_import,
        case
            when unit_days < {{ var('evidence_at_least_days') }} then null
            when unit_is_right_days >= {{ var('agreement') }} * unit_days then 1.0::double
            when power_in_w_days >= {{ var('agreement') }} * unit_days then 0.001::double
            when power_in_kw_days >= {{ var('agreement') }} * unit_days then 1000.0::double
        end as seen_unit_factor,
        case
            when counter_days < {{ var('evidence_at_least_days') }} then null
            when daily_counter_days >= {{ var('agreement') }} * counter_days then 'daily'
            when daily_counter_days <= (1 - {{ var('agreement') }}) * counter_days then 'lifetime'
        end as counter_kind
    from votes

),

judged as (

    select
        seen.*,
        overrides.power_sign as set_sign,
        overrides.unit as set_unit,
        overrides.meter_role,
        -- The factor that makes the staged power positive for export or charging. Staging has turned it already where
        -- the owner gave a sign, so what is seen then has to be 1.
        case
            when kind = 'battery' then case positive_charges when true then 1 when false then -1 end
            else case positive_is_a != a_is_import when true then 1 when false then -1 end
        end as seen_sign,
        case
            when kind = 'battery' then 'state_of_charge'
            else 'counters'
        end as sign_evidence,
        case
            when kind = 'battery' then positive_charges_yes + positive_charges_no
            else least(positive_is_a_yes + positive_is_a_no, a_is_import_yes + a_is_import_no)
        end as sign_evidence_rows,
        case
            when kind = 'battery' then positive_charges_days
            else least(positive_is_a_days, a_is_import_days)
        end as sign_evidence_days,
        case
            when kind = 'battery' then {{ agreement_of('positive_charges_yes', 'positive_charges_no') }}
            else least(
                {{ agreement_of('positive_is_a_yes', 'positive_is_a_no') }},
                {{ agreement_of('a_is_import_yes', 'a_is_import_no') }}
            )
        end as sign_agreement,
        -- With the owner's sign positive is export, so the counter that positive power moves is the export's.
        case
            when overrides.power_sign is not null then not positive_is_a
            else a_is_import
        end as forward_is_import
    from seen
    left join {{ source('ops', 'device_overrides') }} as overrides
        on seen.device_id = overrides.device_id

)

select
    device_id,
    device_type_id,
    kind as device_kind,
    plant_code,
    case when set_sign is not null then 1 else seen_sign end as power_sign,
    case when set_sign is not null then 'devices_file' when seen_sign is not null then sign_evidence else 'unknown' end
        as power_sign_source,
    sign_evidence_rows as power_sign_evidence_rows,
    sign_evidence_days as power_sign_evidence_days,
    sign_agreement as power_sign_agreement,
    case when set_unit is not null then 1.0::double else seen_unit_factor end as power_unit_factor,
    case when set_unit is not null then 'devices_file' when seen_unit_factor is not null then 'counters' else 'unknown' end
        as power_unit_source,
    unit_days as power_unit_evidence_days,
    {{ share('greatest(unit_is_right_days, power_in_w_days, power_in_kw_days)', 'unit_days') }} as power_unit_agreement,
    case
        when kind = 'meter' then case forward_is_import when true then 'forward' when false then 'reverse' end
    end as import_counter,
    case
        when kind != 'meter' then null
        when forward_is_import is null then 'unknown'
        when set_sign is not null then 'devices_file'
        else 'night'
    end as import_counter_source,
    case when kind = 'meter' then a_is_import_yes + a_is_import_no end as import_counter_evidence_rows,
    case when kind = 'meter' then a_is_import_days end as import_counter_evidence_days,
    case when kind = 'meter' then {{ agreement_of('a_is_import_yes', 'a_is_import_no') }} end
        as import_counter_agreement,
    coalesce(counter_kind, 'unknown') as counter_kind,
    counter_days as counter_kind_evidence_days,
    {{ share('greatest(daily_counter_days, counter_days - daily_counter_days)', 'counter_days') }}
        as counter_kind_agreement,
    meter_role,
    coalesce(set_sign is not null and seen_sign = -1, false) as sign_contradicts_setting,
    coalesce(set_unit is not null and seen_unit_factor != 1, false) as unit_contradicts_setting,
    evidence_from,
    evidence_to,
    inputs_changed_at_utc
from judged
