"""The closing words of a load and of a plan: what is there, what waits until when, what was refused, what failed."""

import json
from datetime import UTC, datetime

import pytest

from pipelines.cli.plan import verdict
from pipelines.cli.summary import summary_lines
from pipelines.load.cost import Cost
from pipelines.load.request import LoadReport, Waiting
from pipelines.planning.estimate import Estimate

TOMORROW = datetime(2025, 3, 2, 4, 5, tzinfo=UTC)


def waiting(next_at: datetime | None = TOMORROW) -> Waiting:
    return Waiting("device_history", calls=3, cells=1200, next_at=next_at)


def text_of(report: LoadReport) -> str:
    return "\n".join(summary_lines(report))


def test_a_whole_load_counts_what_it_did() -> None:
    report = LoadReport(
        calls={"login": 1, "getKpiStationDay": 2},
        rows={"plant_daily": 1000, "device_daily": 234},
        cells={"plant_daily": 40},
        already_covered=7,
        completed=1,
        published=True,
    )
    lines = summary_lines(report)
    assert lines[0] == "3 calls, 1,234 rows landed, 40 periods read, 7 were already there, 1 partition complete."
    assert lines[-1] == "The warehouse is published."
    assert len(lines) == 2


def test_provisional_empty_and_odd_are_counted() -> None:
    report = LoadReport(provisional=1, empty=2000, suspect=2, quarantined=3, unreadable_cells=4, implausible_values=5)
    text = text_of(report)
    assert "1 period provisional" in text
    assert "2,000 empty" in text
    assert "2 periods suspect" in text
    for said in ("3 records in quarantine", "4 unreadable", "5 implausible", "ops.quarantine", "ops.schema_drift"):
        assert said in text
    assert "published" not in text


def test_the_quotas_end_says_how_much_is_left_and_when_to_go_on() -> None:
    report = LoadReport(waiting=[waiting()])
    text = text_of(report)
    assert "device_history: 3 calls with 1,200 periods left; go on at 2025-03-02 04:05 UTC" in text
    assert "--wait" in text


def test_a_quota_that_never_opens_names_no_time() -> None:
    assert "go on at" not in text_of(LoadReport(waiting=[waiting(None)]))


def test_every_refusal_and_failure_is_listed_with_its_reason() -> None:
    report = LoadReport(failures=["getDevList: HTTP 500"])
    report.refuse("plant NE=1", "its owner withdrew consent")
    report.refuse("plant NE=1", "its owner withdrew consent")
    report.refuse("alarms", "401")
    refused = [line for line in summary_lines(report) if line.startswith("Refused: ")]
    assert refused == ["Refused: plant NE=1: its owner withdrew consent", "Refused: alarms: 401"]
    assert "Failed: getDevList: HTTP 500" in summary_lines(report)


@pytest.mark.parametrize(
    ("failed", "waits", "refused", "code"),
    [
        (False, False, False, 0),
        (False, False, True, 4),
        (False, True, False, 3),
        (False, True, True, 3),
        (True, False, False, 1),
        (True, True, True, 1),
    ],
)
def test_one_code_wins_and_all_are_listed(failed: bool, waits: bool, refused: bool, code: int) -> None:
    report = LoadReport(failures=["f"] if failed else [], waiting=[waiting()] if waits else [])
    if refused:
        report.refuse("alarms", "401")
    assert report.exit_code == code
    text = text_of(report)
    assert ("Failed: f" in text, "go on at" in text, "Refused: alarms" in text) == (failed, waits, refused)


def test_the_report_is_json() -> None:
    report = LoadReport(calls={"login": 1}, waiting=[waiting(), waiting(None)])
    report.refuse("alarms", "401")
    found = json.loads(json.dumps(report.as_dict()))
    assert found["exit_code"] == 3
    assert [each["next_at"] for each in found["waiting"]] == ["2025-03-02T04:05:00+00:00", None]
    assert found["refused"] == [{"what": "alarms", "why": "401"}]


def cost(*estimates: Estimate, wanted: int = 10, covered: int = 4) -> Cost:
    return Cost({f"dataset {number}": each for number, each in enumerate(estimates)}, wanted, covered)


def test_a_plan_says_the_days_that_it_takes() -> None:
    text = verdict(cost(Estimate("getKpiStationDay", 50, 50, 25, 25, 2), Estimate("getDevList", 1, 1, 25, 25, 1)))
    assert text.startswith("51 calls, done in 2 days of quota; 4 of 10 wanted periods are final already")


def test_a_plan_within_the_day_is_done_today() -> None:
    assert "done today" in verdict(cost(Estimate("getDevList", 1, 1, 25, 25, 1)))


def test_a_plan_that_no_quota_carries_says_so() -> None:
    assert "never" in verdict(cost(Estimate("getDevHistoryKpi", 1, 1, 0, 0, None)))


def test_nothing_to_do_is_said() -> None:
    assert verdict(cost(wanted=4)) == "Nothing to do: 4 of 4 wanted periods are final already."
