"""The way to a server: its address, the proxy in between, its name, its certificate. No request is made."""

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pipelines.doctor.findings import Finding, fail, ok, warn
from pipelines.northbound.errors import NorthboundError
from pipelines.northbound.transport import checked_base_url, is_loopback, ssl_context

Names = tuple[tuple[tuple[str, str], ...], ...]
"""A name of a certificate, as Python's ssl module gives it."""

PATIENCE_S: Final = 10.0

EXPIRES_SOON: Final = timedelta(days=14)


def address(base_url: str, now: datetime) -> Iterator[Finding]:
    """Whether a connection to the server can be made and trusted; `now` (aware) is held against its certificate."""
    try:
        parts = urlsplit(checked_base_url(base_url))
    except NorthboundError as error:
        yield fail("address", error.message, "Correct SMARTPVMS_BASE_URL: https and the host, nothing else.")
        return
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    proxy = proxy_for(parts.scheme, host)
    if proxy:
        yield ok("proxy", f"{host} is reached through {proxy}; name and certificate are seen by the login", host)
        return
    yield ok("proxy", f"none for {host}", host)
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.create_connection((host, port), timeout=PATIENCE_S) as plain:
            yield ok("address", f"{host}:{port} answers", host)
            if secure:
                yield _certificate(plain, host, now)
            else:
                yield ok("certificate", "none needed on loopback", host)
    except socket.gaierror as error:
        yield fail("address", f"the name {host} is not found ({error.strerror})", _NETWORK, host)
    except NorthboundError as error:
        yield fail("certificate", error.message, error.advice, host)
    except ssl.SSLError as error:
        yield fail("certificate", f"the encrypted connection failed: {error.reason}", _TRUST, host)
    except OSError as error:
        yield fail("address", f"no connection to {host}:{port}: {error.strerror or error}", _NETWORK, host)


_NETWORK: Final = "Check SMARTPVMS_BASE_URL and the network; behind a company proxy set HTTPS_PROXY."

_TRUST: Final = (
    "If a company proxy re-signs traffic, point SSL_CERT_FILE at its CA certificate (PEM); otherwise check the "
    "address and this machine's date. Verification is never switched off."
)


def _certificate(plain: socket.socket, host: str, now: datetime) -> Finding:
    try:
        with ssl_context().wrap_socket(plain, server_hostname=host) as encrypted:
            seen = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return fail("certificate", f"{host}'s certificate isn't trusted: {error.verify_message}", _TRUST, host)
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen["notAfter"])), UTC)
    named = dict(each for part in cast("Names", seen.get("issuer", ())) for each in part)
    issuer = named.get("organizationName") or named.get("commonName")
    text = f"{host}'s certificate is trusted (issued by {issuer or 'an unnamed authority'}, until {until:%Y-%m-%d})"
    if until - now < EXPIRES_SOON:
        return warn("certificate", text, "The server's operator has to renew it; nothing can be done here.", host)
    return ok("certificate", text, host)


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that a request would take, without its password; None if it goes straight there."""
    if is_loopback(host) or proxy_bypass(host):
        return None
    found = getproxies()
    proxy = found.get(scheme) or found.get("all")
    if not proxy:
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"


def trust_variables() -> list[str]:
    """Variables that say whom to trust, as far as they are set."""
    return [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
