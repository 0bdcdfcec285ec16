{{ config(materialized='table') }}
-- Energies and ratios of the daily report, and how far to trust them, per plant and local day. Rules: docs/figures.md.
with days as (

    select * from {{ ref('int_plant_day') }}

),

reports as (

    -- A server that changes how it labels days leaves two rows for one: the newest counts.
    select *
    from {{ ref('stg_plant_daily') }}
    qualify row_number() over (
        partition by plant_code, local_date
        order by extracted_at_utc desc, collect_time_utc desc
    ) = 1

),

plants as (

    select
        plants.plant_code,
        plants.plant_name,
        plants.capacity_kwp,
        overrides.dc_kwp,
        overrides.irradiance_plane
    from {{ ref('stg_plants') }} as plants
    left join {{ source('ops', 'plant_overrides') }} as overrides
        on plants.plant_code = overrides.plant_code

),

equipment as (

    select
        plant_code,
        bool_or(device_type_id in (39, 41)) as has_battery,
        bool_or(device_type_id in (17, 47)) as has_meter,
        bool_or(device_type_id in (1, 38)) as has_inverter,
        bool_or(device_type_id = 10) as has_emi
    from {{ ref('stg_devices') }}
    group by plant_code

),

-- How many slots the devices of each kind owe: all of the day, but for those that came or went.
expected as (

    select
        days.plant_code,
        days.local_date,
        {% for kind, start, end, whole in [
            ('inverter', 'inverter_daylight_start_utc', 'inverter_daylight_end_utc', 'inverter_slots'),
            ('emi', 'sunrise_utc', 'sunset_utc', 'sun_slots'),
            ('meter', 'day_start_utc', "day_end_utc - interval 5 minutes", 'day_slots'),
            ('battery', 'day_start_utc', "day_end_utc - interval 5 minutes", 'day_slots'),
        ] -%}
        sum(
            case
                when days.{{ whole }} is null then null
                when spans.owes_from_utc is null and spans.owes_until_utc is null then days.{{ whole }}
                else least(
                    days.{{ whole }},
                    greatest(0, {{ slots_between(
                        'greatest(days.' ~ start ~ ', spans.owes_from_utc)', 'least(days.' ~ end ~ ', spans.owes_until_utc)'
                    ) }})
                )
            end
        ) filter (where spans.kind = '{{ kind }}')::bigint as {{ kind }}_slots{{ ',' if not loop.last }}
        {% endfor %}
    from days
    inner join {{ ref('int_device_span') }} as spans
        on days.plant_code = spans.plant_code
    group by
        days.plant_code,
        days.local_date

),

received as (

    select
        device_days.plant_code,
        device_days.local_date,
        sum(least(device_days.inverter_daylight_rows, days.inverter_slots))
            filter (where device_days.kind = 'inverter') as inverter_slots,
        sum(least(device_days.sun_rows, days.sun_slots)) filter (where device_days.kind = 'emi') as emi_slots,
        sum(least(device_days.day_rows, days.day_slots)) filter (where device_days.kind = 'meter') as meter_slots,
        sum(least(device_days.day_rows, days.day_slots)) filter (where device_days.kind = 'battery')
            as battery_slots
    from {{ ref('int_device_day') }} as device_days
    inner join days
        on
            device_days.plant_code = days.plant_code
            and device_days.local_date = days.local_date
    group by
        device_days.plant_code,
        device_days.local_date

),

-- The plant's irradiation by its best sensor of the day.
emi as (

    select *
    from {{ ref('int_emi_day') }}
    qualify row_number() over (
        partition by plant_code, local_date
        order by
            coalesce(irradiance_share, 0) desc,
            coalesce(counter_share, 0) desc,
            device_id asc
    ) = 1

),

coverage as (

    select
        plant_code,
        period as local_date,
        max(state) filter (where dataset = 'plant_daily') as report_state,
        max(state) filter (where dataset = 'device_history') as history_state,
        bool_or(covered > 0) filter (where dataset = 'device_history') as history_was_read,
        bool_or(covered >= wanted) filter (where dataset = 'device_history') as history_is_loaded
    from {{ source('ops', 'coverage') }}
    where dataset in ('plant_daily', 'device_history')
    group by
        plant_code,
        period

),

