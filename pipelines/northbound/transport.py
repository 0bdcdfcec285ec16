"""Bytes there and bytes back: the one module that knows the HTTP library.

Nothing is judged here but whether an answer came at all; what it means is decided in
:mod:`pipelines.northbound.judge`.
"""

import ipaddress
import json
import logging
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import certifi
import httpx

from pipelines.northbound.errors import (
    BadAnswer,
    CertificateNotTrusted,
    NorthboundError,
    ServerUnreachable,
    Timeout,
    WrongAddress,
)

# At DEBUG it writes down the headers of every answer, and a login's answer holds the token.
logging.getLogger("httpcore").setLevel(logging.INFO)

CONNECT_TIMEOUT_S: Final = 10.0
"""Three lost SYN packets are repeated within 7 s; who hasn't answered after 10 s isn't there."""

READ_TIMEOUT_S: Final = 60.0
"""Between two pieces of an answer. A full history answer (10 devices, 3 days) is built for many seconds before
its first byte comes."""

KEEP_ALIVE_S: Final = 60.0
"""Paced calls come seconds apart: an idle connection is kept that long to save the TLS handshake."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. Header names in lower case, repeated ones in order; ``body`` is unpacked."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # may hold a token
    body: bytes = field(repr=False)
    ms: float = 0.0

    def header(self, name: str) -> str | None:
        """The first header of that name, in any letter case."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class Transport:
    """POSTs JSON or forms to one server, over kept connections. Threads may share it.

    Honours HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR, except to a loopback address, which no proxy
    could reach for us.
    """

    def __init__(self, base_url: str, *, user_agent: str | None = None) -> None:
        """Connect lazily to ``base_url`` (https, or http to loopback), else WrongAddress.

        CertificateNotTrusted when SSL_CERT_FILE or SSL_CERT_DIR names something that isn't there.
        """
        self.base_url = checked_base_url(base_url)
        loopback = is_loopback(urlsplit(self.base_url).hostname or "")
        # Cookies are kept out: the token travels in its header alone, and a cookie left over from an earlier
        # login would contradict a token that another process has fetched.
        jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        try:
            self._http = httpx.Client(
                headers={
                    "User-Agent": user_agent or default_user_agent(),
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                },
                timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
                verify=ssl_context(),
                trust_env=not loopback,
                follow_redirects=False,
                cookies=jar,
            )
        except (httpx.InvalidURL, ValueError, ImportError):
            # "from None": the library's words may quote a piece of the password, where that holds a / or the like.
            raise ServerUnreachable(
                f"the proxy settings of the environment can't be used ({_proxy_variables()}): the form is "
                "http://user:password@host:port, with signs such as / @ : in the password written as %2F %40 %3A",
                transient=False,
            ) from None

    def post(self, path: str, json_body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
        """Send one request and take the whole answer in; TransportError's tree if none came."""
        content = json.dumps(json_body, separators=(",", ":")).encode()
        return self._post(path, content, {"Content-Type": "application/json", **(headers or {})})

    def post_form(self, path: str, fields: Mapping[str, str]) -> Reply:
        """Send a form, as the OAuth service wants it; the errors of :meth:`post`."""
        content = urlencode(fields).encode()
        return self._post(path, content, {"Content-Type": "application/x-www-form-urlencoded"})

    def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        began = time.perf_counter()
        try:
            response = self._http.post(self.base_url + path, content=content, headers=dict(headers))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # "from None": the library's own error holds the request with its headers, and so the token.
            raise _translated(error) from None
        return Reply(
            status=response.status_code,
            headers=tuple((key.lower(), value) for key, value in response.headers.multi_items()),
            body=response.content,
            ms=(time.perf_counter() - began) * 1000,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def post_elsewhere(url: str, json_body: Mapping[str, Any], *, timeout_s: float) -> int:
    """Send one JSON document to an address that is not the vendor's; the HTTP status. The body isn't read.

    No ledger, no session, no redirect. TransportError's tree if no answer came; the address, which may be a secret,
    is in none of them.
    """
    loopback = is_loopback(urlsplit(url).hostname or "")
    try:
        with (
            httpx.Client(
                headers={"User-Agent": default_user_agent()},
                timeout=timeout_s,
                verify=ssl_context(),
                trust_env=not loopback,
                follow_redirects=False,
            ) as http,
            http.stream("POST", url, json=dict(json_body)) as response,
        ):
            return response.status_code
    except httpx.TimeoutException:
        raise Timeout(f"no answer within {timeout_s:.0f} s") from None
    except httpx.ConnectError as error:
        kind = CertificateNotTrusted if _is_about_certificate(error) else ServerUnreachable
        raise kind("no connection, or no trust in its certificate") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # The library's own words may hold the address.
        raise BadAnswer(f"the exchange failed ({type(error).__name__})") from None


def _proxy_variables() -> str:
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    found = [each for name in names for each in (name, name.lower()) if os.environ.get(each)]
    return ", ".join(found) or "the system's"


def checked_base_url(base_url: str) -> str:
    """The address without a trailing slash; WrongAddress unless https, or http to loopback."""
    parts = urlsplit(base_url.strip())
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https"):
        # Whatever stands before an @ may be a password.
        raise WrongAddress(f"{base_url.rpartition('@')[2]!r} isn't a web address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise WrongAddress("the address must hold a host alone: no user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise WrongAddress(f"{host} would be spoken to without encryption, which would show the password: use https")
    return base_url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Is it this machine's own loopback address?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_user_agent() -> str:
    """The project's name and version, so that the vendor can tell who calls."""
    try:
        return f"smartpvms-warehouse/{version('smartpvms-warehouse')}"
    except PackageNotFoundError:
        return "smartpvms-warehouse"


def ssl_context() -> ssl.SSLContext:
    """Trust what the machine trusts, or what SSL_CERT_FILE and SSL_CERT_DIR name.

    The HTTP library by itself would take its own bundle and not the machine's, so that a company's CA that was
    installed on the machine would not count; and of the two variables it would take only the first.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    for name, value in (("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folder)):
        # OpenSSL passes over what isn't there, and each connection would fail without saying why.
        if value and not Path(value.split(os.pathsep)[0]).exists():
            raise CertificateNotTrusted(f"{name} names {value}, which doesn't exist")
    if not file and not folder:
        context = ssl.create_default_context()
        # Some machines keep no store where OpenSSL looks; the bundle fills that gap.
        context.load_verify_locations(cafile=certifi.where())
        return context
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except (ssl.SSLError, OSError) as error:
        raise CertificateNotTrusted(f"SSL_CERT_FILE ({file}) can't be read as PEM certificates") from error


def _translated(error: Exception) -> NorthboundError:
    """Our error for one of the library's."""
    host = _host_of(error)
    match error:
        case httpx.ConnectError() if _is_about_certificate(error):
            return CertificateNotTrusted(f"the certificate of {host} isn't trusted: {_last_line(error)}")
        case httpx.ConnectError():
            return ServerUnreachable(f"no connection to {host}: {_last_line(error)}")
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return ServerUnreachable(f"no connection to {host} within {CONNECT_TIMEOUT_S:.0f} s")
        case httpx.ProxyError():
            return ServerUnreachable(f"the proxy refused to connect to {host}: {_last_line(error)}")
        case httpx.TimeoutException():
            return Timeout(f"{host} didn't answer within {READ_TIMEOUT_S:.0f} s")
        case httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.DecodingError():
            return BadAnswer(f"the answer of {host} was cut off or garbled: {_last_line(error)}")
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return WrongAddress(f"the request can't be made: {_last_line(error)}")
        case _:
            return BadAnswer(f"the exchange with {host} failed: {_last_line(error)}")


def _host_of(error: Exception) -> str:
    try:
        return error.request.url.host if isinstance(error, httpx.RequestError) else "the server"
    except RuntimeError:  # the library's way to say that it has no request at hand
        return "the server"


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__


def _is_about_certificate(error: BaseException) -> bool:
    seen: BaseException | None = error
    met: set[int] = set()
    # A chain may run in a circle: two errors, each raised while the other was handled.
    while seen is not None and id(seen) not in met:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        met.add(id(seen))
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
