"""Real commands as processes: six at once share one login, and no secret is anywhere but in the token cache."""

import json
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from truth.running import PATIENCE_SECONDS, PVMS, environment, pvms

from pipelines.lake.paths import paths_of
from pipelines.simulator.faults import Faults
from pipelines.simulator.oauth import OAuthSetup
from pipelines.simulator.server import Simulator
from pipelines.simulator.world import World, build_world

pytestmark = [pytest.mark.slow, pytest.mark.long]

DAY = "2025-06-15"
PASSWORD = 'pa55 "wörd" & <more>'
WRONG = "an-0ther-passw0rd"
HOOK = "http://127.0.0.1:9/hooks/h00k-s3cret"
CLIENT_SECRET = "cl1ent-s3cret"
ONLY_HERE = "tokens.json"


@pytest.fixture(scope="module")
def world() -> World:
    """One home with an inverter, a battery and a meter."""
    return build_world("single", 1)


class TokensHandedOut(list[str]):
    """Every token that a simulator's sessions give out."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__()
        self._login = simulator.service.sessions.login
        simulator.service.sessions.login = self._noted  # type: ignore[method-assign]

    def _noted(self, account: str, password: str, now: float) -> str:
        token = self._login(account, password, now)
        self.append(token)
        return token


def forms(secret: str) -> set[bytes]:
    """A secret as it is, and as JSON, a web address or a Python text would write it."""
    written = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return {text.encode() for text in (*written, quote(secret), quote(secret, safe=""))}


def everything_written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below the folder, and what the warehouse's own tables say, which no reader of bytes could see."""
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            yield str(file.relative_to(folder)), file.read_bytes()
    for home in (each.parent for each in folder.rglob("warehouse.duckdb")):
        with duckdb.connect(str(paths_of(home).published), read_only=True) as connection:
            tables = connection.sql(
                "select schema_name, table_name from duckdb_tables() where schema_name in ('ops', 'marts')"
            ).fetchall()
            for schema, table in tables:
                rows = connection.sql(f"select * from {schema}.{table}").fetchall()
                yield f"{schema}.{table}", str(rows).encode()


def assert_said_nowhere(secrets: dict[str, str], places: Iterator[tuple[str, bytes]]) -> None:
    found = [
        (name, where)
        for where, content in places
        for name, secret in secrets.items()
        if any(form in content for form in forms(secret))
        and not (Path(where).name == ONLY_HERE and name.startswith("token"))
    ]
    assert found == []


def test_six_loads_at_once_make_one_login(world: World, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with Simulator(world, log_file=log) as simulator:
        home = tmp_path / "home"
        command = [str(PVMS), "load", "--from", DAY, "--to", DAY, "--dataset", "plant_daily"]
        at_once = [
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environment(home, simulator.base_url),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
        ]
        ended = [(process.communicate(timeout=PATIENCE_SECONDS)[1], process.returncode) for process in at_once]
        assert [code for _, code in ended] == [0] * 6, ended
        assert len(simulator.log.calls("login")) == 1
        assert len(simulator.log.calls("getKpiStationDay")) == 1, "and one of them asked for the data"
        assert not simulator.log.calls(ok=False)


def test_no_secret_is_anywhere_after_runs_with_faults(world: World, tmp_path: Path) -> None:
    faults = Faults(
        kill_session="every=4,times=2",
        html="every=6,times=2",
        other_shape="getKpiStationHour,once",
        cut_body="getKpiStationDay,once",
        too_frequent_sentence="getKpiStationMonth,once",
        deny="getDevKpiYear",
        cut_connection="getDevHistoryKpi,once",
    )
    setup = OAuthSetup(client_secret=CLIENT_SECRET)
    said: list[tuple[str, bytes]] = []

    def run(home: Path, base_url: str, *arguments: str, codes: tuple[int, ...], **further: str) -> None:
        done = pvms(home, base_url, *arguments, PVMS_NOTIFY_URL=HOOK, PVMS_LOG_LEVEL="DEBUG", **further)
        assert done.returncode in codes, done.stderr[-3000:]
        assert "Traceback" not in done.stderr, done.stderr[-3000:]
        said.append((" ".join(arguments), (done.stdout + done.stderr).encode()))

    log = tmp_path / "requests.jsonl"
    with Simulator(world, faults=faults, password=PASSWORD, oauth=setup, log_file=log) as simulator:
        tokens = TokensHandedOut(simulator)
        load = ["load", "--from", DAY, "--to", DAY]
        home, base_url = tmp_path / "home", simulator.base_url
        run(home, base_url, *load, codes=(0, 1, 3, 4), SMARTPVMS_PASSWORD=PASSWORD)
        run(home, base_url, *load, codes=(0, 1, 3, 4), SMARTPVMS_PASSWORD=PASSWORD)
        run(tmp_path / "wrong" / "home", base_url, *load, codes=(1,), SMARTPVMS_PASSWORD=WRONG)
        run(home, base_url, "status", codes=(0, 1), SMARTPVMS_PASSWORD=PASSWORD)
        run(home, base_url, "doctor", codes=(0, 1), SMARTPVMS_PASSWORD=PASSWORD)
        now = datetime.now(UTC).timestamp()
        form = {
            "grant_type": "authorization_code",
            "code": simulator.oauth.consent(now=now),
            "client_id": setup.client_id,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": setup.redirect_uri,
        }
        granted = json.loads(simulator.oauth.token(form, now).body)
        owner = {
            "SMARTPVMS_AUTH": "oauth",
            "SMARTPVMS_OAUTH_URL": base_url,
            "SMARTPVMS_CLIENT_ID": setup.client_id,
            "SMARTPVMS_CLIENT_SECRET": CLIENT_SECRET,
            "SMARTPVMS_REDIRECT_URI": setup.redirect_uri,
            "SMARTPVMS_REFRESH_TOKEN": granted["refresh_token"],
        }
        by_consent = tmp_path / "consent" / "home"
        run(by_consent, base_url, *load, "--dataset", "plant_daily", codes=(0, 1, 3, 4), **owner)
        simulator.oauth.revoke("owner")
        run(by_consent, base_url, *load, "--dataset", "plant_hourly", codes=(1,), **owner)
        kept = json.loads((by_consent / "state" / ONLY_HERE).read_bytes())
        assert {record.fault for record in simulator.log} >= {"kill_session", "html", "cut_body"}
    assert len(tokens) >= 3
    secrets = {"password": PASSWORD, "wrong password": WRONG, "webhook": HOOK.rpartition("/")[2]}
    secrets |= {"client secret": CLIENT_SECRET, "token refresh": granted["refresh_token"]}
    secrets |= {f"token {number}": token for number, token in enumerate(tokens)}
    secrets |= {f"token of {name}": text for name, text in texts_of(kept) if text[:2] in ("a-", "r-")}
    assert_said_nowhere(secrets, iter([*said, *everything_written(tmp_path)]))
    caches = list(tmp_path.rglob(ONLY_HERE))
    assert len(caches) == 3 and {stat.S_IMODE(file.stat().st_mode) for file in caches} == {0o600}
    assert any(token.encode() in (home / "state" / ONLY_HERE).read_bytes() for token in tokens), "the search finds it"


def texts_of(content: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with the key that it stands under."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from texts_of(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from texts_of(value, name)
    elif isinstance(content, str):
        yield name, content