joined as (

    select
        days.plant_code,
        plants.plant_name,
        days.local_date,
        days.time_zone,
        days.day_start_utc,
        days.day_end_utc,
        days.day_slots,
        {{ sun_stays_down('days') }} as sun_stays_down,
        days.latitude,
        days.longitude,
        reports.pv_yield_kwh,
        reports.inverter_yield_kwh as ac_energy_kwh,
        reports.inverter_yield_inaccurate_kwh,
        nullif(greatest(plants.dc_kwp, 0), 0) as owner_kwp,
        nullif(greatest(reports.installed_capacity_kwp, 0), 0) as report_kwp,
        nullif(greatest(plants.capacity_kwp, 0), 0) as listed_kwp,
        plants.irradiance_plane,
        reports.specific_yield_kwh_kwp as specific_yield_vendor_kwh_kwp,
        reports.performance_ratio_pct as pr_vendor_pct,
        nullif(reports.global_irradiation_kwh_m2, 0) as report_irradiation_kwh_m2,
        reports.theoretical_yield_kwh,
        reports.feed_in_energy_kwh,
        reports.purchased_energy_kwh,
        reports.consumption_kwh,
        reports.self_used_pv_energy_kwh,
        reports.self_provided_energy_kwh,
        reports.charged_energy_kwh as battery_charged_energy_kwh,
        reports.discharged_energy_kwh as battery_discharged_energy_kwh,
        reports.revenue,
        reports.implausible,
        reports.extracted_at_utc,
        -- A report that was read before its day was over says how far the day had come.
        coalesce(reports.extracted_at_utc < days.day_end_utc, false) as is_running,
        -- A plant whose devices are not known may have a battery. What charges has one, listed or not.
        case
            when reports.charged_energy_kwh > 0 or reports.discharged_energy_kwh > 0 then true
            else equipment.has_battery
        end as has_battery,
        equipment.has_meter,
        equipment.has_emi,
        equipment.has_inverter,
        emi.device_id as emi_device_id,
        emi.irradiance_sum_kwh_m2,
        emi.irradiance_share,
        emi.counter_kwh_m2,
        emi.counter_share,
        coverage.report_state,
        coverage.history_state,
        coalesce(coverage.history_is_loaded, false) as history_is_loaded,
        coalesce(coverage.history_was_read, false) or received.plant_code is not null as history_was_read,
        nullif(expected.inverter_slots, 0) as inverter_slots_expected,
        coalesce(received.inverter_slots, 0) as inverter_slots_received,
        {{ share('coalesce(received.emi_slots, 0)', 'expected.emi_slots') }} as emi_share,
        {{ share('coalesce(received.meter_slots, 0)', 'expected.meter_slots') }} as meter_share,
        {{ share('coalesce(received.battery_slots, 0)', 'expected.battery_slots') }} as battery_share
    from days
    left join plants
        on days.plant_code = plants.plant_code
    left join reports
        on
            days.plant_code = reports.plant_code
            and days.local_date = reports.local_date
    left join equipment
        on days.plant_code = equipment.plant_code
    left join expected
        on
            days.plant_code = expected.plant_code
            and days.local_date = expected.local_date
    left join received
        on
            days.plant_code = received.plant_code
            and days.local_date = received.local_date
    left join emi
        on
            days.plant_code = emi.plant_code
            and days.local_date = emi.local_date
    left join coverage
        on
            days.plant_code = coverage.plant_code
            and days.local_date = coverage.local_date

),

chosen as (

    select
        *,
        case
            when pv_yield_kwh is not null then 'pv_yield'
            when has_battery = false and ac_energy_kwh is not null then 'inverter_yield'
        end as pv_energy_source,
        case
            when owner_kwp is not null then 'plants_file'
            when report_kwp is not null then 'daily_report'
            when listed_kwp is not null then 'plant_list'
        end as p0_source,
        coalesce(owner_kwp, report_kwp, listed_kwp) as p0_kwp,
        case
            when irradiance_share >= {{ var('complete_share') }} then 'irradiance'
            when counter_kwh_m2 is not null then 'sensor_counter'
            when report_irradiation_kwh_m2 is not null then 'report'
        end as irradiation_source,
        case
            when history_was_read then {{ share('inverter_slots_received', 'inverter_slots_expected') }}
        end as inverter_completeness
    from joined

),

measured as (

    select
        *,
        case pv_energy_source
            when 'pv_yield' then pv_yield_kwh
            when 'inverter_yield' then ac_energy_kwh
        end as pv_energy_kwh,
        case irradiation_source
            when 'irradiance' then irradiance_sum_kwh_m2
            when 'sensor_counter' then counter_kwh_m2
            when 'report' then report_irradiation_kwh_m2
        end as irradiation_kwh_m2,
        case irradiation_source
            when 'irradiance' then irradiance_share
            when 'sensor_counter' then counter_share
            when 'report' then irradiance_share
        end as irradiation_completeness,
        greatest(owner_kwp, report_kwp, listed_kwp) - least(owner_kwp, report_kwp, listed_kwp) > 0.01 * p0_kwp
            as p0_differs
    from chosen

),

judged as (

    select
        *,
        -- The report counts energy whatever we received of the 5-minute rows; once all of them are loaded, a hole
        -- in them is a hole in what the plant sent. A plant without inverters of the vendor's sends none of them.
        -- Nobody tells the completeness of the report's irradiation.
        coalesce(
            pv_energy_kwh is not null
            and not is_running
            and irradiation_kwh_m2 > 0
            and (
                not history_is_loaded
                or not has_inverter
                or inverter_completeness >= {{ var('complete_share') }}
            )
            and coalesce(irradiation_completeness, if(irradiation_source = 'report', 1, 0))
                >= {{ var('complete_share') }},
            false
        ) as pr_inputs_complete
    from measured

),

