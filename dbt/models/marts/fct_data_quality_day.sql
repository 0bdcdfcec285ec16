-- How far a plant's day can be trusted: what was expected and came, and where independent sources of one energy differ.
with inverters as (

    select
        plant_code,
        local_date,
        -- The sum of some inverters is no sum.
        {% for sum, part in [('counter_kwh', 'energy'), ('dc_kwh', 'dc_energy')] -%}
        case
            when bool_and(coalesce({{ part }}_kwh, {{ part }}_over_gaps_kwh) is not null)
            then sum({{ sum_of_known(part ~ '_kwh', part ~ '_over_gaps_kwh') }})
        end as {{ sum }},
        {% endfor -%}
        -- Over the same intervals: power has no integral over a gap.
        sum(energy_kwh) - sum(energy_from_power_kwh) as power_integral_residual_kwh,
        sum(counter_falls) as counter_falls
    from {{ ref('int_inverter_day') }}
    group by
        plant_code,
        local_date

),

device_reports as (

    select
        plant_code,
        local_date,
        sum(yield_from_report_kwh) as yield_kwh
    from {{ ref('fct_inverter_day') }}
    group by
        plant_code,
        local_date

),

batteries as (

    select
        plant_code,
        local_date,
        sum(case when energy_source = 'report' then charge_energy_kwh end) as charge_kwh,
        sum(case when energy_source = 'report' then discharge_energy_kwh end) as discharge_kwh,
        -- Storage at the AC side (41) works behind the inverters' counters, a hybrid's battery (39) before them.
        sum(charge_energy_kwh - discharge_energy_kwh) filter (where device_type_id = 41) as ac_storage_kwh,
        bool_or(device_type_id = 39) as has_hybrid,
        case
            when bool_and(charge_from_counter_kwh is not null and discharge_from_counter_kwh is not null)
                filter (where device_type_id = 39)
            then sum(charge_from_counter_kwh - discharge_from_counter_kwh) filter (where device_type_id = 39)
        end as hybrid_took_kwh,
        sum(charge_energy_kwh) filter (where device_type_id = 39) as hybrid_charge_kwh,
        sum(night_charge_from_counter_kwh) filter (where device_type_id = 39) as night_charge_kwh,
        sum(counter_falls) as counter_falls
    from {{ ref('fct_battery_day') }}
    group by
        plant_code,
        local_date

),

expected as (

    select
        days.plant_code,
        days.local_date,
        bool_or({{ sun_stays_down('days') }}) as sun_stays_down,
        sum(device_days.day_rows) filter (where device_days.kind = 'meter') as meter_rows,
        sum(device_days.day_rows) filter (where device_days.kind = 'battery') as battery_rows,
        sum(device_days.day_rows) filter (where device_days.kind = 'emi') as emi_rows,
        sum(device_days.day_rows) filter (where device_days.kind = 'inverter') as inverter_rows,
        sum(device_days.realtime_rows) as realtime_rows,
        sum(device_days.realtime_rows) filter (where device_days.kind = 'inverter') as inverter_realtime_rows
    from {{ ref('int_plant_day') }} as days
    left join {{ ref('int_device_day') }} as device_days
        on
            days.plant_code = device_days.plant_code
            and days.local_date = device_days.local_date
    group by
        days.plant_code,
        days.local_date

),

-- A plant whose inverters the interface doesn't list owes what its meters and batteries do.
equipment as (

    select
        plant_code,
        bool_or(kind = 'inverter') as has_inverter
    from {{ ref('int_device_span') }}
    group by plant_code

),

coverage as (

    select
        plant_code,
        period as local_date,
        string_agg(dataset, ', ' order by dataset) filter (where state = 'provisional') as provisional_datasets,
        string_agg(dataset, ', ' order by dataset) filter (where state = 'denied') as denied_datasets,
        string_agg(dataset, ', ' order by dataset) filter (where state in ('missing', 'suspect')) as missing_datasets
    from {{ source('ops', 'coverage') }}
    where dataset in ('plant_daily', 'plant_hourly', 'device_history', 'device_daily')
    group by
        plant_code,
        period

),

days as (

    select * from {{ ref('fct_plant_day') }}

),

