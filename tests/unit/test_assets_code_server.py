"""The code server that the web server and the daemon share."""

import os
from pathlib import Path

import pytest
import yaml

from assets.code_server import Sources, code_server_of
from assets.partitions import PartitionPlan, keep_plan, partition_plan
from pipelines.settings import Settings


def test_its_folder_is_its_owners_alone_and_goes_with_it() -> None:
    with code_server_of(("-m", "assets.definitions")) as server:
        folder = server.folder
        assert folder.stat().st_mode & 0o077 == 0
        assert len(os.fsencode(server.socket)) < 100, "the longest path of a socket"
        assert not server.serves
        server.load_anew()
        (named,) = yaml.safe_load(Path(server.shared[-1]).read_text(encoding="utf-8"))["load_from"]
    assert named == {"grpc_server": {"socket": str(server.socket), "location_name": "assets.definitions"}}
    assert not folder.exists()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / ".env").write_text("PVMS_TICKS=off\n")
    return Settings(home=tmp_path / "data", env_file=tmp_path / ".env", accounts=())


def test_definitions_hang_on_the_settings_and_on_how_the_assets_are_partitioned(settings: Settings) -> None:
    sources = Sources(settings)
    assert not sources.changed()
    plan = partition_plan(settings)
    keep_plan(settings, plan)
    assert (sources.changed(), sources.changed()) == (True, False), "the first load has chosen"
    keep_plan(settings, PartitionPlan(start=plan.start, grain="month"))
    assert (sources.changed(), sources.changed()) == (True, False)
    assert settings.env_file is not None
    settings.env_file.write_text("PVMS_TICKS=on\nPVMS_HISTORY_START=2024-05-01\n")
    assert (sources.changed(), sources.changed()) == (True, False)
    settings.env_file.unlink()
    assert (sources.changed(), sources.changed()) == (True, False)
