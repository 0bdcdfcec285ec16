"""What is loaded, in a few figures a dataset: states, refusals, and how many calls are left."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.lake.coverage import Coverage, Entry
from pipelines.lake.coverage_summary import denied, summary

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
YESTERDAY = date(2026, 6, 9)


@pytest.mark.parametrize("shift", range(3))
def test_three_days_in_a_row_are_one_call_for_ten_devices_of_a_type_wherever_they_begin(
    tmp_path: Path, shift: int
) -> None:
    coverage = Coverage(tmp_path / "coverage.sqlite")
    days = [YESTERDAY - timedelta(days=shift + step) for step in range(3)]
    inverters, meters = [str(number) for number in range(11)], ["91", "92"]
    coverage.declare(("device_history", each, "P", day) for each in (*inverters, *meters) for day in days)
    coverage.declare(("plant_hourly", "P", "P", day) for day in days)
    kinds = {**dict.fromkeys(inverters, 1), **dict.fromkeys(meters, 17)}
    left = {each.dataset: each.calls_left for each in summary(coverage.path, kinds)}
    assert left == {"device_history": 3, "plant_hourly": 3}


def test_coverage_is_added_up_like_ops_coverage(tmp_path: Path) -> None:
    coverage = Coverage(tmp_path / "coverage.sqlite")
    states = ["final", "provisional", "missing", "denied", "suspect", "empty"]
    entries = [
        Entry(name, f"{plant}{device}", plant, YESTERDAY - timedelta(days=day), state, device, NOW, f"{state}.")
        for name in ("device_history", "device_daily")
        for plant in ("A", "B")
        for device in range(4)
        for day, state in enumerate(states[device:] + states[:device])
    ]
    coverage.declare((e.dataset, e.subject, e.plant_code, e.period) for e in entries)
    coverage.record(each for each in entries if each.state != "missing")  # type: ignore[arg-type]
    rolled = coverage.rollup()
    for each in summary(coverage.path):
        mine = rolled.filter(rolled["dataset"] == each.dataset)
        assert dict(zip(*mine["state"].value_counts().get_columns(), strict=True)) == {
            state: count for state, count in each.states.items() if count
        }
        assert each.rows == mine["rows"].sum()
        assert (each.first, each.last) == (mine["period"].min(), mine["period"].max())
    assert {(each.dataset, each.periods) for each in denied(coverage.path)} == {
        ("device_history", 8),
        ("device_daily", 8),
    }
