{{ config(materialized='table') }}
-- What each plant's day of 5-minute rows depends on, as one digest: its rows, polled ones too, those of the days beside
-- it, where the plant stands, and the signs and units that the owner says of its devices, which staging brings in.
with rows_read as (

    select
        plant_code,
        local_date,
        kind,
        history_rows as rows_read,
        history_extracted_at_utc as extracted_at_utc,
        greatest(history_extracted_at_utc, polls_extracted_at_utc) as asked_at_utc,
        0::ubigint as chosen_polls
    from {{ ref('int_day_rows') }}
    union all
    select
        plant_code,
        local_date,
        case
            {% for table, device_type_id, kind in five_minute_kinds() -%}
            when device_type_id = {{ device_type_id }} then '{{ kind }}'
            {% endfor -%}
        end as kind,
        samples as rows_read,
        extracted_at_utc,
        null as asked_at_utc,
        hash(device_id, sample_polls) as chosen_polls
    from {{ ref('int_poll_day') }}
    where samples > 0

),

summed as (

    select
        plant_code,
        local_date,
        {% for kind in ['inverter', 'emi', 'meter', 'battery'] -%}
        coalesce(sum(rows_read) filter (where kind = '{{ kind }}'), 0)::bigint as {{ kind }}_rows,
        {% endfor -%}
        sum(rows_read)::bigint as all_rows,
        max(extracted_at_utc) as inputs_changed_at_utc,
        max(asked_at_utc) as asked_at_utc,
        bit_xor(chosen_polls) as chosen_polls
    from rows_read
    where kind is not null
    group by
        plant_code,
        local_date

),

days as (

    select
        *,
        hash(all_rows, inverter_rows, emi_rows, meter_rows, battery_rows, inputs_changed_at_utc, chosen_polls) as own
    from summed

),

-- An answer without a row for the evening has been asked for the evening all the same.
answers as (

    select
        plant_code,
        period as local_date,
        max(extracted_at) filter (where covered > 0) as last_at_utc
    from {{ source('ops', 'coverage') }}
    where dataset = 'device_history'
    group by
        plant_code,
        period

),

words as (

    select
        devices.plant_code,
        hash(string_agg(
            concat_ws(' ', devices.device_id, overrides.power_sign, overrides.unit), ';'
            order by devices.device_id
        )) as digest
    from {{ source('ops', 'device_overrides') }} as overrides
    inner join {{ ref('stg_devices') }} as devices
        on overrides.device_id = devices.device_id
    where coalesce(overrides.power_sign::varchar, overrides.unit) is not null
    group by devices.plant_code

),

beside as (

    select
        days.*,
        before.own as own_before,
        after.own as own_after,
        greatest(days.inputs_changed_at_utc, before.inputs_changed_at_utc, after.inputs_changed_at_utc)
            as newest_input_at_utc,
        greatest(days.asked_at_utc, answers.last_at_utc) as last_asked_at_utc,
        greatest(before.asked_at_utc, answers_before.last_at_utc) as before_asked_at_utc
    from days
    left join days as before
        on
            days.plant_code = before.plant_code
            and days.local_date = before.local_date + 1
    left join days as after
        on
            days.plant_code = after.plant_code
            and days.local_date = after.local_date - 1
    left join answers
        on
            days.plant_code = answers.plant_code
            and days.local_date = answers.local_date
    left join answers as answers_before
        on
            days.plant_code = answers_before.plant_code
            and days.local_date = answers_before.local_date + 1

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
    -- What was measured later than 15 minutes before the newest answer may not have reached the vendor by then.
    least(plant_days.day_end_utc, beside.last_asked_at_utc - interval 15 minutes) as asked_until_utc,
    beside.before_asked_at_utc - interval 15 minutes >= plant_days.day_start_utc as day_before_is_whole,
    hash(
        beside.before_asked_at_utc - interval 15 minutes >= plant_days.day_start_utc,
        beside.own,
        beside.own_before,
        beside.own_after,
        plant_days.time_zone,
        plant_days.latitude,
        plant_days.longitude,
        words.digest
    ) as signature
from beside
inner join {{ ref('int_plant_day') }} as plant_days
    on
        beside.plant_code = plant_days.plant_code
        and beside.local_date = plant_days.local_date
left join words
    on beside.plant_code = words.plant_code
