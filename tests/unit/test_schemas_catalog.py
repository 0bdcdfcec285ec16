"""The catalog's declarations: counts of the reference, units that a unit library reads, one unit per name."""

from collections import defaultdict
from collections.abc import Iterator

import pytest

from schemas import catalog
from schemas.device_types import DEVICE_TYPES, HISTORY_TYPES, REALTIME_TYPES, REPORT_TYPES
from schemas.items import DataItem, snake_case
from schemas.lookups import INVERTER_STATES, LOOKUPS
from schemas.tables import TABLES
from schemas.units import registry

HISTORY_COUNTS = {
    1: 88, 38: 41, 10: 8, 17: 40, 47: 41, 39: 10, 41: 4, 60001: 5, 60003: 2, 60043: 2, 60014: 3, 60010: 2,
}  # fmt: skip
REALTIME_COUNTS = {
    1: 89, 38: 42, 10: 9, 17: 40, 47: 42, 39: 11, 41: 6, 60001: 8, 60003: 3, 60043: 2, 60044: 4, 60092: 10,
    60014: 9, 60010: 4,
}  # fmt: skip

SUFFIX_OF_UNIT = {
    "V": "_v", "A": "_a", "Hz": "_hz", "kW": "_kw", "kvar": "_kvar", "kVA": "_kva", "%": "_pct", "kWh": "_kwh",
    "kvarh": "_kvarh", "degC": "_degc", "m/s": "_m_s", "degree": "_deg", "W/m**2": "_w_m2",
    "kWh/m**2": "_kwh_m2", "kWh/kWp": "_kwh_kwp", "h": "_h", "kWp": "_kwp", "metric_ton": "_t",
}  # fmt: skip


def all_items() -> Iterator[DataItem]:
    """Every declared item of every table of the reference, shared keys included."""
    for by_type in (catalog.HISTORY, catalog.REALTIME, *catalog.DEVICE_REPORT_ITEMS.values()):
        for items in by_type.values():
            yield from items
    for items in catalog.PLANT_ITEMS.values():
        yield from items


def keys(items: tuple[DataItem, ...]) -> list[str]:
    return [each.vendor_key for each in items]


def test_history_has_the_items_of_the_reference() -> None:
    assert {type_id: len(items) for type_id, items in catalog.HISTORY.items()} == HISTORY_COUNTS
    assert sum(HISTORY_COUNTS.values()) == 246


def test_real_time_has_the_items_of_the_reference() -> None:
    assert {type_id: len(items) for type_id, items in catalog.REALTIME.items()} == REALTIME_COUNTS
    assert sum(REALTIME_COUNTS.values()) == 279


def test_reports_have_the_items_of_the_reference() -> None:
    assert {name: len(items) for name, items in catalog.PLANT_ITEMS.items()} == {
        "plant_realtime": 6,
        "plant_hourly": 10,
        "plant_daily": 19,
        "plant_monthly": 19,
        "plant_yearly": 19,
    }
    for by_type in catalog.DEVICE_REPORT_ITEMS.values():
        assert {type_id: len(items) for type_id, items in by_type.items()} == {39: 4, 1: 3, 38: 3, 41: 2}


def test_items_that_a_page_break_shifts_belong_where_they_are_measured() -> None:
    for number in range(1, 11):
        assert f"mppt_{number}_cap" in keys(catalog.HISTORY[1])
    assert [each for each in keys(catalog.HISTORY[38]) if each.startswith("mppt_") and each != "mppt_power"] == [
        f"mppt_{number}_cap" for number in range(1, 5)
    ]
    assert keys(catalog.HISTORY[39])[-5:] == [
        "battery_soc",
        "battery_soh",
        "ch_discharge_model",
        "charge_cap",
        "discharge_cap",
    ]
    assert keys(catalog.HISTORY[41]) == ["ch_discharge_power", "battery_soc", "charge_cap", "discharge_cap"]
    assert keys(catalog.REALTIME[1])[-2:] == ["mppt_10_cap", "run_state"]
    assert keys(catalog.REALTIME[38])[0] == "inverter_state"


@pytest.mark.parametrize(
    ("vendor_key", "column"),
    [
        ("PVYield", "pv_yield"),
        ("inverterYield", "inverter_yield"),
        ("chargeCap", "charge_cap"),
        ("selfUsePower", "self_use_power"),
        ("buyPower", "buy_power"),
        ("mppt_10_cap", "mppt_10_cap"),
        ("pv1_u", "pv1_u"),
    ],
)
def test_raw_columns_keep_the_vendors_key(vendor_key: str, column: str) -> None:
    assert snake_case(vendor_key) == column


def test_every_item_knows_its_place() -> None:
    for type_id, items in catalog.HISTORY.items():
        assert {(each.section, each.device_type_id) for each in items} == {("5.1.2.3", type_id)}
    for type_id, items in catalog.REALTIME.items():
        assert {(each.section, each.device_type_id) for each in items} == {("5.1.2.2", type_id)}
    assert {each.section for each in catalog.PLANT_ITEMS["plant_monthly"]} == {"5.1.4.3"}
    assert {each.section for each in catalog.DEVICE_REPORT_ITEMS["device_yearly"][41]} == {"5.1.4.7"}


def test_device_types_are_those_that_have_items() -> None:
    assert set(HISTORY_TYPES) == set(catalog.HISTORY)
    assert set(REALTIME_TYPES) == set(catalog.REALTIME)
    assert set(REPORT_TYPES) == set(catalog.DEVICE_REPORT_ITEMS["device_daily"])
    assert len(DEVICE_TYPES) == 27
    assert len({each.name for each in DEVICE_TYPES.values()}) == 27


