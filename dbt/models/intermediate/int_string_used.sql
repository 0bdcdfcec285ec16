{{ config(materialized='table') }}
-- A PV input is in use if it carried more than 0.5 A on at least 3 of the last 60 days. One that was dead from the
-- first day on can't be told from one that nothing is connected to.
with active as (

    select
        plant_code,
        device_id,
        local_date,
        unnest(active_inputs) as pv_input
    from {{ ref('int_string_activity') }}

),

days as (

    select distinct
        inverters.plant_code,
        inverters.device_id,
        inverters.local_date,
        active.pv_input
    from {{ ref('int_string_activity') }} as inverters
    inner join (select distinct device_id, pv_input from active) as active
        on inverters.device_id = active.device_id

),

counted as (

    select
        days.*,
        count(active.local_date) over (
            partition by days.device_id, days.pv_input
            order by days.local_date
            range between interval 59 days preceding and current row
        ) as active_days
    from days
    left join active
        on
            days.device_id = active.device_id
            and days.pv_input = active.pv_input
            and days.local_date = active.local_date

)

select
    plant_code,
    device_id,
    local_date,
    pv_input,
    active_days
from counted
where active_days >= {{ var('string_active_days') }}
