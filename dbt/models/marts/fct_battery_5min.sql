{{ config(materialized='view') }}
-- Power, state of charge and counters of batteries; positive power charges, by what ops.conventions says of the device.
with readings as not materialized (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'battery' -%}
    select
        {{ device_type_id }} as device_type_id,
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.device_sn,
        rows_read.local_date,
        rows_read.local_time,
        rows_read.collect_time_utc,
        rows_read.charge_discharge_power_kw,
        rows_read.battery_soc_pct,
        {% if device_type_id == 39 -%}
        rows_read.battery_soh_pct,
        rows_read.battery_status_code,
        rows_read.battery_status,
        rows_read.charge_discharge_mode_code,
        rows_read.charge_discharge_mode,
        rows_read.battery_voltage_v,
        {%- else -%}
        null::double as battery_soh_pct,
        null::integer as battery_status_code,
        null::varchar as battery_status,
        null::integer as charge_discharge_mode_code,
        null::varchar as charge_discharge_mode,
        null::double as battery_voltage_v,
        {%- endif %}
        rows_read.charged_energy_kwh,
        rows_read.discharged_energy_kwh,
        rows_read.implausible,
        rows_read.extracted_at_utc,
        rows_read.source,
        plants.time_zone
    from {{ five_minutes(table) }} as rows_read
    left join {{ ref('stg_plants') }} as plants
        on rows_read.plant_code = plants.plant_code
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor %}
),

{{ filed_both_ways() }},

with_previous as (

    select
        *,
        {{ previous('charged_energy_kwh') }},
        {{ previous('discharged_energy_kwh') }},
        {{ previous('charge_discharge_power_kw') }}
    from filed
    window by_device as (
        partition by plant_code, device_id, filed_on
        order by collect_time_utc
    )

),

judged as (

    select
        with_previous.*,
        {{ interval_start_of('charged_energy_kwh') }} as interval_start_utc,
        {{ integral_of('charge_discharge_power_kw') }} as power_kwh,
        {{ local_day_start('with_previous.filed_on', 'with_previous.time_zone') }} as filed_start_utc,
        {{ local_day_start('(with_previous.filed_on + 1)', 'with_previous.time_zone') }} as filed_end_utc,
        conventions.power_sign * conventions.power_unit_factor as power_factor_seen,
        coalesce(conventions.counter_kind, 'unknown') as counter_kind
    from with_previous
    left join {{ ref('conventions') }} as conventions
        on with_previous.device_id = conventions.device_id

),

counted as (

    select
        *,
        {{ energy_of('charged_energy_kwh') }} as charged_kwh,
        {{ energy_of('discharged_energy_kwh') }} as discharged_kwh,
        {{ fell('charged_energy_kwh') }} or {{ fell('discharged_energy_kwh') }} as counter_fell,
        charge_discharge_power_kw * power_factor_seen as battery_power_kw,
        power_kwh * power_factor_seen as charge_positive_kwh
    from judged

)

select
    plant_code,
    device_id,
    device_sn,
    device_type_id,
    filed_on as local_date,
    local_time,
    collect_time_utc,
    interval_start_utc,
    collect_time_utc as interval_end_utc,
    battery_power_kw,
    charge_discharge_power_kw as power_as_sent_kw,
    battery_soc_pct,
    battery_soh_pct,
    battery_voltage_v,
    battery_status_code,
    battery_status,
    charge_discharge_mode_code,
    charge_discharge_mode,
    charged_kwh as charge_energy_kwh,
    discharged_kwh as discharge_energy_kwh,
    charge_positive_kwh as net_charge_from_power_kwh,
    (charged_kwh - discharged_kwh) - charge_positive_kwh as energy_difference_kwh,
    counter_fell,
    charged_energy_kwh as charge_counter_kwh,
    discharged_energy_kwh as discharge_counter_kwh,
    counter_kind,
    implausible,
    source,
    extracted_at_utc
from counted
where {{ belongs_here() }}
