{#
  KPIs of a plant's day beyond its report, with what stands in their way: pairs of a condition over the columns of
  fct_plant_day's last step and the reason that is told, of which the first that holds counts; none is no gap.
#}
{% macro plant_day_gaps() -%}
    {%- set by_daylight = [
        ('has_inverter = false', 'no inverter'),
        ('daylight_h is null', 'no 5-minute rows, or daylight not known'),
    ] -%}
    {%- set of_all = by_daylight + [
        ('judged_inverters < inverters', 'an inverter without 5-minute rows'),
    ] -%}
    {%- set mostly_known = ('unknown_h > 0.2 * daylight_h', 'more than 20 % of daylight unknown') -%}
    {%- set alone = ('true', 'no sister inverter and no irradiance to compare with') -%}
    {%- set no_size = ('a_size_is_unknown', 'capacity of an inverter not known') -%}
    {%- set half_known = ('an_inverter_is_unknown', 'more than 20 % of the daylight of an inverter unknown') -%}
    {%- set half_told = ('an_inverter_tells_no_state', 'more than 20 % of the daylight of an inverter without a state') -%}
    {%- set unrated = ('true', 'AC rating of an inverter not known') -%}
    {%- set no_devices = ('has_meter is null', 'devices not known') -%}
    {%- set no_meter = ('not has_meter', 'no meter') -%}
    {%- set not_at_the_grid = ('not has_grid_meter', 'no meter at the grid, by the devices file') -%}
    {%- set no_meter_rows = ('coalesce(meter_completeness, 0) = 0', 'no 5-minute rows of the meter') -%}
    {%- set no_import = 'import counter of the meter not known, or fewer than two readings' -%}
    {%- set money = [
        ('tariff_is_missing', 'no row in the tariffs file'),
        ('purchased_energy_kwh is null or feed_in_energy_kwh is null', 'no meter figures in the report'),
        ('purchase_price_per_kwh is null or feed_in_price_per_kwh is null', 'a price is missing in the tariffs file'),
    ] -%}
    {{ return([
        ('availability', by_daylight + [
            mostly_known, ('judged_kwp_h is null', 'capacity of the inverters not known'),
            ('judged_kwp_h = 0', 'no inverter was up or down'),
        ]),
        ('lost_energy', [('not loss_is_unknown', none)] + of_all + [no_size, half_known, alone]),
        ('curtailed_energy', [('not curtailment_is_unknown', none)] + of_all + [no_size, half_told, alone]),
        ('clipping', [('not clipping_is_unknown', none)] + of_all + [half_told, unrated]),
        ('clipped_energy', [('not clipped_energy_is_unknown', none)] + of_all + [
            ('not clipping_is_unknown', 'no irradiance, or no performance ratio of the days before'), half_told, unrated,
        ]),
        ('grid_import_from_counters', [
            ('import_kwh is not null', none), no_devices, no_meter, no_meter_rows, not_at_the_grid, ('true', no_import),
        ]),
        ('night_import', [
            ('night_import_kwh is not null', none), no_devices, no_meter, no_meter_rows, not_at_the_grid,
            ('latitude is null', 'no coordinates'), ('import_kwh is null', no_import),
            ('true', 'no two readings in the dark'),
        ]),
        ('bill', money),
        ('savings', money + [('consumption_kwh is null', 'no meter figures in the report')]),
        ('co2_avoided', [
            ('co2_kg_per_kwh is null', 'no co2_kg_per_kwh in the plants file'),
            ('pv_energy_kwh is null', 'no PV energy known'),
        ]),
    ]) }}
{%- endmacro %}