def test_a_unit_library_reads_every_unit_and_confirms_the_factor_of_staging() -> None:
    units = registry()
    for item in all_items():
        if item.unit is None or item.kind != "value":
            assert item.staging_unit is None, item
            assert item.staging_factor == 1.0, item
        else:
            one = units.Quantity(1.0, item.unit).to(item.staging_unit).magnitude
            assert one == pytest.approx(item.staging_factor, rel=1e-12), item
        if item.unit is not None:
            units.parse_units(item.unit)
    for table in TABLES.values():
        for column in table.columns:
            if column.unit is not None:
                units.parse_units(column.unit)
    assert units.Quantity(1.0, "kWh/m2").to("J/m**2").magnitude == pytest.approx(3.6e6)


def test_names_of_staging_end_with_their_unit() -> None:
    for item in all_items():
        if item.kind == "code":
            assert item.staging_column.endswith("_code"), item
        elif item.kind == "instant":
            assert item.staging_column.endswith("_at_utc"), item
        elif item.staging_unit is not None:
            assert item.staging_column.endswith(SUFFIX_OF_UNIT[item.staging_unit]), item


def test_no_two_columns_of_staging_share_a_name_and_differ_in_unit_or_meaning() -> None:
    seen = defaultdict(set)
    for item in all_items():
        seen[item.staging_column].add((item.staging_unit, item.kind, item.lookup))
    assert {name: facts for name, facts in seen.items() if len(facts) > 1} == {}


def test_no_table_has_a_column_twice_in_raw_or_staging() -> None:
    for table in TABLES.values():
        raw = [each.name for each in table.columns]
        staging = [each.staging_column for each in table.items]
        labels = [each.staging_label_column for each in table.items if each.staging_label_column]
        assert len(set(raw)) == len(raw), table.name
        assert len({*staging, *labels}) == len(staging) + len(labels), table.name


def test_a_unit_that_differs_from_the_printed_one_says_why() -> None:
    same = {"°C": "degC", "MJ/m²": "MJ/m**2", "W/m²": "W/m**2", "kWh/m²": "kWh/m**2", "Degree": "degree"}
    same |= {"kVar": "kvar", "Var": "var"}
    for item in all_items():
        printed = same.get(item.vendor_unit or "", item.vendor_unit)
        assert (item.unit_reason is not None) == (printed != item.unit), item


@pytest.mark.parametrize(
    ("type_id", "key", "unit", "staging_column", "factor"),
    [
        (17, "active_power", "kW", "active_power_kw", 1.0),
        (47, "active_power", "W", "active_power_kw", 0.001),
        (47, "active_power_a", "kW", "phase_a_active_power_kw", 1.0),
        (47, "reactive_power", "var", "reactive_power_kvar", 0.001),
        (39, "ch_discharge_power", "W", "charge_discharge_power_kw", 0.001),
        (41, "ch_discharge_power", "W", "charge_discharge_power_kw", 0.001),
        (60014, "charge_discharge_power", "kW", "charge_discharge_power_kw", 1.0),
        (10, "radiant_total", "MJ/m**2", "daily_irradiation_kwh_m2", 1 / 3.6),
        (60092, "ac_output_frequency", "Hz", "ac_output_frequency_hz", 1.0),
        (17, "reverse_reactive_peak", "kvarh", "reverse_reactive_energy_peak_kvarh", 1.0),
    ],
)
def test_units_that_people_get_wrong(type_id: int, key: str, unit: str, staging_column: str, factor: float) -> None:
    item = next(each for each in catalog.REALTIME[type_id] if each.vendor_key == key)
    assert (item.unit, item.staging_column, item.staging_factor) == (unit, staging_column, factor)


def test_plausible_bounds_hold_what_plants_send_and_refuse_what_none_can() -> None:
    inverter = {each.vendor_key: each.plausible for each in catalog.REALTIME[38]}
    recorded = {"pv1_u": 453.5, "a_i": 2.244, "total_cap": 1482.36, "efficiency": 100.0, "elec_freq": 49.99}
    recorded |= {"open_time": 1721537680000, "inverter_state": 49152, "power_factor": 1.0, "temperature": 41.9}
    for key, number in recorded.items():
        bounds = inverter[key]
        assert bounds is not None
        assert bounds[0] <= number <= bounds[1], key
    sensor = next(each for each in catalog.HISTORY[47] if each.vendor_key == "active_power")
    assert sensor.plausible is not None
    assert not sensor.plausible[0] <= -66_553_500 <= sensor.plausible[1]
    for item in all_items():
        assert item.plausible is not None
        assert item.plausible[0] < item.plausible[1], item


def test_revenue_may_be_negative() -> None:
    revenue = next(each for each in catalog.PLANT_ITEMS["plant_daily"] if each.vendor_key == "power_profit")
    assert revenue.plausible is not None
    assert revenue.plausible[0] < -5.99
    assert revenue.unit is None


def test_codes_have_their_words() -> None:
    named = {each.lookup for each in all_items() if each.kind == "code"}
    assert named <= set(LOOKUPS)
    assert all((each.lookup is None) == (each.kind != "code") for each in all_items())
    assert len(INVERTER_STATES) == 26
    assert INVERTER_STATES[513] == "Grid-connected: power limited"
