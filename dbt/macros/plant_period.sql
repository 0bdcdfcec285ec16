{#
  Each plant's months or years: sums of its days, ratios of sums, and the vendor's own report of the period beside them.
  `period` is month or year, `reports` the staging model of its reports; months have the owner's targets too.
#}
{% macro plant_period(period, reports) -%}
{%- set start = 'keys.' ~ period ~ '_start' -%}
{%- set next_start = '(' ~ start ~ ' + interval 1 ' ~ period ~ ')::date' -%}
{%- set days = "date_diff('day', " ~ start ~ ", " ~ next_start ~ ")" -%}
{%- set reported = 'coalesce(reports.pv_yield_kwh, case when plants.has_battery = false then reports.inverter_yield_kwh end)' -%}
with days as (

    select
        *,
        date_trunc('{{ period }}', local_date)::date as {{ period }}_start
    from {{ ref('fct_plant_day') }}

),

reports as (

    select *
    from {{ ref(reports) }}
    qualify row_number() over (
        partition by plant_code, local_date
        order by extracted_at_utc desc, collect_time_utc desc
    ) = 1

),

sums as (

    select
        plant_code,
        {{ period }}_start,
        arg_max(plant_name, local_date) as plant_name,
        arg_max(time_zone, local_date) as time_zone,
        min(day_start_utc) as first_day_start_utc,
        max(day_end_utc) as last_day_end_utc,
        -- A day that still runs has not given its energy yet.
        count(*) filter (where pv_energy_kwh is not null and is_running is distinct from true) as days_with_energy,
        count(*) filter (where is_provisional) as provisional_days,
        count(*) filter (where pr_inputs_complete) as pr_days,
        sum(pv_energy_kwh) as pv_energy_kwh,
        sum(ac_energy_kwh) as ac_energy_kwh,
        arg_max(p0_kwp, local_date) as p0_kwp,
        -- A capacity that changed within the {{ period }} counts for its days.
        sum(specific_yield_kwh_kwp) as specific_yield_kwh_kwp,
        sum(clear_sky_irradiation_kwh_m2) as clear_sky_irradiation_kwh_m2,
        sum(clear_sky_energy_kwh) as clear_sky_energy_kwh,
        sum(pv_energy_kwh) filter (where clear_sky_ratio_pct is not null) as under_clear_sky_kwh,
        sum(clear_sky_energy_kwh) filter (where clear_sky_ratio_pct is not null) as of_clear_sky_kwh,
        count(clear_sky_ratio_pct) as clear_sky_days,
        sum(irradiation_kwh_m2) as irradiation_kwh_m2,
        sum(pv_energy_kwh) filter (where pr_inputs_complete) as pr_energy_kwh,
        sum(p0_kwp * irradiation_kwh_m2) filter (where pr_inputs_complete) as pr_reference_kwh,
        bool_and(pr_poa_pct is not null) filter (where pr_inputs_complete) as plane_is_poa,
        sum(up_kwp_h) filter (where availability_pct is not null) as up_kwp_h,
        sum(judged_kwp_h) filter (where availability_pct is not null) as judged_kwp_h,
        count(availability_pct) as availability_days,
        sum(inverter_down_h) as inverter_down_h,
        sum(inverter_unknown_h) as inverter_unknown_h,
        sum(inverter_limited_h) as inverter_limited_h,
        sum(inverter_derated_h) as inverter_derated_h,
        sum(inverter_limit_shutdown_h) as inverter_limit_shutdown_h,
        sum(lost_energy_kwh) as lost_energy_kwh,
        count(lost_energy_kwh) as lost_energy_days,
        count(curtailed_energy_kwh) as curtailed_energy_days,
        count(clipped_energy_kwh) as clipped_energy_days,
        sum(curtailed_energy_kwh) as curtailed_energy_kwh,
        sum(inverter_clipped_h) as inverter_clipped_h,
        sum(clipped_energy_kwh) as clipped_energy_kwh,
        sum(feed_in_energy_kwh) as feed_in_energy_kwh,
        sum(purchased_energy_kwh) as purchased_energy_kwh,
        sum(consumption_kwh) as consumption_kwh,
        -- Both terms of a ratio from the same days.
        sum(self_used_pv_energy_kwh) filter (where self_consumption_pct is not null) as self_used_kwh,
        sum(pv_energy_kwh) filter (where self_consumption_pct is not null) as self_used_of_kwh,
        sum(self_provided_energy_kwh) filter (where self_sufficiency_pct is not null) as self_provided_kwh,
        sum(consumption_kwh) filter (where self_sufficiency_pct is not null) as self_provided_of_kwh,
        sum(night_import_kwh) as night_import_kwh,
        sum(auxiliary_consumption_kwh) as auxiliary_consumption_kwh,
        sum(battery_charged_energy_kwh) as battery_charged_energy_kwh,
        sum(battery_discharged_energy_kwh) as battery_discharged_energy_kwh,
        sum(revenue) as revenue,
        sum(purchase_cost) as purchase_cost,
        sum(feed_in_earnings) as feed_in_earnings,
        sum(bill) as bill,
        sum(savings) as savings,
        count(bill) as bill_days,
        any_value(tariff_currency)
            filter (where coalesce(purchase_cost, feed_in_earnings, bill, savings) is not null) as tariff_currency,
        -- Days of two currencies have no sum.
        count(distinct coalesce(tariff_currency, ''))
            filter (where coalesce(purchase_cost, feed_in_earnings, bill, savings) is not null) > 1 as currencies_differ,
        sum(co2_avoided_kg) as co2_avoided_kg,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from days
    group by
        plant_code,
        {{ period }}_start

),

keys as (

    select
        plant_code,
        {{ period }}_start
    from sums
    union
    select
        plant_code,
        local_date as {{ period }}_start
    from reports

)

select
    keys.plant_code,
    coalesce(sums.plant_name, plants.plant_name) as plant_name,
    keys.{{ period }}_start,
    coalesce(sums.time_zone, plants.time_zone) as time_zone,
    {{ local_day_start(start, 'plants.time_zone') }} as {{ period }}_start_utc,
    {{ local_day_start(next_start, 'plants.time_zone') }} as {{ period }}_end_utc,
    {{ days }}::integer as days_in_{{ period }},
    coalesce(sums.days_with_energy, 0)::integer as days_with_energy,
    {{ share('coalesce(sums.days_with_energy, 0)', days) }} as completeness,
    coalesce(sums.provisional_days, 0)::integer as provisional_days,
    sums.pv_energy_kwh,
    {{ reported }} as pv_energy_from_report_kwh,
    sums.pv_energy_kwh - {{ reported }} as pv_energy_difference_kwh,
    -- The days where all of them are there, else the vendor's own figure of the {{ period }}.
    case
        when sums.days_with_energy = {{ days }} or {{ reported }} is null then sums.pv_energy_kwh
        else {{ reported }}
    end as pv_energy_preferred_kwh,
    sums.ac_energy_kwh,
    coalesce(sums.p0_kwp, plants.p0_kwp) as p0_kwp,
    sums.specific_yield_kwh_kwp,
    reports.specific_yield_kwh_kwp as specific_yield_vendor_kwh_kwp,
    sums.clear_sky_irradiation_kwh_m2,
    sums.clear_sky_energy_kwh,
    coalesce(sums.clear_sky_days, 0)::integer as clear_sky_days,
    {{ percent('sums.under_clear_sky_kwh', 'sums.of_clear_sky_kwh') }} as clear_sky_ratio_pct,
    sums.irradiation_kwh_m2,
    sums.pr_days::integer as pr_days,
    case when sums.plane_is_poa then {{ percent('sums.pr_energy_kwh', 'sums.pr_reference_kwh') }} end as pr_poa_pct,
    case when not sums.plane_is_poa then {{ percent('sums.pr_energy_kwh', 'sums.pr_reference_kwh') }} end
        as pr_unverified_plane_pct,
    reports.performance_ratio_pct as pr_vendor_pct,
    {{ percent('sums.up_kwp_h', 'sums.judged_kwp_h') }} as availability_pct,
    sums.availability_days::integer as availability_days,
    sums.inverter_down_h,
    sums.inverter_unknown_h,
    sums.inverter_limited_h,
    sums.inverter_derated_h,
    sums.inverter_limit_shutdown_h,
    sums.lost_energy_kwh,
    coalesce(sums.lost_energy_days, 0)::integer as lost_energy_days,
    sums.curtailed_energy_kwh,
    coalesce(sums.curtailed_energy_days, 0)::integer as curtailed_energy_days,
    sums.inverter_clipped_h,
    sums.clipped_energy_kwh,
    coalesce(sums.clipped_energy_days, 0)::integer as clipped_energy_days,
    sums.feed_in_energy_kwh,
    reports.feed_in_energy_kwh as feed_in_from_report_kwh,
    sums.feed_in_energy_kwh - reports.feed_in_energy_kwh as feed_in_difference_kwh,
    sums.purchased_energy_kwh,
    reports.purchased_energy_kwh as purchased_from_report_kwh,
    sums.purchased_energy_kwh - reports.purchased_energy_kwh as purchased_difference_kwh,
    sums.consumption_kwh,
    {{ percent('sums.self_used_kwh', 'sums.self_used_of_kwh') }} as self_consumption_pct,
    {{ percent('sums.self_provided_kwh', 'sums.self_provided_of_kwh') }} as self_sufficiency_pct,
    sums.night_import_kwh,
    sums.auxiliary_consumption_kwh,
    sums.battery_charged_energy_kwh,
    sums.battery_discharged_energy_kwh,
    sums.revenue,
    {% for money in ['purchase_cost', 'feed_in_earnings', 'bill', 'savings', 'tariff_currency'] -%}
    case when not sums.currencies_differ then sums.{{ money }} end as {{ money }},
    {% endfor -%}
    sums.bill_days::integer as bill_days,
    sums.co2_avoided_kg,
    {% if period == 'month' -%}
    targets.target_pv_energy_kwh,
    targets.target_specific_yield_kwh_kwp,
    targets.target_pr_pct,
    targets.target_availability_pct,
    {% endif -%}
    greatest(sums.inputs_changed_at_utc, reports.extracted_at_utc) as inputs_changed_at_utc
from keys
left join sums
    on
        keys.plant_code = sums.plant_code
        and keys.{{ period }}_start = sums.{{ period }}_start
left join reports
    on
        keys.plant_code = reports.plant_code
        and keys.{{ period }}_start = reports.local_date
left join {{ ref('dim_plant') }} as plants
    on keys.plant_code = plants.plant_code
{% if period == 'month' -%}
left join {{ ref('dim_target') }} as targets
    on
        keys.plant_code = targets.plant_code
        and keys.month_start = targets.month_start
{%- endif %}
{%- endmacro %}
