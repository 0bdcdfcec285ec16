"""`pvms report`: one page, whole in itself, right in its figures, harmless whatever the names hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from browser import ABSENT, CHROMIUM, DRIVER, Browser
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli.app import app

EVIL = "</title><script>alert(1)</script>\"'><img src=http://evil.example/x>\n=1+1"
TABLES = """
create schema staging; create schema marts; create schema ops;
create table staging.stg_plants as
    select 'P' || n as plant_code, case n when 1 then $evil else 'Plant ' || n end as plant_name,
        48.0e0 + n * 0.001e0 as latitude, 11.0e0 as longitude, 'Europe/Berlin' as time_zone
    from range(1, 8) as numbers (n);
update staging.stg_plants set latitude = 0, longitude = 0 where plant_code = 'P7';
create table ops.plant_overrides as
    select 'P1' as plant_code, 30.0e0 as tilt, 180.0e0 as azimuth, 'EUR' as currency;
create table marts.fct_plant_day as
    select plant_code, plant_name, time_zone, day::date as local_date,
        case when plant_code = 'P6' then null else 10.0e0 * substr(plant_code, 2)::int end as pv_energy_kwh,
        10.0e0 as p0_kwp, pv_energy_kwh / p0_kwp as specific_yield_kwh_kwp,
        case when plant_code = 'P2' then 4.0e0 end as irradiation_kwh_m2, plant_code = 'P2' as pr_inputs_complete,
        case when plant_code = 'P2' then 50.0e0 end as pr_unverified_plane_pct,
        case plant_code when 'P3' then 80 when 'P7' then null else 100 end as inverter_slots_received,
        100 as inverter_slots_expected,
        case plant_code when 'P3' then 0.8e0 when 'P7' then null else 1.0e0 end as inverter_completeness,
        day = date '2026-06-30' as is_provisional, plant_code = 'P2' as has_battery, plant_code = 'P2' as has_meter,
        5.0e0 as feed_in_energy_kwh, 2.0e0 as purchased_energy_kwh, 9.0e0 as consumption_kwh,
        case plant_code when 'P2' then 12.0e0 when 'P3' then 5.0e0 end as self_used_pv_energy_kwh,
        case when plant_code = 'P2' then 8.0e0 end as battery_charged_energy_kwh,
        case when plant_code = 'P2' then 7.2e0 end as battery_discharged_energy_kwh,
        case when plant_code = 'P1' and day > date '2026-06-10' then null
            when plant_code in ('P1', 'P2') then 1.5e0 end as revenue,
        case when plant_code < 'P6' then 3.0e0 end as peer_specific_yield_kwh_kwp,
        case when plant_code = 'P2' then if(day > date '2026-06-20', 'HRK', 'CHF') end as tariff_currency,
        case when plant_code = 'P2' then 0.2e0 end as bill, case when plant_code = 'P2' then 0.6e0 end as purchase_cost,
        case when plant_code = 'P2' then 0.4e0 end as feed_in_earnings,
        case when plant_code = 'P2' then 2.5e0 end as savings,
        case when plant_code = 'P3' then 90.0e0 end as up_kwp_h,
        case when plant_code = 'P3' then 120.0e0 end as judged_kwp_h,
        case when plant_code = 'P3' then 75.0e0 end as availability_pct,
        case when plant_code = 'P3' then 2.5e0 when plant_code = 'P4' then 0.5e0 else 0.0e0 end as inverter_down_h,
        case when plant_code = 'P3' and day > date '2026-06-02' then 4.0e0 end as lost_energy_kwh,
        null::double as curtailed_energy_kwh, case when plant_code = 'P4' then 1.0e0 end as clipped_energy_kwh,
        case when plant_code in ('P1', 'P6') then 25.0e0 end as clear_sky_energy_kwh,
        case when plant_code = 'P1' then 60.0e0 end as clear_sky_ratio_pct, false as is_running,
        concat_ws(
            '; ', case when plant_code = 'P6' then 'pv_energy: no report' end,
            case when plant_code not in ('P1', 'P6')
                then 'clear_sky_energy: no tilt and azimuth in the plants file' end,
            case plant_code when 'P6' then 'peer_yield_ratio: fewer than 5 peers with a yield'
                when 'P7' then 'peer_yield_ratio: no coordinates' end
        ) as kpi_gaps, null::varchar as kpi_flags,
        'final' as report_state, case when plant_code = 'P5' then 'denied' else 'final' end as history_state
    from staging.stg_plants, range(date '2026-06-01', date '2026-07-01', interval 1 day) as days (day);
