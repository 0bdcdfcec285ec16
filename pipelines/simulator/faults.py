"""Faults that the simulator plays on request: what servers in the wild are known to do, and what networks do.

Each is one field of :class:`Faults`; the command line takes the same names as text, ``name`` or ``name=value``.
Most strike single requests and share one grammar for when they do (:mod:`pipelines.simulator.strikes`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args

from pipelines.simulator.oauth import REFUSED
from pipelines.simulator.protocol import READ_ENDPOINTS
from pipelines.simulator.strikes import GRAMMAR, Span, Strikes, When, options, span_of

Once = bool | str
"""False: never; True: on the first read request; a name: on the first request of that endpoint."""
Strike = bool | str | When | Iterable["str | When"]
"""False or empty: never; True: always; a text or a When: when it says; several: when any of them says so."""
TokenForm = Literal["lower", "upper", "cookie_only", "header_only"]

Refresh = Literal["keep", "rotate", "omit"]
REFRESHES: Final[tuple[Refresh, ...]] = get_args(Refresh)
TOKEN_FORMS: Final[tuple[TokenForm, ...]] = get_args(TokenForm)

SESSION, LOGIN, OAUTH, FLOW, SYSTEM, ANSWER, PERMISSION, FORM, SHORT = (
    "Sessions",
    "Logins (no ENDPOINT)",
    "OAuth",
    "Flow control",
    "The whole system",
    "Answers",
    "Permissions and plants (DATE by the simulator's clock; USER: for this account alone)",
    "Forms that servers differ in",
    "Short forms",
)
GROUPS: Final = (SESSION, LOGIN, OAUTH, FLOW, SYSTEM, ANSWER, PERMISSION, FORM, SHORT)
CLOSED: Final = ("deny", "unauthorized_plant", "vanish_plant")
"""Faults that close an endpoint or a plant, for a time or an account."""

_WINDOW: Final = "[,account=USER][,from=DATE][,until=DATE]"


def _strike(group: str, says: str) -> dict[str, Any]:
    return {"group": group, "help": says, "strike": True}


def _set(group: str, value: str, says: str) -> dict[str, Any]:
    return {"group": group, "value": value, "help": says, "adds": True}


def _flag(group: str, says: str) -> dict[str, Any]:
    return {"group": group, "help": says}


def _number(group: str, value: str, says: str) -> dict[str, Any]:
    return {"group": group, "value": value, "help": says, "number": True}


@dataclass(frozen=True)
class Faults:
    """Which faults are played; the default is none."""

    kill_session: Strike = field(
        default=(), metadata=_strike(SESSION, "the request finds its session ended by the server: 305")
    )
    steal_session: Strike = field(
        default=(), metadata=_strike(SESSION, "another client has just logged in with the account: 305")
    )
    token_minutes: float | None = field(
        default=None, metadata=_number(SESSION, "MINUTES", "a token lives so long after its last use, not 30")
    )

    login_refused: Strike = field(default=(), metadata=_strike(LOGIN, "20400 whatever the password"))
    login_locked: Strike = field(
        default=(), metadata=_strike(LOGIN, "the account gets locked for 30 minutes, as five wrong passwords do: 20400")
    )
    login_limited: Strike = field(default=(), metadata=_strike(LOGIN, "407 to the login"))
    login_empty: Strike = field(default=(), metadata=_strike(LOGIN, "HTTP 200 with an empty body to the login"))
    login_html: Strike = field(default=(), metadata=_strike(LOGIN, "an HTML page to the login"))

    revoke_oauth: Strike = field(
        default=(), metadata=_strike(OAUTH, "the owner has just revoked the consent: 305, and no refresh helps")
    )
    oauth_refresh: Refresh | None = field(
        default=None,
        metadata={
            "group": OAUTH,
            "value": "|".join(REFRESHES),
            "help": "what a refresh does to the refresh token: the same comes back (so without this fault), a new one, "
            "or none",
        },
    )
    oauth_refused: str | None = field(
        default=None,
        metadata={"group": OAUTH, "value": "|".join(REFUSED), "help": "the token API refuses everything with this"},
    )
    oauth_no_state: bool = field(
        default=False, metadata=_flag(OAUTH, "the redirect comes back without the link's state")
    )

    too_frequent: Strike = field(default=(), metadata=_strike(FLOW, "407 with ACCESS_FREQUENCY_IS_TOO_HIGH in data"))
    too_frequent_null: Strike = field(
        default=(), metadata=_strike(FLOW, "407 with data null and an empty message (8.2.6)")
    )
    too_frequent_sentence: Strike = field(
        default=(), metadata=_strike(FLOW, "407 with a long sentence that speaks of something else (8.1.5)")
    )

    http_500: Strike = field(default=(), metadata=_strike(SYSTEM, "HTTP 500 with an HTML page"))
    http_502: Strike = field(default=(), metadata=_strike(SYSTEM, "HTTP 502 with an HTML page"))
    http_503: Strike = field(default=(), metadata=_strike(SYSTEM, "HTTP 503 with an HTML page"))
    quota_control_403: Strike = field(
        default=(), metadata=_strike(SYSTEM, "HTTP 403 of the system's own quota control, in its own JSON")
    )
    too_many_429: Strike = field(default=(), metadata=_strike(SYSTEM, "HTTP 429 with the vendor's failCode 429"))
    drop: Strike = field(default=(), metadata=_strike(SYSTEM, "the connection breaks off before any answer"))

    html: Strike = field(default=(), metadata=_strike(ANSWER, "HTTP 200 with an HTML page instead of JSON"))
    empty_body: Strike = field(default=(), metadata=_strike(ANSWER, "HTTP 200 with an empty body"))
    cut_body: Strike = field(default=(), metadata=_strike(ANSWER, "a JSON answer that ends half-way"))
    cut_connection: Strike = field(
        default=(), metadata=_strike(ANSWER, "the connection breaks off half-way through the answer")
    )
    slow_body: Strike = field(default=(), metadata=_strike(ANSWER, "the answer drips in"))
    slow_body_seconds: float = field(
        default=1.0, metadata=_number(ANSWER, "SECONDS", "how long it drips, in real time")
    )
    other_shape: Strike = field(
        default=(), metadata=_strike(ANSWER, "a success whose data are an object of another shape")
    )
    empty_data: Strike = field(default=(), metadata=_strike(ANSWER, "a success with an empty list, whatever there is"))
    wrong_content_type: Strike = field(default=(), metadata=_strike(ANSWER, "JSON that calls itself text/plain"))

    deny: Collection[str] = field(
        default=(), metadata=_set(PERMISSION, f"ENDPOINT{_WINDOW}", "no permission for this endpoint: 401")
    )
    unauthorized_plant: Collection[str] = field(
        default=(),
        metadata=_set(
            PERMISSION, f"CODE{_WINDOW}", "owner withdrew consent: a batch that holds the plant fails with 20056"
        ),
    )
    vanish_plant: Collection[str] = field(
        default=(),
        metadata=_set(
            PERMISSION,
            f"CODE{_WINDOW}[,as=CODE]",
            "the plant is not listed, and back after until; with as, it comes back under that code",
        ),
    )

    string_fail_codes: bool = field(default=False, metadata=_flag(FORM, 'failCode as text, "407" instead of 407'))
    empty_login_refusal: bool = field(
        default=False, metadata=_flag(FORM, "a wrong login gets HTTP 200 with an empty body, as older servers do")
    )
    header_token: TokenForm | None = field(
        default=None,
        metadata={
            "group": FORM,
            "value": "|".join(TOKEN_FORMS),
            "help": "how login hands out the token: header and cookie in lower or upper case, or one of them alone",
        },
    )
    cut_short_paging: bool = field(
        default=False, metadata=_flag(FORM, "the plant list announces more than its pages hold")
    )
    slow: float = field(
        default=0.0, metadata=_number(FORM, "SECONDS", "each answer takes this much longer, in real time")
    )
    seed: int = field(
        default=1, metadata=_number(FORM, "N", "the same seed gives the same strikes where a rate is given")
    )

    http_500_every: int | None = field(default=None, metadata=_number(SHORT, "N", "http_500=every=N"))
    http_503_once: Once = field(default=False, metadata=_flag(SHORT, "http_503=[ENDPOINT,]times=1"))
    quota_control_403_once: Once = field(default=False, metadata=_flag(SHORT, "quota_control_403=[ENDPOINT,]times=1"))
    too_many_429_once: Once = field(default=False, metadata=_flag(SHORT, "too_many_429=[ENDPOINT,]times=1"))
    html_once: Once = field(default=False, metadata=_flag(SHORT, "html=[ENDPOINT,]times=1"))
    empty_body_once: Once = field(default=False, metadata=_flag(SHORT, "empty_body=[ENDPOINT,]times=1"))
    cut_body_once: Once = field(default=False, metadata=_flag(SHORT, "cut_body=[ENDPOINT,]times=1"))
    kill_session_every: int | None = field(default=None, metadata=_number(SHORT, "N", "kill_session=every=N"))

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError that names the fault and what it takes."""
        for item in fields(self):
            name, value = item.name, getattr(self, item.name)
            try:
                if item.metadata.get("strike"):
                    object.__setattr__(self, name, _whens(name, value))
                elif item.metadata.get("adds"):
                    object.__setattr__(self, name, frozenset([value] if isinstance(value, str) else value))
                elif name.endswith("_once") and isinstance(value, str):
                    When(endpoint=value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if name.endswith("_every") and value is not None and value < 1:
                raise ValueError(f"{name} takes a whole number from 1 on, not {value}")
        if self.header_token not in (None, *TOKEN_FORMS):
            raise ValueError(f"header_token takes {', '.join(TOKEN_FORMS)}, not {self.header_token!r}")
        for name, known in (("oauth_refresh", REFRESHES), ("oauth_refused", REFUSED)):
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"{name} takes {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("slow", "slow_body_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} takes seconds from 0 on, not {getattr(self, name)}")
        if self.token_minutes is not None and not 0 < self.token_minutes < float("inf"):
            raise ValueError(f"token_minutes takes minutes above 0, not {self.token_minutes}")
        for name in CLOSED:
            for one in _spans(name, getattr(self, name)):
                if name == "deny":
                    _known_endpoint(name, one.subject)
                if one.renamed is not None and name != "vanish_plant":
                    raise ValueError(f"{name} takes no as")

    def plants(self) -> frozenset[str]:
        """Codes of the plants that the faults name."""
        return frozenset(
            one.subject for name in ("unauthorized_plant", "vanish_plant") for one in _spans(name, getattr(self, name))
        )

    def accounts(self) -> frozenset[str]:
        """Users of the accounts that the faults name."""
        spans = (one for name in CLOSED for one in _spans(name, getattr(self, name)))
        return frozenset(one.account for one in spans if one.account is not None)

    def rules(self) -> dict[str, tuple[When, ...]]:
        """When each fault that strikes single requests does so, short forms included."""
        found: dict[str, tuple[When, ...]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("strike"):
                found[item.name] = found.get(item.name, ()) + value
            elif item.name.endswith("_every") and value is not None:
                name = item.name.removesuffix("_every")
                found[name] = (*found.get(name, ()), When(every=value))
            elif item.name.endswith("_once") and value is not False:
                name = item.name.removesuffix("_once")
                found[name] = (*found.get(name, ()), When(endpoint=None if value is True else value, times=1))
        return found


def parse_faults(texts: Iterable[str]) -> Faults:
    """Read faults as the command line gives them, e.g. ``["deny=getDevHistoryKpi", "html=getDevList,every=3"]``.

    What is given more than once adds up. Raises ValueError with what is known and how it is written.
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
    return [line for group in GROUPS for line in describe_group(group)]


def describe_group(group: str) -> list[tuple[str, str]]:
    """Return the faults of one of GROUPS as (how it is written, what it does)."""
    lines = []
    for name, item in _FIELDS.items():
        if item["group"] != group:
            continue
        default = "[=ENDPOINT]" if name.endswith("_once") else "[=WHEN]" if item.get("strike") else ""
        lines.append((name + (f"={item['value']}" if "value" in item else default), item["help"]))
    return lines


def _value(name: str, value: str | None, faults: Faults) -> Any:
    item = _FIELDS[name]
    takes = item.get("value")
    if takes is not None and not value:
        raise ValueError(f"{name} needs a value: {name}={takes}")
    if item.get("strike"):
        return (*getattr(faults, name), *_whens(name, value or True))
    if item.get("adds"):
        return frozenset(getattr(faults, name)) | {value}
    if name.endswith("_once"):
        return value or True
    if takes is None:
        if value is not None:
            raise ValueError(f"{name} takes no value, but was given {value!r}")
        return True
    if not item.get("number"):
        return value
    try:
        return int(value or "") if takes == "N" else float(value or "")
    except ValueError:
        raise ValueError(f"{name} takes a number ({name}={takes}), not {value!r}") from None


def _whens(name: str, value: Any) -> tuple[When, ...]:
    if isinstance(value, bool):
        return (When(),) if value else ()
    parts = [value] if isinstance(value, str | When) else list(value)
    try:
        whens = tuple(part if isinstance(part, When) else When.read(part) for part in parts)
    except ValueError as error:
        raise ValueError(f"{name}={GRAMMAR}: {error}") from None
    if name.startswith("login_") and any(when.endpoint for when in whens):
        raise ValueError("a login has no endpoint to choose")
    return whens


@dataclass(frozen=True, slots=True)
class _Closed:
    """An endpoint or plant that is closed: when, to which account (None: all), and what code it comes back under."""

    subject: str
    span: Span
    account: str | None
    renamed: str | None

    def holds(self, now: float, account: str) -> bool:
        return self.is_for(account) and self.span.holds(now)

    def is_for(self, account: str) -> bool:
        return self.account in (None, account)


def _spans(name: str, texts: Iterable[str]) -> list[_Closed]:
    """What each text says, sorted, so that what they add up to never hangs on chance."""
    found = []
    for text in sorted(texts):
        try:
            subject, given = options(text)
            if not subject or given.keys() - {"from", "until", "as", "account"}:
                raise ValueError(f"it is written {_FIELDS[name]['value']}, not {text!r}")
            found.append(_Closed(subject, span_of(given), given.get("account"), given.get("as")))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def _known_endpoint(name: str, endpoint: str) -> None:
    if endpoint not in READ_ENDPOINTS:
        raise ValueError(f"{name}: no endpoint is called {endpoint!r}; known: {', '.join(READ_ENDPOINTS)}")


_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {item.name: item.metadata for item in fields(Faults)}


@dataclass(frozen=True, slots=True)
class Listing:
    """What the faults do to the plant list: codes that are left out, and codes that others have taken the place of."""

    hidden: frozenset[str] = frozenset()
    renamed: frozenset[tuple[str, str]] = frozenset()


class FaultState:
    """What the faults are at an instant, and what has struck so far."""

    def __init__(self, faults: Faults) -> None:
        """Start with nothing played yet."""
        self.faults = faults
        self._strikes = Strikes(faults.rules(), seed=faults.seed)
        self._spans = {name: _spans(name, getattr(faults, name)) for name in ("deny", "unauthorized_plant")}
        self._vanishing = _spans("vanish_plant", faults.vanish_plant)

    def strikes(self, name: str, endpoint: str, now: float) -> bool:
        """Count one more request at ``now`` (seconds since the epoch) and tell whether the fault strikes it."""
        return self._strikes.strikes(name, endpoint, now)

    def denied(self, endpoint: str, now: float, account: str) -> bool:
        """Whether the account may not call this endpoint now."""
        return endpoint in self._now("deny", now, account)

    def closed_plants(self, now: float, account: str) -> frozenset[str]:
        """Plants whose owners have withdrawn their consent to the account."""
        return self._now("unauthorized_plant", now, account)

    def listing(self, now: float, account: str) -> Listing:
        """What has become of the account's plant list."""
        hidden, renamed = set(), {}
        for one in self._vanishing:
            if one.holds(now, account) and (one.renamed is None or one.span.ends is not None):
                hidden.add(one.subject)
            elif (
                one.renamed is not None
                and one.is_for(account)
                and (one.span.begins is None or now >= one.span.begins.timestamp())
            ):
                renamed[one.subject] = one.renamed
        return Listing(frozenset(hidden), frozenset(renamed.items()))

    def _now(self, name: str, now: float, account: str) -> frozenset[str]:
        return frozenset(one.subject for one in self._spans[name] if one.holds(now, account))
