"""Partitions of the assets: keys, how far they reach, which grain a fleet gets, and what a selection asks for."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from assets.extraction import request_for
from assets.partitions import (
    DAYS_TO_COME,
    MAX_PARTITIONS,
    PartitionPlan,
    partition_key,
    partition_plan,
    partitions_by_day,
    partitions_of,
    plan_file,
    read_key,
    settle_plan,
)
from pipelines.load.request import latest_local_date
from pipelines.load.selection import Block
from pipelines.settings import Grain, Settings

START = date(2024, 3, 15)
BY_DAY = PartitionPlan(start=START, grain="day")
BY_MONTH = PartitionPlan(start=START, grain="month")
# 14 hours before midnight: the new day has begun at UTC+14 and nowhere else.
LATE = datetime(2024, 12, 31, 10, 0, 1, tzinfo=UTC)
LATEST = latest_local_date(LATE)


def keys(dataset: str, plan: PartitionPlan, now: datetime) -> list[str]:
    definition = partitions_of(dataset, plan)
    assert isinstance(definition, dg.MultiPartitionsDefinition)
    return list(definition.get_partitions_def_for_dimension("date").get_partition_keys(current_time=now))


@pytest.mark.parametrize(
    ("dataset", "plan", "first", "last"),
    [
        ("device_history", BY_DAY, "2024-03-15", "2025-01-01"),
        ("plant_hourly", BY_DAY, "2024-03-15", "2025-01-01"),
        ("alarms", BY_DAY, "2024-03-15", "2025-01-01"),
        ("device_history", BY_MONTH, "2024-03", "2025-01"),
        ("plant_daily", BY_DAY, "2024-03-01", "2025-01-01"),
        ("device_daily", BY_MONTH, "2024-03-01", "2025-01-01"),
        ("plant_monthly", BY_DAY, "2024-01-01", "2025-01-01"),
        ("device_monthly", BY_MONTH, "2024-01-01", "2025-01-01"),
    ],
)
def test_dates_reach_what_has_begun_at_utc_plus_14(dataset: str, plan: PartitionPlan, first: str, last: str) -> None:
    assert date(2025, 1, 1) == LATEST
    found = keys(dataset, plan, LATE)
    assert (found[0], found[-1]) == (first, last)
    # A second before, that day has begun nowhere.
    assert keys(dataset, plan, LATE - timedelta(seconds=2))[-1] < last
    assert found == sorted(set(found))


@pytest.mark.parametrize("dataset", ["plant_yearly", "device_yearly"])
def test_yearly_reports_have_plants_alone(dataset: str) -> None:
    assert partitions_of(dataset, BY_DAY) == dg.DynamicPartitionsDefinition(name="plants")


@pytest.mark.parametrize("plant", ["NE=33554785", "5D02E8B40AD342159AC8D8A2BCD4FAB5", "a plant", "…"])
def test_keys_come_back(plant: str) -> None:
    day = date(2025, 3, 30)
    assert read_key(partition_key(plant, day)) == (plant, day)
    assert read_key(str(partition_key(plant, day))) == (plant, day)
    assert read_key(partition_key(plant, None)) == (plant, None)


def test_a_month_of_days_is_not_named_like_its_first_day() -> None:
    first = date(2025, 3, 1)
    by_month = BY_MONTH.key("device_history", "A", first)
    assert (str(by_month), str(BY_DAY.key("device_history", "A", first))) == ("2025-03|A", "2025-03-01|A")
    assert read_key(by_month) == read_key(str(by_month)) == ("A", first)
    assert BY_MONTH.key("plant_daily", "A", first) == BY_DAY.key("plant_daily", "A", first) == "2025-03-01|A"


# --- The choice of grain and start ---


def settings(home: Path, grain: Grain = "auto", history_start: date | None = None) -> Settings:
    return Settings(home=home, env_file=None, partition_grain=grain, history_start=history_start)


TODAY = date(2025, 6, 10)


def most_plants(start: date) -> int:
    return MAX_PARTITIONS // ((TODAY - start).days + DAYS_TO_COME)


@pytest.mark.parametrize("start", [date(2025, 6, 1), date(2020, 1, 1)])
def test_auto_turns_to_months_where_days_would_be_too_many(tmp_path: Path, start: date) -> None:
    few, many = settings(tmp_path / "few"), settings(tmp_path / "many")
    assert settle_plan(few, start, most_plants(start), TODAY).grain == "day"
    assert settle_plan(many, start, most_plants(start) + 1, TODAY).grain == "month"


@pytest.mark.parametrize("grain", ["day", "month"])
def test_the_owner_may_choose(tmp_path: Path, grain: Grain) -> None:
    for plants in (1, 100_000):
        assert settle_plan(settings(tmp_path / str(plants), grain), START, plants, TODAY).grain == grain


def test_the_choice_stays_and_the_start_moves_back_only(tmp_path: Path) -> None:
    chosen = settle_plan(settings(tmp_path), START, 1, TODAY)
    assert chosen == BY_DAY == partition_plan(settings(tmp_path))
    assert settle_plan(settings(tmp_path), START + timedelta(days=9), 100_000, TODAY) == chosen
    earlier = settle_plan(settings(tmp_path, "month"), START - timedelta(days=9), 1, TODAY)
    assert earlier == PartitionPlan(start=START - timedelta(days=9), grain="day")
    assert partition_plan(settings(tmp_path)) == earlier
    assert earlier.differs_from(settings(tmp_path, "month"))
    assert "by day" in earlier.kept()
    assert not earlier.differs_from(settings(tmp_path, "auto"))
    assert [each.name for each in plan_file(settings(tmp_path)).parent.iterdir()] == ["partitions.json"]


def test_history_start_is_a_start(tmp_path: Path) -> None:
    wanted = settings(tmp_path, history_start=date(2023, 5, 5))
    assert partition_plan(wanted).start == date(2023, 5, 5)
    assert not plan_file(wanted).exists()
    assert settle_plan(wanted, START, 1, TODAY).start == date(2023, 5, 5)


def test_more_partitions_than_dagster_bears_are_said_with_what_makes_them_fewer() -> None:
    plan = PartitionPlan(start=date(2015, 1, 1), grain="day")
    said = plan.too_many(70, TODAY)
    assert f"{partitions_by_day(plan.start, 70, TODAY):,} partitions from 2015-01-01 on" in said
    assert "`pvms grain auto`" in said
    assert plan.too_many(2, TODAY) == ""
    assert plan.model_copy(update={"grain": "month"}).too_many(70, TODAY) == ""


# --- What a selection asks for ---


def chosen(*days: str, plant: str = "A") -> list[str]:
    return [partition_key(plant, date.fromisoformat(day)) for day in days]


@pytest.mark.parametrize(
    ("dataset", "plan", "days", "start", "end"),
    [
        ("device_history", BY_DAY, ["2024-06-01"], "2024-06-01", "2024-06-01"),
        ("device_history", BY_DAY, ["2024-06-03", "2024-06-01"], "2024-06-01", "2024-06-03"),
        ("device_history", BY_MONTH, ["2024-06-01"], "2024-06-01", "2024-06-30"),
        # The month in which the partitions begin is asked from there, the current one up to today.
        ("device_history", BY_MONTH, ["2024-03-01"], "2024-03-15", "2024-03-31"),
        ("device_history", BY_MONTH, ["2025-01-01"], "2025-01-01", "2025-01-01"),
        ("plant_daily", BY_DAY, ["2024-11-01", "2024-12-01"], "2024-11-01", "2024-12-31"),
        ("plant_monthly", BY_DAY, ["2025-01-01"], "2025-01-01", "2025-01-01"),
        ("device_monthly", BY_DAY, ["2024-01-01"], "2024-01-01", "2024-12-31"),
    ],
)
def test_a_selection_asks_for_its_dates_up_to_today(
    dataset: str, plan: PartitionPlan, days: list[str], start: str, end: str
) -> None:
    request = request_for(dataset, [*chosen(*days), *chosen(*days, plant="B")], plan, LATEST)
    assert (request.start.isoformat(), request.end.isoformat()) == (start, end)
    assert request.plants == ("A", "B")
    assert request.datasets == (dataset,)


def test_what_is_no_rectangle_is_asked_for_in_blocks() -> None:
    keys = [*chosen("2024-06-01", "2024-06-02"), *chosen("2024-06-02", plant="B"), *chosen("2024-06-09", plant="B")]
    request = request_for("device_history", keys, BY_DAY, LATEST)
    assert request.blocks == (
        Block(("A",), date(2024, 6, 1), date(2024, 6, 2)),
        Block(("B",), date(2024, 6, 2), date(2024, 6, 2)),
        Block(("B",), date(2024, 6, 9), date(2024, 6, 9)),
    )
    assert (request.start, request.end) == (date(2024, 6, 1), date(2024, 6, 9))
    rectangle = [*chosen("2024-06-02", "2024-06-01"), *chosen("2024-06-01", "2024-06-02", plant="B")]
    assert request_for("device_history", rectangle, BY_DAY, LATEST).blocks == (), "a rectangle needs none"


def test_a_selection_of_plants_alone_asks_for_today() -> None:
    request = request_for("plant_yearly", ["B", "A"], BY_DAY, LATEST)
    assert (request.end, request.plants) == (LATEST, ("B", "A"))
    # It is today somewhere; in the last zone on earth, too.
    assert request.start <= LATE.astimezone(ZoneInfo("Etc/GMT+12")).date()
