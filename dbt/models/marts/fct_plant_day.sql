-- Energies, KPIs and how far to trust them, per plant and local day. Rules: docs/figures.md.
with days as (

    select * from {{ ref('int_plant_report_day') }}

),

pairs as (

    select
        mine.plant_code,
        other.plant_code as peer_code
    from {{ ref('dim_plant') }} as mine
    inner join {{ ref('dim_plant') }} as other
        on
            mine.plant_code != other.plant_code
            and {{ distance_km('mine.latitude', 'mine.longitude', 'other.latitude', 'other.longitude') }}
                <= {{ var('peer_radius_km') }}

),

peers as (

    select
        pairs.plant_code,
        days.local_date,
        count(*) as peer_count,
        median(days.specific_yield_kwh_kwp) as peer_specific_yield_kwh_kwp
    from pairs
    inner join days
        on pairs.peer_code = days.plant_code
    where
        days.specific_yield_kwh_kwp is not null
        -- Half a day is no peer of a whole one.
        and days.is_running is distinct from true
    group by
        pairs.plant_code,
        days.local_date
    having count(*) >= {{ var('peers_at_least') }}

),

inverters as (

    select
        plant_code,
        local_date,
        count(*) as inverters,
        count(*) filter (where daylight_h is not null) as judged_inverters,
        bool_or(p0_kwp is null) as a_size_is_unknown,
        bool_or(unknown_h > 0.2 * daylight_h) as an_inverter_is_unknown,
        bool_or(stateless_h > 0.2 * daylight_h) as an_inverter_tells_no_state,
        sum(daylight_h) as daylight_h,
        sum(unknown_h) as unknown_h,
        sum(down_h) as down_h,
        sum(silent_h) as silent_h,
        -- Each inverter counts by its size.
        sum(p0_kwp * up_h) as up_kwp_h,
        sum(p0_kwp * (up_h + down_h)) as judged_kwp_h,
        sum(limited_h) as limited_h,
        sum(derated_h) as derated_h,
        sum(limit_shutdown_h) as limit_shutdown_h,
        sum(lost_energy_kwh) as lost_kwh,
        bool_or(lost_energy_kwh is null) as loss_is_unknown,
        sum(curtailed_energy_kwh) as curtailed_kwh,
        bool_or(curtailed_energy_kwh is null) as curtailment_is_unknown,
        sum(clipped_h) as clipped_h,
        bool_or(clipped_h is null) as clipping_is_unknown,
        sum(clipped_energy_kwh) as clipped_kwh,
        bool_or(clipped_energy_kwh is null) as clipped_energy_is_unknown,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from {{ ref('fct_inverter_day') }}
    group by
        plant_code,
        local_date

),

flows as (

    select
        plant_code,
        local_date,
        -- Of several grid meters all must be known: the sum of some is no sum.
        {% for flow, name in [('in', 'import'), ('out', 'export'), ('night_in', 'night_import')] -%}
        case
            when bool_and({{ flow }}_kwh is not null) filter (where is_at_the_grid)
                then sum({{ flow }}_kwh) filter (where is_at_the_grid)
        end as {{ name }}_kwh,
        {% endfor -%}
        sum(night_in_kwh) filter (where kind = 'meter' and meter_role = 'generation') as auxiliary_kwh,
        bool_or(is_at_the_grid) as has_grid_meter,
        max(inputs_changed_at_utc) as inputs_changed_at_utc
    from (
        select
            *,
            kind = 'meter' and coalesce(meter_role, 'grid') = 'grid' as is_at_the_grid
        from {{ ref('int_flow_directed_day') }}
    )
    group by
        plant_code,
        local_date

),

overrides as (

    select
        plant_code,
        co2_kg_per_kwh,
        tilt,
        azimuth
    from {{ source('ops', 'plant_overrides') }}

),

joined as (

    select
        days.*,
        peers.peer_count,
        peers.peer_specific_yield_kwh_kwp,
        inverters.* exclude (plant_code, local_date, inputs_changed_at_utc),
        flows.import_kwh,
        flows.export_kwh,
        flows.night_import_kwh,
        flows.auxiliary_kwh,
        flows.has_grid_meter,
        overrides.co2_kg_per_kwh,
        overrides.tilt,
        overrides.azimuth,
        clear_sky.irradiation_kwh_m2 as clear_sky_irradiation_kwh_m2,
        days.p0_kwp * clear_sky.irradiation_kwh_m2 as clear_sky_energy_kwh,
        tariffs.purchase_price_per_kwh,
        tariffs.feed_in_price_per_kwh,
        tariffs.standing_charge_per_day,
        tariffs.currency as tariff_currency,
        tariffs.plant_code is null as tariff_is_missing,
        greatest(days.extracted_at_utc, inverters.inputs_changed_at_utc, flows.inputs_changed_at_utc)
            as inputs_changed_at_utc
    from days
    left join peers
        on
            days.plant_code = peers.plant_code
            and days.local_date = peers.local_date
    left join inverters
        on
            days.plant_code = inverters.plant_code
            and days.local_date = inverters.local_date
    left join flows
        on
            days.plant_code = flows.plant_code
            and days.local_date = flows.local_date
    left join overrides
        on days.plant_code = overrides.plant_code
    left join {{ source('ops', 'clear_sky_day') }} as clear_sky
        on
            days.plant_code = clear_sky.plant_code
            and days.local_date = clear_sky.local_date
    left join {{ ref('dim_tariff') }} as tariffs
        on
            days.plant_code = tariffs.plant_code
            and days.local_date between tariffs.valid_from and tariffs.valid_to

)

