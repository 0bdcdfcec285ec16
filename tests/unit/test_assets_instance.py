"""Dagster's folder under `PVMS_HOME`: its configuration is understood, and another folder is refused."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import InstanceType
from dagster._core.scheduler.instigation import InstigatorType, TickStatus

from assets.home import CONFIG_FILE, dagster_home, make_dagster_home
from assets.instance import kept_open, open_instance, refuse_other_instance
from pipelines.settings import Settings, SettingsError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", env_file=None)


def test_the_configuration_says_what_we_mean(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert instance._instance_type is InstanceType.PERSISTENT
        assert instance.root_directory == str(dagster_home(settings.home))
        assert instance.telemetry_enabled is False
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 30
        limits = instance.get_concurrency_config()
        assert limits.pool_config.default_pool_limit == 1
        assert limits.pool_config.pool_granularity is not None
        assert limits.pool_config.pool_granularity.value == "run"
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 3
        # A code server that loads anew fails no run.
        assert limits.run_queue_config.max_user_code_failure_retries == 5
        # Ticks that led to nothing go by themselves.
        assert instance.get_tick_retention_settings(InstigatorType.SCHEDULE)[TickStatus.SKIPPED] == 30
        assert instance.get_tick_retention_settings(InstigatorType.SENSOR)[TickStatus.SKIPPED] == 7


def test_a_changed_configuration_stays(settings: Settings) -> None:
    config = make_dagster_home(settings.home) / CONFIG_FILE
    config.write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    make_dagster_home(settings.home)
    assert config.read_text(encoding="utf-8") == "telemetry:\n  enabled: false\n"
    with open_instance(settings) as instance:
        assert not instance.run_monitoring_enabled


def test_a_temporary_instance_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(SettingsError, match=r"forget them.*pvms ui"):
        refuse_other_instance(settings)


def test_the_records_of_another_home_are_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "other" / "state" / "dagster"))
    with pytest.raises(SettingsError, match=f"{settings.home}.*{dagster_home(settings.home)}"):
        refuse_other_instance(settings)


def test_the_right_folder_is_taken_also_through_a_link(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dagster_home(settings.home)
    (tmp_path / "link").symlink_to(settings.home)
    for home in (settings.home, tmp_path / "link"):
        monkeypatch.setenv("DAGSTER_HOME", str(home / "state" / "dagster"))
        refuse_other_instance(settings)


def test_the_records_stay_open_so_that_events_are_cheap(settings: Settings) -> None:
    event = dg.AssetMaterialization(dg.AssetKey(["raw", "plants"]))
    with open_instance(settings) as instance:
        log = dagster_home(settings.home) / "history" / "runs" / "index.db-wal"
        with kept_open(settings.home, "a run that wrote nothing"):
            instance.report_runless_asset_event(event)
            assert log.stat().st_size
        # Whoever leaves last writes the log back, which costs more than the event.
        assert not log.exists()
        assert not (log.parent / "a run that wrote nothing.db").exists()


def test_where_the_records_are_elsewhere_nothing_is_kept_open(settings: Settings) -> None:
    with kept_open(settings.home, "a run"):
        assert not dagster_home(settings.home).exists()
