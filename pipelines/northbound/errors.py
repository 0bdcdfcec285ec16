"""Everything that can go wrong between us and the vendor, as one tree of errors.

A refusal is not an empty answer: whatever is not a well-shaped success is raised as one of these. Each error
carries the vendor's number, its meaning (reference 6.1), and what the user can do. ``transient`` says whether
the same call may succeed later without anybody's help; only such calls are ever repeated.

    NorthboundError
      TransportError          no usable answer
        ServerUnreachable, CertificateNotTrusted, Timeout, BadAnswer, ServerFault
      WrongAddress            something answers, but not this interface
      LoginRefused            20400, 20001-3, 20403, empty login body: the account stops
                              (and, by OAuth, those of :mod:`pipelines.northbound.oauth_errors`)
      SessionExpired          305, 306, 307
      PermissionDenied        401, 402: this endpoint isn't allowed to this account
      PlantNotAuthorized      20056, 20045, 20046, 20621, 20622: a plant in the batch isn't allowed
      RateLimited             407, 20618: this account called this endpoint too often
      SystemBusy              403, 429, 503, 20200: everybody together calls too often
      QuotaExhausted          our own ledger says: not now
        SessionContested      305 again and again: another program uses the account, which rests for a while
      RequestRejected         any other code
      RequestInvalid          refused by us, before a call was spent
      IncompleteList          a paged list that doesn't add up
"""

import sqlite3
from datetime import datetime
from typing import ClassVar, Final

from pipelines.northbound.codes import meaning_of


class NorthboundError(Exception):
    """The root. ``message`` is what happened, ``advice`` what to do next; both are sentences for users."""

    outcome: ClassVar[str] = "error"
    """The word that the ledger keeps for a call that ended so."""
    default_advice: ClassVar[str] = ""
    default_transient: ClassVar[bool] = False
    costs_quota: ClassVar[bool] = True
    """False only where the vendor can't have counted the call for the account."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        endpoint: str | None = None,
        advice: str | None = None,
        transient: bool | None = None,
    ) -> None:
        """Keep the vendor's code and the endpoint's name beside the sentence."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.endpoint = endpoint
        self.advice = self.default_advice if advice is None else advice
        self.transient = self.default_transient if transient is None else transient

    @property
    def meaning(self) -> str | None:
        """The vendor's words for the code (reference 6.1)."""
        return meaning_of(self.code)

    def describe(self) -> str:
        """One line for users: where, what, the vendor's number and words, what to do next."""
        where = f"{self.endpoint}: " if self.endpoint else ""
        what = self.message.rstrip(". ")
        if self.code is not None:
            words = (self.meaning or "a code that the reference doesn't list").rstrip(".")
            what += f" (code {self.code}: {words})"
        return f"{where}{what}. {self.advice}".strip()

    def __str__(self) -> str:
        """The same as :meth:`describe`, so that a log line says what to do."""
        return self.describe()


class TransportError(NorthboundError):
    """No usable answer came back."""

    outcome = "transport_error"
    default_transient = True


class ServerUnreachable(TransportError):
    """No connection: name not found, refused, no route, proxy in the way."""

    outcome = "unreachable"
    costs_quota = False
    default_advice = "Check SMARTPVMS_BASE_URL, the network, and HTTPS_PROXY/NO_PROXY if this machine needs a proxy."


class CertificateNotTrusted(TransportError):
    """The server's certificate doesn't verify. Waiting doesn't help."""

    outcome = "certificate"
    costs_quota = False
    default_transient = False
    default_advice = (
        "If a company proxy re-signs traffic, point SSL_CERT_FILE at its CA certificate (PEM); "
        "otherwise check SMARTPVMS_BASE_URL and this machine's date. Verification is never switched off."
    )


class Timeout(TransportError):
    """The server didn't answer in time. The call counts, as it may have been served."""

    outcome = "timeout"
    default_advice = "The server is slow or the network drops packets: try again later."