select
    plant_code,
    plant_name,
    local_date,
    time_zone,
    day_start_utc,
    day_end_utc,
    pv_energy_kwh,
    pv_energy_source,
    ac_energy_kwh,
    inverter_yield_inaccurate_kwh,
    p0_kwp,
    p0_source,
    p0_differs,
    specific_yield_kwh_kwp,
    specific_yield_vendor_kwh_kwp,
    case
        when peer_specific_yield_kwh_kwp > 0 and is_running is distinct from true
            then specific_yield_kwh_kwp / peer_specific_yield_kwh_kwp
    end as peer_yield_ratio,
    peer_count::integer as peer_count,
    peer_specific_yield_kwh_kwp,
    clear_sky_irradiation_kwh_m2,
    clear_sky_energy_kwh,
    case when is_running is distinct from true then {{ percent('pv_energy_kwh', 'clear_sky_energy_kwh') }} end
        as clear_sky_ratio_pct,
    irradiation_kwh_m2,
    irradiation_source,
    irradiation_device_id,
    irradiation_completeness,
    irradiation_from_irradiance_kwh_m2,
    irradiation_from_counter_kwh_m2,
    irradiation_difference_kwh_m2,
    pr_poa_pct,
    pr_unverified_plane_pct,
    pr_vendor_pct,
    pr_inputs_complete,
    theoretical_yield_kwh,
    case
        when unknown_h <= 0.2 * daylight_h then {{ percent('up_kwp_h', 'judged_kwp_h') }}
    end as availability_pct,
    up_kwp_h,
    judged_kwp_h,
    daylight_h as inverter_daylight_h,
    down_h as inverter_down_h,
    unknown_h as inverter_unknown_h,
    silent_h as inverter_silent_h,
    limited_h as inverter_limited_h,
    derated_h as inverter_derated_h,
    limit_shutdown_h as inverter_limit_shutdown_h,
    case when not loss_is_unknown then lost_kwh end as lost_energy_kwh,
    case when not curtailment_is_unknown then curtailed_kwh end as curtailed_energy_kwh,
    case when not clipping_is_unknown then clipped_h end as inverter_clipped_h,
    case when not clipped_energy_is_unknown then clipped_kwh end as clipped_energy_kwh,
    feed_in_energy_kwh,
    purchased_energy_kwh,
    consumption_kwh,
    self_used_pv_energy_kwh,
    self_provided_energy_kwh,
    self_consumption_pct,
    self_sufficiency_pct,
    import_kwh as grid_import_from_counters_kwh,
    export_kwh as grid_export_from_counters_kwh,
    night_import_kwh,
    auxiliary_kwh as auxiliary_consumption_kwh,
    battery_charged_energy_kwh,
    battery_discharged_energy_kwh,
    revenue,
    purchased_energy_kwh * purchase_price_per_kwh as purchase_cost,
    feed_in_energy_kwh * feed_in_price_per_kwh as feed_in_earnings,
    purchased_energy_kwh * purchase_price_per_kwh + coalesce(standing_charge_per_day, 0)
    - feed_in_energy_kwh * feed_in_price_per_kwh as bill,
    -- Against buying all that was consumed at the same price.
    consumption_kwh * purchase_price_per_kwh
    - purchased_energy_kwh * purchase_price_per_kwh
    + feed_in_energy_kwh * feed_in_price_per_kwh as savings,
    tariff_currency,
    pv_energy_kwh * co2_kg_per_kwh as co2_avoided_kg,
    has_battery,
    has_meter,
    has_emi,
    day_slots,
    inverter_slots_expected,
    inverter_slots_received,
    inverter_completeness,
    emi_completeness,
    meter_completeness,
    battery_completeness,
    report_state,
    history_state,
    is_provisional,
    is_running,
    nullif(concat_ws(
        '; ',
        kpi_gaps,
        case
            when is_running then 'peer_yield_ratio: the report was read before the day was over'
            when peer_count is null and latitude is null then 'peer_yield_ratio: no coordinates'
            when peer_count is null then 'peer_yield_ratio: fewer than {{ var("peers_at_least") }} peers with a yield'
            when peer_specific_yield_kwh_kwp = 0 then 'peer_yield_ratio: the peers gave nothing'
            when specific_yield_kwh_kwp is null then 'peer_yield_ratio: no specific yield'
        end,
        case
            when clear_sky_energy_kwh is not null then null
            when tilt is null or azimuth is null then 'clear_sky_energy: no tilt and azimuth in the plants file'
            when latitude is null then 'clear_sky_energy: no coordinates'
            when time_zone is null then 'clear_sky_energy: no time zone'
            when p0_kwp is null then 'clear_sky_energy: no capacity'
            else 'clear_sky_energy: the day was not worked out'
        end,
        case
            when coalesce(clear_sky_energy_kwh, 0) = 0 then null
            when is_running then 'clear_sky_ratio: the report was read before the day was over'
            when pv_energy_kwh is null then 'clear_sky_ratio: no PV energy known'
        end,
        {% for kpi, reasons in plant_day_gaps() -%}
        case
            {% for condition, reason in reasons -%}
            when {{ condition }} then {% if reason is none %}null{% else %}'{{ kpi }}: {{ reason }}'{% endif %}
            {% endfor -%}
        end{{ ',' if not loop.last }}
        {% endfor %}
    ), '') as kpi_gaps,
    nullif(concat_ws(
        '; ',
        kpi_flags,
        -- An isotropic sky and the climate's turbidity leave some per cent; in twilight they leave more.
        case
            when
                pv_energy_kwh > 1.1 * clear_sky_energy_kwh
                and pv_energy_kwh - clear_sky_energy_kwh > 0.1 * p0_kwp
                then 'over 10 % more than a clear sky gives: tilt, azimuth or dc_kwp of the plants file may be wrong'
        end
    ), '') as kpi_flags,
    implausible,
    extracted_at_utc,
    inputs_changed_at_utc
from joined
