"""Faults that the simulator plays on request: what servers in the wild are known to do, and what networks do.

Each is one field of :class:`Faults`; the command line takes the same names as text, ``name`` or ``name=value``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args

from pipelines.simulator.protocol import READ_ENDPOINTS

Once = bool | str
"""False: never; True: on the first read request; a name: on the first request of that endpoint."""
TokenForm = Literal["lower", "upper", "cookie_only", "header_only"]

TOKEN_FORMS: Final[tuple[TokenForm, ...]] = get_args(TokenForm)


@dataclass(frozen=True)
class Faults:
    """Which faults are played; the default is none."""

    deny: Collection[str] = field(
        default=(), metadata={"value": "ENDPOINT", "help": "no permission for this endpoint: 401"}
    )
    unauthorized_plant: Collection[str] = field(
        default=(),
        metadata={"value": "CODE", "help": "owner withdrew consent: a batch that holds the plant fails with 20056"},
    )
    string_fail_codes: bool = field(default=False, metadata={"help": 'failCode as text, "407" instead of 407'})
    empty_login_refusal: bool = field(
        default=False, metadata={"help": "a wrong login gets HTTP 200 with an empty body, as older servers do"}
    )
    header_token: TokenForm | None = field(
        default=None,
        metadata={
            "value": "|".join(TOKEN_FORMS),
            "help": "how login hands out the token: header and cookie in lower or upper case, or one of them alone",
        },
    )
    wrong_content_type: bool = field(default=False, metadata={"help": "JSON that calls itself text/plain"})
    cut_short_paging: bool = field(
        default=False, metadata={"help": "the plant list announces more than its pages hold"}
    )
    http_500_every: int | None = field(
        default=None, metadata={"value": "N", "help": "every Nth read request fails with HTTP 500"}
    )
    http_503_once: Once = field(default=False, metadata={"help": "HTTP 503 with an HTML page"})
    quota_control_403_once: Once = field(
        default=False, metadata={"help": "HTTP 403 of the system's own quota control, in its own JSON"}
    )
    too_many_429_once: Once = field(default=False, metadata={"help": "HTTP 429 with the vendor's failCode 429"})
    html_once: Once = field(default=False, metadata={"help": "HTTP 200 with an HTML page instead of JSON"})
    empty_body_once: Once = field(default=False, metadata={"help": "HTTP 200 with an empty body"})
    cut_body_once: Once = field(default=False, metadata={"help": "a JSON answer that ends half-way"})
    kill_session_every: int | None = field(
        default=None, metadata={"value": "N", "help": "every Nth read request finds its session ended: 305"}
    )
    slow: float = field(default=0.0, metadata={"value": "SECONDS", "help": "each answer takes this much longer"})

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError that names the fault and what it takes."""
        for name in ("deny", "unauthorized_plant"):
            value = getattr(self, name)
            object.__setattr__(self, name, frozenset([value] if isinstance(value, str) else value))
        for endpoint in self.deny:
            _known_endpoint("deny", endpoint)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name.endswith("_once") and isinstance(value, str):
                _known_endpoint(item.name, value)
            if item.name.endswith("_every") and value is not None and value < 1:
                raise ValueError(f"{item.name} takes a whole number from 1 on, not {value}")
        if self.header_token not in (None, *TOKEN_FORMS):
            raise ValueError(f"header_token takes {', '.join(TOKEN_FORMS)}, not {self.header_token!r}")
        if not 0 <= self.slow < float("inf"):
            raise ValueError(f"slow takes seconds from 0 on, not {self.slow}")


def parse_faults(texts: Iterable[str]) -> Faults:
    """Read faults as the command line gives them, e.g. ``["deny=getDevHistoryKpi", "html_once"]``.

    Repeated ``deny`` and ``unauthorized_plant`` add up. Raises ValueError with what is known and how it is written.
    """
    faults = Faults()
    for text in texts:
        name, given, value = text.strip().partition("=")
        name = name.strip().replace("-", "_")
        if name not in _FIELDS:
            raise ValueError(f"no fault is called {name!r}; known: {', '.join(_FIELDS)}")
        faults = replace(faults, **{name: _value(name, value.strip() if given else None, faults)})
    return faults


def describe_faults() -> list[tuple[str, str]]:
    """Return every fault as (how it is written, what it does), for a page of help."""
    lines = []
    for name, item in _FIELDS.items():
        default = "[=ENDPOINT]" if name.endswith("_once") else ""
        value = f"={item['value']}" if "value" in item else default
        once = "once: " if name.endswith("_once") else ""
        lines.append((name + value, once + item["help"]))
    return lines


def _value(name: str, value: str | None, faults: Faults) -> Any:
    takes = _FIELDS[name].get("value")
    if takes is not None and not value:
        raise ValueError(f"{name} needs a value: {name}={takes}")
    if name in ("deny", "unauthorized_plant"):
        return frozenset(getattr(faults, name)) | {value}
    if name.endswith("_once"):
        return value or True
    if takes is None:
        if value is not None:
            raise ValueError(f"{name} takes no value, but was given {value!r}")
        return True
    if name == "header_token":
        return value
    try:
        return float(value or "") if name == "slow" else int(value or "")
    except ValueError:
        raise ValueError(f"{name} takes a number ({name}={takes}), not {value!r}") from None


def _known_endpoint(name: str, endpoint: str) -> None:
    if endpoint not in READ_ENDPOINTS:
        raise ValueError(f"{name}: no endpoint is called {endpoint!r}; known: {', '.join(READ_ENDPOINTS)}")


_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {item.name: item.metadata for item in fields(Faults)}


class FaultState:
    """Remembers which faults have struck: those that come once, and the counts of those that come every Nth time."""

    def __init__(self, faults: Faults) -> None:
        """Start with nothing played yet."""
        self.faults = faults
        self._lock = threading.Lock()
        self._played: set[str] = set()
        self._counts: dict[str, int] = {}

    def once(self, name: str, endpoint: str) -> bool:
        """Tell whether the fault strikes this request, and if so never again."""
        wanted = getattr(self.faults, name)
        if wanted is False or wanted not in (True, endpoint):
            return False
        with self._lock:
            if name in self._played:
                return False
            self._played.add(name)
            return True

    def every(self, name: str) -> bool:
        """Count one more request and tell whether the fault strikes it."""
        period = getattr(self.faults, name)
        if period is None:
            return False
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1
            return bool(self._counts[name] % period == 0)
