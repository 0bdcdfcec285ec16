{#
  Every KPI of docs/figures.md 2, in its order, with what stands in its way at a plant: pairs of a condition over the
  columns of dim_plant's last step and the reason that is told, of which the first that holds counts.
#}
{% macro plant_kpi_gaps() -%}
    {%- set fewest = var('peers_at_least') -%}
    {%- set no_devices = ('has_meter is null', "'devices not known'") -%}
    {%- set no_inverter = ('not has_inverter', "'no inverter'") -%}
    {%- set no_battery = ('not has_battery', "'no battery'") -%}
    {%- set no_battery_known = ('has_battery is null', "'devices not known'") -%}
    {%- set no_meter = ('not has_meter', "'no meter'") -%}
    {%- set no_report = ('first_report_date is null', "'no daily report read'") -%}
    {%- set no_history = ('first_history_date is null', "'no 5-minute history read'") -%}
    {%- set no_place = ('known_latitude is null', "'no coordinates'") -%}
    {%- set no_zone = ('time_zone is null', "'no time zone'") -%}
    {%- set no_size = ('p0_kwp is null', "'no capacity'") -%}
    {%- set no_pv = (
        'not has_pv_yield and coalesce(has_battery, true)',
        "'no PV yield, and a battery may stand behind the inverter'"
    ) -%}
    {%- set no_light = [
        ('not has_report_irradiation and has_emi is null', "'devices not known'"),
        ('not has_report_irradiation and not has_emi', "'no irradiation sensor'"),
        ('not has_report_irradiation and first_history_date is null', "'no 5-minute history read'"),
    ] -%}
    {%- set by_daylight = [
        no_devices, no_inverter, no_history,
        (
            'known_latitude is null and not has_emi',
            "'daylight not known, no coordinates and no irradiation sensor'"
        ),
    ] -%}
    {%- set alone = (
        'inverter_count < 2 and not has_emi',
        "'no sister inverter and no irradiation sensor to compare with, so only days without any are known'"
    ) -%}
    {%- set unrated = (
        'not all_ratings_known',
        "'no ac_kw in the devices file, and fewer than " ~ var('rating_days') ~ " days of power'"
    ) -%}
    {%- set money = [
        no_report, ('not has_purchase', "'no meter figures in the report'"),
        ('not has_tariff_row', "'no row in the tariffs file'"),
        ('not has_tariff', "'a price is missing in the tariffs file'"),
    ] -%}
    {{ return([
        ('p0', [no_size]),
        ('pv_energy', [no_report, no_pv]),
        ('specific_yield', [no_report, no_pv, no_size]),
        ('irradiation', no_light),
        ('performance_ratio', [no_report, no_pv, no_size] + no_light),
        ('pr_poa', [(
            "(has_report_irradiation or has_emi) and irradiance_plane is distinct from 'poa'",
            "'the plants file does not say that the sensor lies in the plane of array'"
        )]),
        ('clear_sky_energy', [
            ('tilt_deg is null or azimuth_deg is null', "'no tilt and azimuth in the plants file'"),
            no_place, no_zone, no_size,
        ]),
        ('peer_yield_ratio', [
            no_place,
            (
                'peer_count < ' ~ fewest,
                "peer_count || ' other plants within " ~ var('peer_radius_km') ~ ' km, ' ~ fewest ~ " are needed'"
            ),
            no_report, no_pv, no_size,
        ]),
        ('availability', by_daylight),
        ('lost_energy', by_daylight + [alone]),
        ('limited_hours', by_daylight),
        ('curtailed_energy', by_daylight + [alone]),
        ('clipping', by_daylight + [unrated]),
        ('clipped_energy', by_daylight + [unrated, ('not has_emi', "'no irradiation sensor'")]),
        ('string_mismatch', [
            no_devices, no_inverter, no_history,
            (
                'not has_strings',
                "'no PV input that carried current on " ~ var('string_active_days') ~ " of 60 days'"
            ),
        ]),
        ('night_import', [
            no_devices, no_meter, no_history, no_place,
            ('not has_import_counter', "'no grid meter whose import counter is known'"),
        ]),
        ('battery_round_trip', [
            no_battery_known, no_battery,
            (
                'not has_round_trip',
                "'no " ~ var('round_trip_days') ~ " days on end with like states of charge at both ends'"
            ),
        ]),
        ('battery_cycles', [
            no_battery_known, no_battery, ('not all_usable_known', "'no usable_kwh in the devices file'"),
        ]),
        ('bill', money),
        ('savings', money),
        ('target', [('not has_target', "'no row in the targets file'")]),
        ('co2_avoided', [
            ('co2_kg_per_kwh is null', "'no co2_kg_per_kwh in the plants file'"), no_report, no_pv,
        ]),
        ('self_consumption', [
            no_devices, no_meter, no_report, ('not has_self_used', "'no meter figures in the report'"), no_pv,
        ]),
        ('self_sufficiency', [
            no_devices, no_meter, no_report, ('not has_self_provided', "'no meter figures in the report'"),
        ]),
        ('balances', [
            no_devices, ('not has_inverter and not has_meter and not has_battery', "'no inverter, meter or battery'"),
            no_report, no_history,
        ]),
        ('completeness', [no_devices, no_inverter, no_history, no_place]),
        ('alarms', [
            ('alarms_denied', "'the vendor refuses them'"), ('not alarms_asked', "'never asked for'"),
        ]),
    ]) }}
{%- endmacro %}
