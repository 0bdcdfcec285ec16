{{ config(materialized='view') }}
-- Power and counters of meters, brought to import and export by what ops.conventions says of the device.
with readings as not materialized (

    {% for table, device_type_id, kind in five_minute_kinds() if kind == 'meter' -%}
    select
        {{ device_type_id }} as device_type_id,
        rows_read.plant_code,
        rows_read.device_id,
        rows_read.device_sn,
        rows_read.local_date,
        rows_read.local_time,
        rows_read.collect_time_utc,
        rows_read.active_power_kw,
        rows_read.reactive_power_kvar,
        rows_read.power_factor,
        rows_read.forward_active_energy_kwh,
        rows_read.reverse_active_energy_kwh,
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
        {{ previous('forward_active_energy_kwh') }},
        {{ previous('reverse_active_energy_kwh') }},
        {{ previous('active_power_kw') }}
    from filed
    window by_device as (
        partition by plant_code, device_id, filed_on
        order by collect_time_utc
    )

),

judged as (

    select
        with_previous.*,
        {{ interval_start_of('forward_active_energy_kwh') }} as interval_start_utc,
        {{ integral_of('active_power_kw') }} as power_kwh,
        {{ local_day_start('with_previous.filed_on', 'with_previous.time_zone') }} as filed_start_utc,
        {{ local_day_start('(with_previous.filed_on + 1)', 'with_previous.time_zone') }} as filed_end_utc,
        conventions.power_sign,
        conventions.power_unit_factor,
        conventions.import_counter,
        coalesce(conventions.counter_kind, 'unknown') as counter_kind,
        conventions.meter_role
    from with_previous
    left join {{ ref('conventions') }} as conventions
        on with_previous.device_id = conventions.device_id

),

counted as (

    select
        *,
        {{ energy_of('forward_active_energy_kwh') }} as forward_kwh,
        {{ energy_of('reverse_active_energy_kwh') }} as reverse_kwh,
        {{ fell('forward_active_energy_kwh') }} or {{ fell('reverse_active_energy_kwh') }} as counter_fell,
        active_power_kw * power_sign * power_unit_factor as export_positive_kw,
        power_kwh * power_sign * power_unit_factor as export_positive_kwh
    from judged

),

directed as (

    select
        *,
        case import_counter when 'forward' then forward_kwh when 'reverse' then reverse_kwh end as import_kwh,
        case import_counter when 'forward' then reverse_kwh when 'reverse' then forward_kwh end as export_kwh
    from counted

)

select
    plant_code,
    device_id,
    device_sn,
    device_type_id,
    meter_role,
    filed_on as local_date,
    local_time,
    collect_time_utc,
    interval_start_utc,
    collect_time_utc as interval_end_utc,
    case when export_positive_kw is not null then greatest(-export_positive_kw, 0) end as grid_import_kw,
    case when export_positive_kw is not null then greatest(export_positive_kw, 0) end as grid_export_kw,
    active_power_kw as active_power_as_sent_kw,
    reactive_power_kvar,
    power_factor,
    import_kwh as import_energy_kwh,
    export_kwh as export_energy_kwh,
    export_positive_kwh as net_export_from_power_kwh,
    (export_kwh - import_kwh) - export_positive_kwh as energy_difference_kwh,
    counter_fell,
    forward_active_energy_kwh,
    reverse_active_energy_kwh,
    import_counter,
    counter_kind,
    implausible,
    source,
    extracted_at_utc
from directed
where {{ belongs_here() }}