create table marts.fct_battery_month as
    select 'P2' as plant_code, device_id, month::date as month_start, last_day(month) as round_trip_to,
        round_trip_pct
    from (
        values (1, date '2026-05-01', 99.0e0), (1, date '2026-06-01', 90.0e0), (2, date '2026-06-01', 88.4e0),
            (3, date '2026-06-01', null)
    ) as months (device_id, month, round_trip_pct);
create table staging.stg_alarms as
    select 'P1' as plant_code, 'INV <b>1</b>' as device_name, 'SN' as device_sn, 7 as alarm_id, $evil as alarm_name,
        'Süd & <i>' as alarm_cause, 1 as severity_code, 'critical' as severity,
        timestamptz '2026-06-10 10:00:00+00' as raise_time_utc, timestamp '2026-06-10 12:00:00' as local_time,
        timestamptz '2026-06-20 10:00:00+00' as last_seen_at_utc, null::timestamptz as cleared_before_utc
"""
OVERFLOWING = "[...document.querySelectorAll('.tile b')].filter(each => each.scrollWidth > each.clientWidth)"
JUNE = ("--from", "2026-06-01", "--to", "2026-06-30")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with duckdb.connect(home / "warehouse.duckdb") as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        for statement in TABLES.split(";\n"):
            warehouse.execute(statement, {"evil": EVIL} if "$evil" in statement else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVMS_HOME", str(home))
        patch.chdir(home)
        yield home


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["report", *arguments])
    assert "Traceback" not in result.output
    return result


class Reader(HTMLParser):
    """Tags, addresses and texts of a page, by row of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.rows: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset")]
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data) -> None:
        if self.rows:
            self.rows[-1] += f" {data.strip()}"

    def row(self, name: str) -> str:
        return re.sub(r"\s+", " ", next(each for each in self.rows if name in each))