ratios as (

    select
        *,
        case when pr_inputs_complete then {{ percent('pv_energy_kwh', '(p0_kwp * irradiation_kwh_m2)') }} end as pr_pct,
        coalesce(irradiance_plane = 'poa', false) as plane_is_poa
    from judged

)

select
    plant_code,
    plant_name,
    local_date,
    time_zone,
    day_start_utc,
    day_end_utc,
    latitude,
    longitude,
    pv_energy_kwh,
    pv_energy_source,
    ac_energy_kwh,
    inverter_yield_inaccurate_kwh,
    p0_kwp,
    p0_source,
    coalesce(p0_differs, false) as p0_differs,
    pv_energy_kwh / p0_kwp as specific_yield_kwh_kwp,
    specific_yield_vendor_kwh_kwp,
    irradiation_kwh_m2,
    irradiation_source,
    case when irradiation_source in ('irradiance', 'sensor_counter') then emi_device_id end as irradiation_device_id,
    irradiation_completeness,
    irradiance_sum_kwh_m2 as irradiation_from_irradiance_kwh_m2,
    counter_kwh_m2 as irradiation_from_counter_kwh_m2,
    irradiance_sum_kwh_m2 - counter_kwh_m2 as irradiation_difference_kwh_m2,
    case when plane_is_poa then pr_pct end as pr_poa_pct,
    case when not plane_is_poa then pr_pct end as pr_unverified_plane_pct,
    pr_vendor_pct,
    pr_inputs_complete,
    theoretical_yield_kwh,
    feed_in_energy_kwh,
    purchased_energy_kwh,
    consumption_kwh,
    self_used_pv_energy_kwh,
    self_provided_energy_kwh,
    case when has_meter then {{ percent('self_used_pv_energy_kwh', 'pv_energy_kwh') }} end as self_consumption_pct,
    case when has_meter then {{ percent('self_provided_energy_kwh', 'consumption_kwh') }} end as self_sufficiency_pct,
    battery_charged_energy_kwh,
    battery_discharged_energy_kwh,
    revenue,
    has_battery,
    has_meter,
    has_emi,
    has_inverter,
    day_slots,
    inverter_slots_expected,
    case when history_was_read then inverter_slots_received end::bigint as inverter_slots_received,
    inverter_completeness,
    case when history_was_read then emi_share end as emi_completeness,
    case when history_was_read then meter_share end as meter_completeness,
    case when history_was_read then battery_share end as battery_completeness,
    coalesce(report_state, 'missing') as report_state,
    coalesce(history_state, 'missing') as history_state,
    coalesce(report_state, 'missing') not in ('final', 'empty', 'denied')
        or coalesce(history_state = 'provisional', false) as is_provisional,
    is_running,
    nullif(concat_ws(
        '; ',
        case
            when pv_energy_kwh is null and ac_energy_kwh is null then 'pv_energy: no report'
            when pv_energy_kwh is null then 'pv_energy: no PV yield, and a battery may stand behind the inverter'
        end,
        case when p0_kwp is null then 'specific_yield: no capacity' end,
        case
            when irradiation_kwh_m2 is null then 'performance_ratio: no irradiation'
            when is_running then 'performance_ratio: the report was read before the day was over'
            when not pr_inputs_complete then 'performance_ratio: energy or irradiation not complete'
            when p0_kwp is null then 'performance_ratio: no capacity'
        end,
        case
            when has_meter is null then 'self_consumption: devices not known'
            when not has_meter then 'self_consumption: no meter'
            when self_used_pv_energy_kwh is null then 'self_consumption: no meter figures in the report'
            when pv_energy_kwh is null then 'self_consumption: no PV energy known'
            when pv_energy_kwh = 0 then 'self_consumption: no PV energy on that day'
        end,
        case
            when has_meter is null then 'self_sufficiency: devices not known'
            when not has_meter then 'self_sufficiency: no meter'
            when self_provided_energy_kwh is null or consumption_kwh is null
                then 'self_sufficiency: no meter figures in the report'
            when consumption_kwh = 0 then 'self_sufficiency: nothing was consumed on that day'
        end,
        case
            when has_inverter = false then 'completeness: no inverter'
            when sun_stays_down then 'completeness: no daylight'
            when not history_was_read then 'completeness: no 5-minute history read'
            when history_was_read and inverter_completeness is null then 'completeness: daylight not known'
        end
    ), '') as kpi_gaps,
    nullif(concat_ws(
        '; ',
        case when p0_differs then 'capacities differ by more than 1 %' end,
        case when self_used_pv_energy_kwh < 0 then 'negative self_used_pv_energy_kwh' end,
        case when self_provided_energy_kwh < 0 then 'negative self_provided_energy_kwh' end,
        case when consumption_kwh < 0 then 'negative consumption_kwh' end,
        case
            when
                counter_share >= {{ var('complete_share') }}
                and abs(irradiance_sum_kwh_m2 - counter_kwh_m2) > 0.05 * counter_kwh_m2
                and irradiation_source = 'irradiance'
                then 'irradiation by irradiance and by the sensor''s counter differ by more than 5 %'
        end
    ), '') as kpi_flags,
    implausible,
    extracted_at_utc
from ratios
