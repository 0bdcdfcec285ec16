-- Each plant as it is now, what the owner says of it, and which KPIs can't be had for it.
with equipment as (

    select
        plant_code,
        count(*) filter (where device_type_id in (1, 38) and retired_at_utc is null) as inverter_count,
        bool_or(device_type_id in (1, 38)) as has_inverter,
        bool_or(device_type_id in (39, 41)) as has_battery,
        bool_or(device_type_id in (17, 47)) as has_meter,
        bool_or(device_type_id = 10) as has_emi
    from {{ ref('stg_devices') }}
    group by plant_code

),

alarms as (

    select
        plant_code,
        bool_and(state = 'denied') as are_denied,
        bool_or(covered > 0) as are_asked
    from {{ source('ops', 'coverage') }}
    where dataset = 'alarms'
    group by plant_code

),

history as (

    select
        plant_code,
        min(period) as first_date,
        max(period) as last_date
    from {{ source('ops', 'coverage') }}
    where
        dataset = 'device_history'
        and rows > 0
    group by plant_code

),

reports as (

    select
        plant_code,
        min(local_date) as first_date,
        max(local_date) as last_date,
        arg_max(installed_capacity_kwp, local_date) filter (where installed_capacity_kwp > 0) as report_kwp,
        bool_or(charged_energy_kwh > 0 or discharged_energy_kwh > 0) as battery_moved,
        bool_or(pv_yield_kwh is not null) as has_pv_yield,
        bool_or(global_irradiation_kwh_m2 > 0) as has_report_irradiation,
        bool_or(self_used_pv_energy_kwh is not null) as has_self_used,
        bool_or(self_provided_energy_kwh is not null and consumption_kwh is not null) as has_self_provided,
        bool_or(purchased_energy_kwh is not null and feed_in_energy_kwh is not null) as has_purchase,
        max(extracted_at_utc) as extracted_at_utc
    from {{ ref('stg_plant_daily') }}
    group by plant_code

),

batteries as (

    select
        devices.plant_code,
        bool_and(overrides.usable_kwh is not null) as all_usable_known
    from {{ ref('stg_devices') }} as devices
    left join {{ source('ops', 'device_overrides') }} as overrides
        on devices.device_id = overrides.device_id
    where devices.device_type_id in (39, 41)
    group by devices.plant_code

),

-- What can't be had of a plant unless one of its devices, or the owner, tells more.
known as (

    select
        plants.plant_code,
        plants.plant_code in (
            select plant_code from {{ ref('conventions') }}
            where device_kind = 'meter' and import_counter is not null and coalesce(meter_role, 'grid') = 'grid'
        ) as has_import_counter,
        plants.plant_code in (select plant_code from {{ ref('int_string_used') }}) as has_strings,
        plants.plant_code in (
            select plant_code from {{ ref('fct_battery_month') }}
            where round_trip_pct is not null
        ) as has_round_trip,
        plants.plant_code in (
            select plant_code from {{ ref('dim_tariff') }}
            where purchase_price_per_kwh is not null and feed_in_price_per_kwh is not null
        ) as has_tariff,
        plants.plant_code in (select plant_code from {{ ref('dim_tariff') }}) as has_tariff_row,
        plants.plant_code in (select plant_code from {{ ref('dim_target') }}) as has_target,
        plants.plant_code not in (
            select plant_code from {{ ref('int_inverter_rating') }}
            where not ac_kw_is_rating
        ) as all_ratings_known
    from {{ ref('stg_plants') }} as plants

),

placed as (

    select
        *,
        -- 0,0 is what the interface sends for "not set".
        case when latitude != 0 or longitude != 0 then latitude end as known_latitude,
        case when latitude != 0 or longitude != 0 then longitude end as known_longitude
    from {{ ref('stg_plants') }}

),

peers as (

    select
        mine.plant_code,
        count(*) as peer_count
    from placed as mine
    inner join placed as other
        on
            mine.plant_code != other.plant_code
            and {{ distance_km(
                'mine.known_latitude', 'mine.known_longitude', 'other.known_latitude', 'other.known_longitude'
            ) }} <= {{ var('peer_radius_km') }}
    group by mine.plant_code

),

