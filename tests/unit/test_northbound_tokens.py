"""The cache file that all processes share."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.northbound.tokens import Entry, TokenCache

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HERE = ("https://eu5.example", "api")
THERE = ("https://intl.example", "api")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens.json"


def test_a_token_is_kept_per_server_and_user(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_token(*HERE, "one", NOON)
    cache.put_token(*THERE, "two", NOON)
    again = TokenCache(path)
    assert again.live_token(*HERE, NOON) == "one"
    assert again.live_token("https://EU5.example/", "api", NOON) == "one", "the same server, written otherwise"
    assert again.live_token(*THERE, NOON) == "two"
    assert again.live_token(HERE[0], "API", NOON) is None
    assert again.live_token(HERE[0], "other", NOON) is None


def test_only_the_owner_may_read_it(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_token(*HERE, "one", NOON)
    path.chmod(0o644)
    cache.put_token(*HERE, "two", NOON)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_a_token_lives_thirty_minutes_from_its_last_use(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_token(*HERE, "one", NOON)
    cache.touch(*HERE, "one", NOON + timedelta(minutes=20))
    assert cache.live_token(*HERE, NOON + timedelta(minutes=49)) == "one"
    assert cache.live_token(*HERE, NOON + timedelta(minutes=50)) is None


def test_touching_a_token_that_was_replaced_does_nothing(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_token(*HERE, "two", NOON)
    cache.touch(*HERE, "one", NOON + timedelta(minutes=20))
    cache.drop_token(*HERE, "one")
    assert cache.get(*HERE).used_at == NOON
    cache.drop_token(*HERE, "two")
    assert cache.live_token(*HERE, NOON) is None


def test_a_refusal_stands_for_one_secret_and_does_not_tell_it(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_refusal(*HERE, "old secret", code=20400, message="no", now=NOON)
    found = TokenCache(path).refusal(*HERE, "old secret")
    assert found is not None
    assert (found.code, found.message, found.at) == (20400, "no", NOON)
    assert cache.refusal(*HERE, "new secret") is None
    assert cache.refusal(*THERE, "old secret") is None
    assert b"old secret" not in path.read_bytes()
    cache.put_refusal(*HERE, "other secret", code=20400, message="no", now=NOON)
    cache.forget_refusal(*HERE, "old secret")
    assert cache.refusal(*HERE, "old secret") is None
    assert cache.refusal(*HERE, "other secret") is not None


def test_the_same_secret_is_hashed_differently_each_time(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_refusal(*HERE, "s", code=None, message="", now=NOON)
    cache.put_refusal(*THERE, "s", code=None, message="", now=NOON)
    accounts = json.loads(path.read_text())["accounts"].values()
    assert len({each["refusals"][0]["digest"] for each in accounts}) == 2


def test_who_has_an_old_secret_neither_ends_a_session_nor_is_forgotten(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_token(*HERE, "one", NOON)
    cache.put_refusal(*HERE, "old", code=20400, message="no", now=NOON)
    assert cache.live_token(*HERE, NOON) == "one", "another secret's token lives on"
    cache.put_token(*HERE, "two", NOON)
    assert cache.refusal(*HERE, "old") is not None, "and the old secret isn't tried again"
    for number in range(9):
        cache.put_refusal(*HERE, f"typo {number}", code=20400, message="no", now=NOON)
    assert cache.refusal(*HERE, "typo 8") is not None and cache.refusal(*HERE, "typo 0") is None


def test_a_refusal_that_an_earlier_version_kept_still_stands(path: Path) -> None:
    cache = TokenCache(path)
    cache.put_refusal(*HERE, "old", code=20400, message="no", now=NOON)
    content = json.loads(path.read_text())
    (entry,) = content["accounts"].values()
    entry["refusal"] = entry.pop("refusals")[0]
    path.write_text(json.dumps(content))
    assert cache.refusal(*HERE, "old") is not None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"accounts": 3}',
        '{"accounts": {"https://eu5.example api": {"token": 1, "used_at": "x"}}}',
    ],
)
def test_a_file_that_cannot_be_read_costs_a_login_and_no_more(path: Path, content: str) -> None:
    cache = TokenCache(path)
    path.write_text(content)
    assert cache.live_token(*HERE, NOON) is None
    cache.put_token(*HERE, "one", NOON)
    assert cache.live_token(*HERE, NOON) == "one"


def test_writers_do_not_lose_each_others_entries(path: Path) -> None:
    cache = TokenCache(path)
    users = [f"user{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda user: TokenCache(path).put_token(HERE[0], user, f"token of {user}", NOON), users))
    assert [cache.live_token(HERE[0], user, NOON) for user in users] == [f"token of {user}" for user in users]


def test_the_token_stays_out_of_print() -> None:
    assert "hidden" not in repr(Entry(token="hidden", used_at=NOON))