balances as (

    select
        *,
        dc_kwh - counter_kwh - case when is_hybrid then hybrid_took_kwh else 0 end as loss_kwh,
        coalesce(inverter_completeness, 0) >= {{ var('complete_share') }}
        and coalesce(battery_completeness, 0) >= {{ var('complete_share') }} as is_complete
    from (
        select
            days.plant_code,
            days.local_date,
            days.inverter_completeness,
            days.battery_completeness,
            -- A battery that no row tells of is taken for a hybrid's.
            coalesce(batteries.has_hybrid, days.has_battery, false) as is_hybrid,
            inverters.plant_code is not null as is_counted,
            inverters.dc_kwh,
            inverters.counter_kwh,
            batteries.hybrid_took_kwh,
            batteries.night_charge_kwh
        from days
        left join inverters
            on
                days.plant_code = inverters.plant_code
                and days.local_date = inverters.local_date
        left join batteries
            on
                days.plant_code = batteries.plant_code
                and days.local_date = batteries.local_date
    )

),

-- What a hybrid's battery takes from the grid passes no counter of the inverter: the balance lacks an input. In the dark
-- nothing else can charge it, and what remains below zero is nothing else. A tenth of a kWh may be what a battery keeps
-- itself going with. True and false are known, null is not.
grid_charge as (

    select
        *,
        case
            when not is_hybrid then false
            when night_charge_kwh > 0.1 then true
            when is_complete and loss_kwh < -0.1 then true
            when is_complete and loss_kwh is not null and night_charge_kwh is not null then false
        end as charged_from_grid
    from balances

),

conversion as (

    select
        plant_code,
        local_date,
        loss_kwh,
        charged_from_grid,
        case
            when not is_counted then null
            when charged_from_grid then 'the battery charged from the grid'
            when dc_kwh is null then 'the counters of the inputs are not known of every inverter'
            when counter_kwh is null then 'the yield counters are not known of every inverter'
            when not is_hybrid then null
            when loss_kwh is null then 'the counters of the battery are not known'
            when not is_complete then 'rows of inverters and batteries are not both complete'
        end as gap
    from grid_charge

),

-- What the inverters themselves reported against the plant's report. A hybrid's battery that charges from the grid lowers
-- the plant's AC energy, and not what its inverter reports, by at most what it charged; one that is known not to, doesn't.
agreement as (

    select
        plant_code,
        local_date,
        reported_kwh,
        ac_energy_kwh - reported_kwh as residual_kwh,
        case
            when ac_energy_kwh < reported_kwh then least(0, ac_energy_kwh - reported_kwh + hybrid_charge_kwh)
            else ac_energy_kwh - reported_kwh
        end as unexplained_kwh
    from (
        select
            days.plant_code,
            days.local_date,
            days.ac_energy_kwh,
            device_reports.yield_kwh - coalesce(batteries.ac_storage_kwh, 0) as reported_kwh,
            case when conversion.charged_from_grid is distinct from false then coalesce(batteries.hybrid_charge_kwh, 0) else 0 end
                as hybrid_charge_kwh
        from days
        left join conversion
            on
                days.plant_code = conversion.plant_code
                and days.local_date = conversion.local_date
        left join device_reports
            on
                days.plant_code = device_reports.plant_code
                and days.local_date = device_reports.local_date
        left join batteries
            on
                days.plant_code = batteries.plant_code
                and days.local_date = batteries.local_date
    )

),

-- In a polar night inverters owe nothing; of meters and batteries the least that is known (least() passes over nulls).
owed as (

    select
        days.plant_code,
        days.local_date,
        case when coalesce(equipment.has_inverter, false) then 'inverters' else 'meters and batteries' end as who,
        case
            when equipment.has_inverter and expected.sun_stays_down then 1
            when equipment.has_inverter then days.inverter_completeness
            else least(days.meter_completeness, days.battery_completeness)
        end as share
    from days
    left join equipment
        on days.plant_code = equipment.plant_code
    left join expected
        on
            days.plant_code = expected.plant_code
            and days.local_date = expected.local_date

),

