"""What an operator sees, in a real browser on a real `pvms ui`: partitions, a chart, checks, a finished backfill.

The pictures of the README are made by this test:

    pytest -m slow -n 0 tests/integration/test_ui_pages.py --pictures docs/pictures
"""

import base64
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest
from browser import ABSENT, CHROMIUM, DRIVER, Browser
from test_dagster_commands import Fleet, ask, needs_proc, ui

from assets.launch import load_through_dagster
from pipelines.load.request import LoadRequest, Silent
from pipelines.settings import load_settings
from pipelines.simulator.fleets import FLEETS, FREIBURG, LEIPZIG, TOLEDO, FleetBuilder
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(3000),
    needs_proc,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=ABSENT),
]

LAST = datetime.now(UTC).date() - timedelta(days=3)
FIRST = LAST - timedelta(days=4)

UNFOLD = """
const folded = [...document.querySelectorAll("*")].filter(e => !e.children.length && e.textContent == "[Show Markdown]")
folded[0]?.click()
return folded.length
"""
"""Dagster shows Markdown on demand."""

WIDTH = """
const chart = document.querySelector("img[src^='data:image/svg']")
chart?.scrollIntoView({block: "center"})
return chart?.naturalWidth || 0
"""

MOVING = """
return document.getAnimations().filter(a => a.playState == "running" && isFinite(a.effect.getComputedTiming().endTime))
    .length
"""

LAUNCH_BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""

BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""

GOING_ON = ("REQUESTED", "IN_PROGRESS", "COMPLETING", "CANCELING", "FAILING")


class Camera(Browser):
    """A browser on the pages of one `pvms ui` that keeps what it sees."""

    def __init__(self, profile: Path, port: int, pictures: Path) -> None:
        super().__init__(profile)
        self._pages, self._pictures = f"http://127.0.0.1:{port}", pictures
        self.resize(1200, 800)

    def visit(self, path: str, *words: str) -> None:
        """Open a page and wait until it says all of these words."""
        self.open(f"{self._pages}{path}")
        self.until(lambda: all(each in self.text("body") for each in words))

    def unfold(self) -> None:
        """Open the first Markdown of the page, and wait for its chart; a broken picture has no width."""
        self.until(lambda: bool(self.run(UNFOLD)))
        self.until(lambda: int(self.run(WIDTH)) > 300)

    def take(self, name: str) -> None:
        """Keep a picture of the window, once nothing moves in it but what always does."""
        self.until(lambda: not self.run(MOVING))
        picture = base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))
        assert picture.startswith(b"\x89PNG")
        (self._pictures / f"{name}.png").write_bytes(picture)


def three_roofs() -> FleetBuilder:
    """Homes of two zones, each with an inverter and a meter."""
    fleet = FleetBuilder()
    for name, town, kwp in (
        ("Lindenhof 4", LEIPZIG, 9.8),
        ("Am Rebberg 12", FREIBURG, 14.0),
        ("Olivar 7", TOLEDO, 6.4),
    ):
        fleet.home(fleet.plant(name, town, kwp, "2024-03-12T10:30:00"), phases=3)
    return fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Five days of three plants, published and looked at."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FLEETS, "roofs", three_roofs)
        world = World("roofs")
    with Simulator(world) as simulator:
        lines = {
            "PVMS_HOME": "data",
            "SMARTPVMS_BASE_URL": simulator.base_url,
            "SMARTPVMS_USERNAME": simulator.username,
            "SMARTPVMS_PASSWORD": simulator.password,
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
        request = LoadRequest(FIRST, LAST, ("plant_hourly", "device_history"))
        done = load_through_dagster(load_settings(folder), request, Silent())
        assert done.exit_code == 0, done.as_dict()
        yield Fleet(folder, simulator, world.plants[0].code)


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where pictures are kept: beside the test, unless somebody wants them."""
    folder: Path = request.config.getoption("--pictures") or tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_pages_that_an_operator_looks_at(fleet: Fleet, tmp_path: Path, pictures: Path) -> None:
    with fleet.instance() as instance:
        keys = [f"{LAST}|{plant}" for plant in instance.get_dynamic_partitions("plants")]
    assert len(keys) == 3
    calls = len(list(fleet.simulator.log))
    with ui(fleet, signal.SIGINT) as port:
        # Of what is there already: it is recorded for the backfill, without a call and without a build.
        backfill = launch_backfill(port, "plant_hourly", keys)
        # Else each page is covered by an invitation to Dagster's newsletter.
        assert ask(port, "mutation { setNuxSeen }")["setNuxSeen"]
        with Camera(tmp_path / "profile", port, pictures) as browser:
            browser.visit("/assets/raw/device_history?view=checks", "completeness", "left_behind", "conversion_loss")
            browser.take("ui-checks")
            browser.visit("/assets/marts/fct_inverter_5min?view=events", "energy_by_power_kwh")
            browser.unfold()
            browser.take("ui-power")
            finished(port, backfill)
            browser.visit(f"/runs/b/{backfill}", "plant_hourly", "Succeeded", "100% completed")
            browser.take("ui-backfill")
            one = f"/assets/raw/plant_hourly?view=partitions&partition={quote(keys[0])}"
            browser.visit(one, f"Materialized ({len(keys) * 5})", keys[0], "dagster/partition_row_count\n24")
            browser.take("ui-partitions")
    assert len(list(fleet.simulator.log)) == calls


def launch_backfill(port: int, dataset: str, keys: list[str]) -> str:
    """Launch a backfill as the UI does; its id."""
    params = {"assetSelection": [{"path": ["raw", dataset]}], "partitionNames": keys}
    launched = ask(port, LAUNCH_BACKFILL, {"params": params})["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def finished(port: int, backfill: str) -> None:
    """Wait until a backfill has ended well."""
    between = Event()
    while (status := backfill_status(port, backfill)) in GOING_ON:
        between.wait(0.5)
    assert status == "COMPLETED_SUCCESS"


def backfill_status(port: int, backfill: str) -> str:
    return str(ask(port, BACKFILL_STATUS, {"id": backfill})["partitionBackfillOrError"]["status"])