class BadAnswer(TransportError):
    """Something came back, but not an answer of this interface: HTML, a cut body, another shape."""

    outcome = "bad_answer"
    default_advice = (
        "If it lasts, check that SMARTPVMS_BASE_URL is the API's host and that no proxy or maintenance "
        "page answers in its place."
    )


class ServerFault(TransportError):
    """HTTP 5xx, 20004 and 30008: the server failed inside."""

    outcome = "server_fault"
    default_advice = "The fault is the server's: try again later, and ask the vendor's support if it lasts."


class WrongAddress(NorthboundError):
    """Something answers at that address, but it isn't the northbound interface."""

    outcome = "wrong_address"
    default_advice = (
        "SMARTPVMS_BASE_URL is the host that the API account was made on, such as "
        "https://eu5.fusionsolar.huawei.com or https://intl.fusionsolar.huawei.com; "
        "hosts such as region01eu5 or uni001eu5 serve the web portal alone."
    )


class LoginRefused(NorthboundError):
    """The account can't log in. Permanent: the account stops until its secret changes.

    20400 doesn't tell a wrong password from a locked account, and five wrong ones lock it for 30 minutes
    (reference 3.2.2.1), so there is no second attempt with the same secret.
    """

    outcome = "login_refused"
    default_advice = (
        "Check SMARTPVMS_USERNAME and SMARTPVMS_PASSWORD: they are those of an API account (System > Company "
        "Management > Northbound Management), not of the web portal. This secret isn't tried again, so that "
        "the account doesn't get locked. Once the password is corrected, the next command tries by itself; if "
        "the password was right and the account was locked (30 minutes) or expired, wait or have it renewed, "
        "then run `pvms login --again` to try the same one again."
    )


class SessionExpired(NorthboundError):
    """305, 306, 307: the token doesn't count any more, also after one new login.

    Costs no quota: that is counted per account, and a dead session names none.
    """

    outcome = "session_expired"
    costs_quota = False
    default_advice = (
        "An API account has one session, and each login ends the one before: some other program seems to use "
        "this account. Give this warehouse an API account of its own."
    )


class PermissionDenied(NorthboundError):
    """401 and 402: this API isn't open to this account. The other APIs may well be."""

    outcome = "permission_denied"
    default_advice = (
        "An administrator of the company can open it: System > Company Management > Northbound Management, "
        "Modify the API account, enable Basic APIs (reference 8.2.5)."
    )


class PlantNotAuthorized(NorthboundError):
    """A plant in the batch isn't open to this account; the others fail with it."""

    outcome = "plant_not_authorized"
    default_advice = (
        "The plant's owner can allow it in the FusionSolar app: Me > Plant management > the plant > "
        "Set Permissions > API Access (reference 8.3). An installer can't do it for them."
    )


NO_PLANT_ADVICE: Final = (
    "The owners allow it in the FusionSolar app (Set Permissions > API Access), or the company's administrator binds "
    "plants to the API account."
)
"""Where an account's list of plants is empty: a success, and no error."""


class RateLimited(NorthboundError):
    """407 and 20618: this account has called this endpoint too often. Never repeated within a call."""

    outcome = "rate_limited"
    default_advice = (
        "Nothing is lost: the next calls to it are spaced out. If other programs use this account, "
        "they use up the same quota."
    )


class SystemBusy(NorthboundError):
    """The whole system is at its limit, not this account: wait a minute, then longer (reference 4)."""

    outcome = "system_busy"
    default_transient = True
    default_advice = "The vendor's system is overloaded: try again in some minutes."


class RequestRejected(NorthboundError):
    """The server understood and said no, for a reason that repeating doesn't cure."""

    outcome = "rejected"


class RequestInvalid(RequestRejected, ValueError):
    """The request breaks one of the vendor's limits; it was stopped before a call was spent."""

    outcome = "invalid"
    costs_quota = False


class IncompleteList(NorthboundError):
    """A paged list whose pages contradict each other, or hold more or fewer rows than announced.

    Taking it for the truth would retire plants that live.
    """

    outcome = "incomplete_list"
    default_advice = "The list was not taken over; what was known before still stands. Try again later."