-- Why a day can't be trusted; without a reason it can.
trust as (

    select
        days.plant_code,
        days.local_date,
        nullif(concat_ws(
            '; ',
            case
                when days.report_state is distinct from 'final'
                    then 'the daily report is ' || coalesce(days.report_state, 'missing')
                -- A report that came back without a figure is final and tells of nothing: an empty answer is not zero.
                when
                    coalesce(
                        days.pv_energy_kwh, days.ac_energy_kwh, days.feed_in_energy_kwh, days.purchased_energy_kwh,
                        days.consumption_kwh
                    ) is null
                    then 'the daily report tells of no energy'
            end,
            case
                when owed.share is null then 'completeness of the 5-minute rows is not known'
                when owed.share < {{ var('complete_share') }}
                    then format('{:.1f} % of the rows of {} came', floor(1000 * owed.share) / 10, owed.who)
            end,
            case when days.history_state = 'provisional' then 'the 5-minute history is provisional' end,
            case
                when abs(agreement.unexplained_kwh) > greatest(1, 0.01 * abs(days.ac_energy_kwh))
                    then format('reports of plant and inverters differ by {:.1f} kWh', abs(agreement.unexplained_kwh))
            end
        ), '') as distrust_reasons
    from days
    left join owed
        on
            days.plant_code = owed.plant_code
            and days.local_date = owed.local_date
    left join agreement
        on
            days.plant_code = agreement.plant_code
            and days.local_date = agreement.local_date

)

select
    days.plant_code,
    days.plant_name,
    days.local_date,
    days.time_zone,
    days.day_start_utc,
    days.day_end_utc,
    days.day_slots::integer as day_slots,
    days.inverter_slots_expected,
    days.inverter_slots_received,
    days.inverter_completeness,
    days.emi_completeness,
    days.meter_completeness,
    days.battery_completeness,
    coalesce(expected.inverter_rows, 0)::bigint as inverter_rows,
    coalesce(expected.emi_rows, 0)::bigint as emi_rows,
    coalesce(expected.meter_rows, 0)::bigint as meter_rows,
    coalesce(expected.battery_rows, 0)::bigint as battery_rows,
    coalesce(expected.realtime_rows, 0)::bigint as realtime_rows,
    coalesce(expected.inverter_realtime_rows, 0)::bigint as inverter_realtime_rows,
    days.report_state,
    days.history_state,
    days.is_provisional,
    coverage.provisional_datasets,
    coverage.denied_datasets,
    coverage.missing_datasets,
    days.ac_energy_kwh,
    inverters.counter_kwh - coalesce(batteries.ac_storage_kwh, 0) as ac_energy_from_counters_kwh,
    days.ac_energy_kwh - (inverters.counter_kwh - coalesce(batteries.ac_storage_kwh, 0)) as ac_energy_residual_kwh,
    agreement.reported_kwh as ac_energy_from_device_reports_kwh,
    agreement.residual_kwh as device_report_residual_kwh,
    inverters.power_integral_residual_kwh,
    days.feed_in_energy_kwh - days.grid_export_from_counters_kwh as feed_in_residual_kwh,
    days.purchased_energy_kwh - days.grid_import_from_counters_kwh as purchase_residual_kwh,
    days.battery_charged_energy_kwh - batteries.charge_kwh as battery_charge_residual_kwh,
    days.battery_discharged_energy_kwh - batteries.discharge_kwh as battery_discharge_residual_kwh,
    case when conversion.gap is null then conversion.loss_kwh end as conversion_loss_kwh,
    conversion.charged_from_grid as hybrid_charged_from_grid,
    (coalesce(inverters.counter_falls, 0) + coalesce(batteries.counter_falls, 0))::integer as counter_falls,
    days.implausible,
    nullif(concat_ws('; ', days.kpi_gaps, 'conversion_loss: ' || conversion.gap), '') as kpi_gaps,
    days.kpi_flags,
    trust.distrust_reasons is null as can_be_trusted,
    trust.distrust_reasons,
    days.inputs_changed_at_utc
from days
left join conversion
    on
        days.plant_code = conversion.plant_code
        and days.local_date = conversion.local_date
left join inverters
    on
        days.plant_code = inverters.plant_code
        and days.local_date = inverters.local_date
left join batteries
    on
        days.plant_code = batteries.plant_code
        and days.local_date = batteries.local_date
left join expected
    on
        days.plant_code = expected.plant_code
        and days.local_date = expected.local_date
left join agreement
    on
        days.plant_code = agreement.plant_code
        and days.local_date = agreement.local_date
left join trust
    on
        days.plant_code = trust.plant_code
        and days.local_date = trust.local_date
left join coverage
    on
        days.plant_code = coverage.plant_code
        and days.local_date = coverage.local_date
