{{ config(materialized='table') }}
-- What the judgement of a plant's day depends on beyond its rows: which inverters are expected and how large they are,
-- which strings are in use, how the plant did in the 30 days before, and until when it was asked.
with month_before as (

    select
        plant_code,
        local_date,
        count(*) filter (where pr_inputs_complete) over before as pr_days,
        -- Six digits: the order in which sums are made must not change what depends on them.
        round(
            sum(pv_energy_kwh) filter (where pr_inputs_complete) over before
            / sum(p0_kwp * irradiation_kwh_m2) filter (where pr_inputs_complete) over before, 6
        ) as pr
    from {{ ref('int_plant_report_day') }}
    window before as (
        partition by plant_code
        order by local_date
        range between interval 30 days preceding and interval 1 day preceding
    )

),

inverters as (

    select
        expected.plant_code,
        expected.local_date,
        hash(string_agg(
            concat_ws(
                ' ', ratings.device_id, ratings.p0_kwp, ratings.ac_kw, epoch(expected.owes_from_utc),
                epoch(expected.owes_until_utc)
            ), ';'
            order by ratings.device_id
        )) as digest
    from {{ ref('int_inverter_expected') }} as expected
    inner join {{ ref('int_inverter_rating') }} as ratings
        on expected.device_id = ratings.device_id
    group by
        expected.plant_code,
        expected.local_date

),

strings as (

    select
        plant_code,
        local_date,
        hash(string_agg(concat_ws(' ', device_id, pv_input), ';' order by device_id, pv_input)) as digest
    from {{ ref('int_string_used') }}
    group by
        plant_code,
        local_date

)

select
    days.* exclude (signature),
    -- Fewer days say little of what the plant can do.
    case when month_before.pr_days >= {{ var('trailing_pr_days') }} then month_before.pr end as trailing_pr,
    hash(
        days.signature,
        days.asked_until_utc,
        inverters.digest,
        strings.digest,
        case when month_before.pr_days >= {{ var('trailing_pr_days') }} then month_before.pr end
    ) as signature
from {{ ref('int_day_inputs') }} as days
left join month_before
    on
        days.plant_code = month_before.plant_code
        and days.local_date = month_before.local_date
left join inverters
    on
        days.plant_code = inverters.plant_code
        and days.local_date = inverters.local_date
left join strings
    on
        days.plant_code = strings.plant_code
        and days.local_date = strings.local_date