class QuotaExhausted(NorthboundError):
    """The vendor's quota leaves no room for this call now; ``next_at`` (aware UTC) says when it does.

    None: it never does with the present numbers. When a 407 was the reason, it is the ``__cause__``.
    """

    outcome = "quota_exhausted"
    costs_quota = False

    def __init__(
        self, message: str, *, next_at: datetime | None, code: int | None = None, endpoint: str | None = None
    ) -> None:
        """Keep the instant from which on the call may be made."""
        when = f"Go on at {next_at:%Y-%m-%d %H:%M:%S} UTC." if next_at else "No later moment is known."
        super().__init__(message, code=code, endpoint=endpoint, advice=when)
        self.next_at = next_at
        self.why: str | None = None
        """What closed it in place of a quota that is used up, as half a sentence."""


class SessionContested(QuotaExhausted):
    """Tokens died before their time again and again: the account rests, so that no war of logins breaks out.

    An API account has one session and five logins in ten minutes (reference 3.2.2.1), for all who use it together.
    """

    outcome = "session_contested"

    def __init__(
        self, message: str, *, next_at: datetime | None, code: int | None = None, endpoint: str | None = None
    ) -> None:
        """Keep the message as the reason as well."""
        super().__init__(message, next_at=next_at, code=code, endpoint=endpoint)
        self.why = message


_LOGIN_CODES: Final = frozenset({20400, 20001, 20002, 20003, 20403})
_BY_CODE: Final[dict[int, type[NorthboundError]]] = {
    **dict.fromkeys(_LOGIN_CODES, LoginRefused),
    **dict.fromkeys((305, 306, 307), SessionExpired),
    **dict.fromkeys((401, 402), PermissionDenied),
    **dict.fromkeys((20056, 20045, 20046, 20621, 20622), PlantNotAuthorized),
    **dict.fromkeys((407, 20618), RateLimited),
    **dict.fromkeys((403, 429, 503, 20200), SystemBusy),
    # The server's own failures, not ours: repeating is the cure, a few times.
    **dict.fromkeys((20004, 30008), ServerFault),
}


def error_class(code: int | None) -> type[NorthboundError]:
    """The kind of error that a failCode stands for; any code without an entry is RequestRejected."""
    return RequestRejected if code is None else _BY_CODE.get(code, RequestRejected)


def advice_after(outcome: str) -> str:
    """What to do about a call that the ledger says ended so; empty if nothing is known of it."""
    kinds = [NorthboundError]
    while kinds:
        kind = kinds.pop()
        if kind.outcome == outcome:
            return kind.default_advice
        kinds += kind.__subclasses__()
    return ""


OLD_ENDPOINTS: Final[dict[str, str]] = {
    "getStationList": "stations",
    "getDevFiveMinutes": "getDevHistoryKpi",
}
"""Old endpoint to the one that took its place (reference 8.7)."""


def advice_for_old_endpoint(name: str) -> str | None:
    """What to call in place of an endpoint that was withdrawn; None if the name isn't one of those."""
    current = OLD_ENDPOINTS.get(name)
    if current is None:
        return None
    return f"{name} was withdrawn (it answers 401 or 402 on newer servers); {current} took its place."


def old_name_hint(endpoint: str) -> str | None:
    """For an endpoint that replaced another: a sentence that names the old one."""
    old = [name for name, current in OLD_ENDPOINTS.items() if current == endpoint]
    return f"Older guides name {' or '.join(old)}, which {endpoint} replaced." if old else None


def describe_error(error: BaseException) -> str:
    """One sentence or two for users, for any error: what happened and what to do next."""
    if isinstance(error, NorthboundError):
        return error.describe()
    if isinstance(error, sqlite3.Error):
        return f"The ledger of calls can't be used: {error}. Check the disk that PVMS_HOME is on, and its permissions."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}. Check the disk that PVMS_HOME is on, and its permissions."
    return f"{type(error).__name__}: {error}"
