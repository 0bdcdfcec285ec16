{{ config(materialized='table') }}
-- What each plant's day of 5-minute rows depends on, as one digest: its rows, those of the days beside it, and where
-- the plant stands.
with days as (

    select
        *,
        hash(all_rows, inverter_rows, emi_rows, meter_rows, battery_rows, inputs_changed_at_utc) as own
    from {{ ref('int_day_rows') }}

),

beside as (

    select
        days.*,
        before.own as own_before,
        after.own as own_after,
        greatest(days.inputs_changed_at_utc, before.inputs_changed_at_utc, after.inputs_changed_at_utc)
            as newest_input_at_utc
    from days
    left join days as before
        on
            days.plant_code = before.plant_code
            and days.local_date = before.local_date + 1
    left join days as after
        on
            days.plant_code = after.plant_code
            and days.local_date = after.local_date - 1

)

select
    beside.plant_code,
    beside.local_date,
    plant_days.time_zone,
    plant_days.latitude,
    plant_days.longitude,
    plant_days.day_start_utc,
    plant_days.day_end_utc,
    plant_days.day_slots,
    beside.all_rows,
    beside.inverter_rows,
    beside.emi_rows,
    beside.meter_rows,
    beside.battery_rows,
    beside.meter_rows + beside.battery_rows as flow_rows,
    beside.meter_rows + beside.inverter_rows as hour_rows,
    beside.newest_input_at_utc as inputs_changed_at_utc,
    hash(
        beside.own,
        beside.own_before,
        beside.own_after,
        plant_days.time_zone,
        plant_days.latitude,
        plant_days.longitude
    ) as signature
from beside
inner join {{ ref('int_plant_day') }} as plant_days
    on
        beside.plant_code = plant_days.plant_code
        and beside.local_date = plant_days.local_date
