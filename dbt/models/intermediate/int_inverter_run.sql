{{ config(materialized='table') }}
-- The runs of int_inverter_run_day, judged: how long a standby lasted, and what the counter did over a silence, from the
-- reading before it to the reading after it, nights included. Rules: docs/figures.md 2.
with runs as (

    select
        *,
        -- A silence goes on over the night unless anything was heard between: that parts it.
        sent_as = 'no data'
        and touches_morning
        and coalesce(
            lag(sent_as) over by_device = 'no data'
            and lag(touches_evening) over by_device
            and lag(local_date) over by_device = local_date - 1
            and coalesce(heard_before_utc < lag(end_utc) over by_device, true),
            false
        ) as goes_on
    from {{ ref('int_inverter_run_day') }}
    window by_device as (
        partition by plant_code, device_id
        order by start_utc
    )

),

numbered as (

    select
        *,
        case when potential_slots >= 0.8 * slots then potential_kwh * slots / potential_slots end as whole_kwh,
        sum((not goes_on)::integer) over (
            partition by plant_code, device_id
            order by start_utc
        ) as gap_number
    from runs

),

gaps as (

    select
        *,
        sum(slots) over by_gap as gap_slots,
        sum(potential_slots) over by_gap as gap_potential_slots,
        sum(potential_kwh) over by_gap as gap_potential_kwh,
        first_value(dim_before_kwh) over by_gap + sum(dim_own_kwh) over by_gap + last_value(dim_after_kwh) over by_gap
            as gap_dim_kwh,
        -- The counter's step holds the slot of the reading after the gap, too; a dim one is among those already.
        (last_value(daylight_after) over by_gap)::integer as slots_more,
        last_value(counter_after_kwh) over by_gap - first_value(counter_before_kwh) over by_gap as counter_step_kwh,
        max(inputs_changed_at_utc) over by_gap as gap_changed_at_utc
    from numbered
    window by_gap as (
        partition by plant_code, device_id, gap_number
        order by start_utc
        rows between unbounded preceding and unbounded following
    )

),

reckoned as (

    select
        *,
        -- What part of the potential in daylight is known stands for all of it.
        case
            when sent_as = 'no data' and gap_potential_slots >= 0.8 * gap_slots and gap_potential_kwh > 0
            then gap_potential_kwh / gap_potential_slots * (gap_slots + slots_more) + gap_dim_kwh
        end as whole_potential_kwh
    from gaps

),

shares as (

    select
        *,
        counter_step_kwh / whole_potential_kwh as counter_share
    from reckoned

)

select
    plant_code,
    local_date,
    device_id,
    run_number,
    start_utc,
    end_utc,
    slots,
    sent_as,
    case
        when sent_as = 'standby' then if(slots * 5 > 30, 'down', 'excluded')
        when sent_as = 'no data' and counter_share >= 0.8 then 'up'
        when sent_as = 'no data' and counter_share between 0 and 0.05 then 'down'
        when sent_as = 'no data' then 'unknown'
        else sent_as
    end as availability,
    case
        when sent_as = 'standby' and slots * 5 <= 30 then 'starting'
        when sent_as = 'no data' and counter_share between 0 and 0.05 then 'silent and down'
        else sent_cause
    end as cause_group,
    inverter_state_code,
    touches_morning,
    touches_evening,
    -- Who is silent tells no power: the counter's step over the gap, shared out by what each part could have given, else
    -- by length.
    case
        when sent_as != 'no data' then own_kwh
        when counter_step_kwh >= 0
        then counter_step_kwh * coalesce(whole_kwh / whole_potential_kwh, slots / (gap_slots + slots_more))
    end as own_kwh,
    whole_kwh as potential_kwh,
    case when sent_as = 'no data' then counter_step_kwh end as counter_step_kwh,
    counter_share,
    below_kwh,
    clipped_slots,
    clipped_kwh,
    clipping_is_known,
    stateless_slots,
    gap_changed_at_utc as inputs_changed_at_utc,
    signature
from shares