@pytest.fixture(scope="module")
def page(home: Path) -> str:
    result = invoke(*JUNE, "--out", str(home / "june.html"), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["path"] == str(home / "june.html")
    return (home / "june.html").read_text(encoding="utf-8")


def test_the_page_is_whole_in_itself_and_runs_nothing(page: str) -> None:
    reader = Reader(page)
    assert not {"script", "iframe", "img", "object", "form", "base"} & set(reader.tags)
    assert reader.addresses == ["data:,"]
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


def test_names_are_text_whatever_they_hold(page: str) -> None:
    assert "<script>alert" not in page
    assert "&lt;/title&gt;&lt;script&gt;alert(1)" in page
    assert "INV &lt;b&gt;1&lt;/b&gt;" in page


def test_figures_are_those_of_the_facts(page: str) -> None:
    reader = Reader(page)
    # 30 days of 10, 20, 30, 40, 50 and 70 kWh.
    assert re.search(r'id="energy">6\N{NARROW NO-BREAK SPACE}600\.0', page)
    # Against the median that the facts have of the other plants around.
    assert "133 %" in reader.row("Plant 4")
    assert "67 %" in reader.row("Plant 2")
    assert "no coordinates" in reader.row("Plant 7")
    assert "daylight not known" in reader.row("Plant 7")
    assert "50.0 %" in reader.row("Plant 2")
    assert "plane not verified" in reader.row("Plant 2")
    # 10 of 25 kWh a day; P6 has the bound but no energy.
    assert "40 %" in next(row for row in reader.rows if "</title>" in row and "300.0" in row)
    assert "no tilt and azimuth" in reader.row("Plant 3")
    assert "no PV energy" in reader.row("Plant 6")
    assert "clear sky energy no tilt and azimuth in the plants file 5" in reader.row("clear sky energy")
    assert "0 of 30 days" in reader.row("Plant 6")
    # 1.5 for each of ten days, of 10 kWh each: days without revenue count in neither.
    assert "EUR 15.00 150.00 1 10" in reader.row("EUR")
    battery = next(row for row in reader.rows if "Plant 2" in row and "240.0" in row)
    assert "90 %, 88 %" in re.sub(r"\s+", " ", battery)
    assert "no report 1" in reader.row("pv energy")
    # A sum per currency, though it is one plant's.
    assert "CHF 4.00 12.00 8.00 50.00 1 20" in reader.row("CHF")
    assert "HRK 2.00 6.00 4.00 25.00 1 10" in reader.row("HRK")


def test_tiles_are_of_like_plants(page: str) -> None:
    tiles = dict(re.findall(r'class="tile"><span>(.*?)</span><b[^>]*>(.*?)</b>', page))
    # Of 1, 2, 3, 4, 5 and 7 kWh/kWp.
    assert tiles["Specific yield, median"] == "3.50"
    # 12 of 20 kWh: P3 says what it used itself, though it has no meter.
    assert tiles["Self-consumption"] == "60.0 %"


def test_a_gap_is_told_once(page: str) -> None:
    gaps = [re.sub(r"\s+", " ", row).strip() for row in Reader(page).rows if "peer yield ratio" in row]
    for gap in ("peer yield ratio fewer than 5 peers with a yield 1", "peer yield ratio no coordinates 1"):
        assert len([row for row in gaps if row.startswith(gap)]) == 1
    assert len(gaps) == 2


def test_inverters_that_were_down_are_there_with_what_they_lost(page: str) -> None:
    rows = [re.sub(r"\s+", " ", row) for row in Reader(page).rows if " h " in row]
    assert [row.strip()[:7] for row in rows] == ["Plant 3", "Plant 4"]
    assert "75.0 % 75.0 h 112.0 kWh and 2 days unknown – not known – no AC rating" in rows[0]
    assert "– too much is unknown 15.0 h – nothing to compare with – not known 30.0 kWh" in rows[1]


def test_the_calendar_tells_holes_refusals_and_what_may_change(page: str) -> None:
    for kind, number in (("part", 29), ("deny", 30), ("soon", 6), ("good", 29 * 4), ("dusk", 29)):
        assert len(re.findall(f'class="cell {kind}"', page)) == number, kind


def test_dates_without_data_and_single_plants(home: Path) -> None:
    empty = invoke("--from", "2020-01-01", "--to", "2020-01-02")
    assert empty.exit_code == 0
    assert "Nothing is known of these inverters" in empty.stdout
    assert "pvms load --from 2020-01-01" in empty.stdout
    single = invoke(*JUNE, "--plant", "P2", "--title", "<Hof>")
    assert "<title>&lt;Hof&gt;," in single.stdout
    assert "Plant 3" not in single.stdout


@pytest.mark.parametrize(("first", "last"), [("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31")])
def test_the_ends_of_the_calendar_are_dates_without_data(home: Path, first: str, last: str) -> None:
    assert invoke("--from", first, "--to", last).exit_code == 0


def test_a_span_that_no_page_can_show_is_refused(home: Path) -> None:
    result = invoke("--from", "2020-01-01", "--to", "9999-12-31")
    assert result.exit_code == 2
    assert "1100 days at most" in result.stderr


def test_the_page_is_utf_8_whatever_the_terminal_speaks(home: Path) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "report", *JUNE, "--title", "Höfe Süd"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "<title>Höfe Süd, 2026-06-01" in ended.stdout.decode("utf-8")


def test_a_warehouse_of_another_version_says_what_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(home / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with duckdb.connect(tmp_path / "warehouse.duckdb") as warehouse:
        warehouse.execute("alter table marts.fct_plant_day drop column clear_sky_energy_kwh")
    monkeypatch.setenv("PVMS_HOME", str(tmp_path))
    result = invoke(*JUNE)
    assert result.exit_code == 1
    assert "clear_sky_energy_kwh" in result.stderr
    assert "pvms load" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--from", "2026-06-02", "--to", "2026-06-01"], [*JUNE, "--plant", "P9"], [*JUNE, "--out", "/no/such/folder/x"]],
)
def test_wrong_usage(home: Path, arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=ABSENT)
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_a_network_at_the_width_of_a_phone_and_a_desk(
    page: str, home: Path, tmp_path: Path, width: int
) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.resize(width, 900)
        browser.open((home / "june.html").as_uri())
        for section in ("production", "plants", "completeness", "alarms", "inverters", "battery", "money", "gaps"):
            assert browser.text(f"#{section} h2")
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.run("return performance.getEntriesByType('resource').length") == 0
        assert browser.run(f"return {OVERFLOWING}.length") == 0
        drawn = "[...document.querySelectorAll('rect.bar')].filter(each => each.getBBox().height > 0)"
        assert browser.run(f"return {drawn}.length") == 30 + 2 * 30
        shown = browser.run("return getComputedStyle(document.querySelector('#plants thead')).display")
        assert (shown == "none") == (width < 640)


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=ABSENT)
def test_a_sheet_of_paper_holds_every_column(page: str, home: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        # A4 between its margins; what the page says of print holds for the window.
        browser.resize(703, 900)
        browser.open((home / "june.html").as_uri())
        browser.run(
            "for (const rule of document.styleSheets[0].cssRules)"
            " if (rule.media && rule.media.mediaText === 'print') rule.media.mediaText = 'all'"
        )
        assert browser.run("return getComputedStyle(document.documentElement).fontSize") == "11px"
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.run(f"return {OVERFLOWING}.length") == 0
        for part in ("section table", ".chart"):
            wide = "each => each.scrollWidth > each.parentElement.clientWidth"
            assert browser.run(f"return [...document.querySelectorAll('{part}')].filter({wide}).length") == 0, part
