"""What all tests share: generated examples without time limits, and no settings of the machine that runs them."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow or busy machine is no failure, so nothing about an example is timed. In CI the examples are always the
# same ones; elsewhere new ones are tried at each run.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("here", **_UNTIMED)
settings.register_profile("continuous", **_UNTIMED, derandomize=True, database=None, print_blob=True)
settings.load_profile("continuous" if os.environ.get("CI") else "here")

# A shell without job control starts what it puts into the background deaf to Ctrl-C, and its children with it.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SETTING_PREFIXES = ("SMARTPVMS_", "PVMS_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="folder that keeps the pictures of Dagster's pages (README's: docs)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with a long test first, then those with many tests: workers take them in this order, each as a whole."""
    counts = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: (item.path not in long, -counts[item.path], str(item.path)))


def _is_setting(name: str) -> bool:
    return name.upper().startswith(SETTING_PREFIXES) or name == "DAGSTER_HOME"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine() -> Iterator[None]:
    """An account or a data folder that the developer's shell names must never be reached by a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if _is_setting(name)]:
            patch.delenv(name)
        yield


@contextmanager
def _settings_put_back() -> Iterator[None]:
    """What the code under test sets (DAGSTER_HOME, dbt's variables) ends here."""
    before = {name: value for name, value in os.environ.items() if _is_setting(name)}
    yield
    for name in [name for name in os.environ if _is_setting(name) and name not in before]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="module", autouse=True)
def _settings_end_with_the_module(_no_settings_of_this_machine: None) -> Iterator[None]:
    """What a module's fixtures set doesn't reach the next module."""
    with _settings_put_back():
        yield


@pytest.fixture(autouse=True)
def _settings_end_with_the_test(_settings_end_with_the_module: None) -> Iterator[None]:
    """What a test sets doesn't reach the next test."""
    with _settings_put_back():
        yield