joined as (

    select
        placed.*,
        overrides.dc_kwp as owner_kwp,
        overrides.irradiance_plane,
        overrides.tilt as tilt_deg,
        overrides.azimuth as azimuth_deg,
        overrides.gamma as power_temperature_coefficient_per_k,
        overrides.export_limit_kw,
        overrides.currency,
        overrides.co2_kg_per_kwh,
        nullif(greatest(reports.report_kwp, 0), 0) as report_kwp,
        nullif(greatest(placed.capacity_kwp, 0), 0) as listed_kwp,
        coalesce(equipment.inverter_count, 0)::integer as inverter_count,
        equipment.has_inverter,
        case when reports.battery_moved then true else equipment.has_battery end as has_battery,
        equipment.has_meter,
        equipment.has_emi,
        coalesce(peers.peer_count, 0)::integer as peer_count,
        reports.first_date as first_report_date,
        reports.last_date as last_report_date,
        coalesce(reports.has_pv_yield, false) as has_pv_yield,
        coalesce(reports.has_report_irradiation, false) as has_report_irradiation,
        coalesce(reports.has_self_used, false) as has_self_used,
        coalesce(reports.has_self_provided, false) as has_self_provided,
        coalesce(reports.has_purchase, false) as has_purchase,
        coalesce(alarms.are_denied, false) as alarms_denied,
        coalesce(alarms.are_asked, false) as alarms_asked,
        known.* exclude (plant_code),
        history.first_date as first_history_date,
        history.last_date as last_history_date,
        coalesce(batteries.all_usable_known, false) as all_usable_known,
        greatest(placed.extracted_at_utc, reports.extracted_at_utc) as inputs_changed_at_utc
    from placed
    left join {{ source('ops', 'plant_overrides') }} as overrides
        on placed.plant_code = overrides.plant_code
    left join equipment
        on placed.plant_code = equipment.plant_code
    left join reports
        on placed.plant_code = reports.plant_code
    left join alarms
        on placed.plant_code = alarms.plant_code
    left join known
        on placed.plant_code = known.plant_code
    left join history
        on placed.plant_code = history.plant_code
    left join batteries
        on placed.plant_code = batteries.plant_code
    left join peers
        on placed.plant_code = peers.plant_code

),

sized as (

    select
        *,
        coalesce(owner_kwp, report_kwp, listed_kwp) as p0_kwp,
        case
            when owner_kwp is not null then 'plants_file'
            when report_kwp is not null then 'daily_report'
            when listed_kwp is not null then 'plant_list'
        end as p0_source
    from joined

)

select
    plant_code,
    plant_key,
    plant_name,
    plant_address,
    known_latitude as latitude,
    known_longitude as longitude,
    time_zone,
    time_zone_source,
    grid_connection_date,
    p0_kwp,
    p0_source,
    coalesce(
        greatest(owner_kwp, report_kwp, listed_kwp) - least(owner_kwp, report_kwp, listed_kwp) > 0.01 * p0_kwp, false
    ) as p0_differs,
    tilt_deg,
    azimuth_deg,
    power_temperature_coefficient_per_k,
    irradiance_plane,
    export_limit_kw,
    currency,
    co2_kg_per_kwh,
    inverter_count,
    has_battery,
    has_meter,
    has_emi,
    peer_count,
    first_report_date,
    last_report_date,
    first_history_date,
    last_history_date,
    -- One pair for each KPI that can't be had.
    nullif(concat_ws(
        '; ',
        case when time_zone is null then 'all: no time zone' end
        {%- for kpi, cases in plant_kpi_gaps() %},
        case
            {% for condition, reason in cases -%}
            when {{ condition }} then '{{ kpi }}: ' || {{ reason }}
            {% endfor -%}
        end
        {%- endfor %}
    ), '') as kpi_gaps,
    first_seen_at_utc,
    last_seen_at_utc,
    retired_at_utc,
    timezone(time_zone, last_seen_at_utc) as last_seen_local_time,
    inputs_changed_at_utc
from sized
