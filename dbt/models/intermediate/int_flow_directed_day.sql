-- The flows of each meter and battery on a plant's day, brought to import and export, charge and discharge by what
-- ops.conventions says of the device.
with conventions as (

    select * from {{ ref('conventions') }}

),

-- Where the sun never sinks 6 degrees below the horizon, nothing is bought in the dark.
flows as (

    select
        days.*,
        coalesce(plant_days.dusk_utc - plant_days.dawn_utc >= interval 24 hours, false) as has_no_dark
    from {{ ref('int_flow_day') }} as days
    left join {{ ref('int_plant_day') }} as plant_days
        on
            days.plant_code = plant_days.plant_code
            and days.local_date = plant_days.local_date

),

totals as (

    select
        days.*,
        coalesce(conventions.counter_kind, 'unknown') as counter_kind,
        conventions.power_sign,
        conventions.power_unit_factor,
        conventions.import_counter,
        conventions.meter_role,
        {% for c in ['a', 'b'] -%}
        {% for night in ['', 'night_'] -%}
        case
            {% if night -%}
            -- Nobody read at night: what was bought then is not 0.
            when
                not days.has_no_dark
                and coalesce(
                    days.{{ c }}_night_within_kwh,
                    days.{{ c }}_night_over_gaps_kwh,
                    case
                        when conventions.counter_kind = 'daily' then days.{{ c }}_night_midnight_value_kwh
                        else coalesce(days.{{ c }}_night_midnight_step_kwh, days.{{ c }}_night_midnight_over_gap_kwh)
                    end
                ) is null
                then null
            {% endif -%}
            -- Null without two readings, or without one of a counter that began at midnight.
            when conventions.counter_kind = 'daily'
            then case
                when coalesce(days.{{ c }}_within_kwh, days.{{ c }}_over_gaps_kwh, days.{{ c }}_midnight_value_kwh) is not null
                then
                    coalesce(days.{{ c }}_{{ night }}within_kwh, 0)
                    + coalesce(days.{{ c }}_{{ night }}over_gaps_kwh, 0)
                    + coalesce(days.{{ c }}_{{ night }}midnight_value_kwh, 0)
            end
            when
                coalesce(
                    days.{{ c }}_within_kwh,
                    days.{{ c }}_over_gaps_kwh,
                    days.{{ c }}_midnight_step_kwh,
                    days.{{ c }}_midnight_over_gap_kwh
                ) is not null
            then
                coalesce(days.{{ c }}_{{ night }}within_kwh, 0)
                + coalesce(days.{{ c }}_{{ night }}over_gaps_kwh, 0)
                + coalesce(days.{{ c }}_{{ night }}midnight_step_kwh, 0)
                + coalesce(days.{{ c }}_{{ night }}midnight_over_gap_kwh, 0)
        end as {{ c }}_{{ night }}kwh,
        {% endfor -%}
        {% endfor -%}
        days.a_falls_within + days.b_falls_within
        + case
            when conventions.counter_kind = 'lifetime' then days.a_falls_at_midnight + days.b_falls_at_midnight
            else 0
        end as counter_falls
    from flows as days
    left join conventions
        on days.device_id = conventions.device_id

)

select
    plant_code,
    local_date,
    device_id,
    device_type_id,
    kind,
    meter_role,
    counter_kind,
    case
        when kind = 'battery' then a_kwh
        when import_counter = 'forward' then a_kwh
        when import_counter = 'reverse' then b_kwh
    end as in_kwh,
    case
        when kind = 'battery' then b_kwh
        when import_counter = 'forward' then b_kwh
        when import_counter = 'reverse' then a_kwh
    end as out_kwh,
    case
        when not sun_is_known then null
        when kind = 'battery' then a_night_kwh
        when import_counter = 'forward' then a_night_kwh
        when import_counter = 'reverse' then b_night_kwh
    end as night_in_kwh,
    -- By power: positive is export at a meter, charge at a battery.
    power_unit_factor * case power_sign when 1 then positive_power_kwh when -1 then negative_power_kwh end
        as positive_power_kwh,
    power_unit_factor * case power_sign when 1 then negative_power_kwh when -1 then positive_power_kwh end
        as negative_power_kwh,
    power_unit_factor * case power_sign when 1 then max_power_kw when -1 then -min_power_kw end as max_positive_kw,
    power_unit_factor * case power_sign when 1 then -min_power_kw when -1 then max_power_kw end as max_negative_kw,
    counted_hours,
    counter_falls,
    first_soc_pct,
    last_soc_pct,
    min_soc_pct,
    max_soc_pct,
    power_rows,
    inputs_changed_at_utc
from totals
