"""Addresses, certificates, proxies and time-outs: each failure says what it is and what to do."""

import shutil
import socket
import ssl
import subprocess
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from northbound_loopback import Loopback, Say, rows

from pipelines.northbound import errors
from pipelines.northbound.transport import Transport, _translated, checked_base_url, is_loopback


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://eu5.fusionsolar.huawei.com", "https://eu5.fusionsolar.huawei.com"),
        (" https://eu5.fusionsolar.huawei.com/ ", "https://eu5.fusionsolar.huawei.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_addresses_that_are_taken(given: str, taken: str) -> None:
    assert checked_base_url(given) == taken


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("http://eu5.fusionsolar.huawei.com", "without encryption"),
        ("http://10.0.0.1", "without encryption"),
        ("http://localhost.example", "without encryption"),
        ("eu5.fusionsolar.huawei.com", "isn't a web address"),
        ("ftp://127.0.0.1", "isn't a web address"),
        ("", "isn't a web address"),
        ("user:hush@eu5.example", "isn't a web address"),
        ("https://user:hush@eu5.example", "host alone"),
        ("https://eu5.example/?a=b", "host alone"),
    ],
)
def test_addresses_that_are_refused(given: str, why: str) -> None:
    with pytest.raises(errors.WrongAddress, match=why) as stopped:
        checked_base_url(given)
    assert "SMARTPVMS_BASE_URL" in stopped.value.describe()
    assert "hush" not in str(stopped.value)


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("128.0.0.1", "example.com", "", "localhost.de")] == [False] * 4


# --- nobody there --------------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}")
    with pytest.raises(errors.ServerUnreachable, match=r"no connection to 127\.0\.0\.1") as stopped:
        transport.post("/thirdData/stations", {})
    assert stopped.value.transient
    assert not stopped.value.costs_quota
    assert "SMARTPVMS_BASE_URL" in stopped.value.describe()
    transport.close()


def test_a_name_that_nobody_knows() -> None:
    transport = Transport("https://no-such-host.invalid")
    with pytest.raises(errors.ServerUnreachable, match=r"no-such-host\.invalid"):
        transport.post("/thirdData/stations", {})
    transport.close()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ReadTimeout("slow"), errors.Timeout),
        (httpx.WriteTimeout("slow"), errors.Timeout),
        (httpx.ConnectTimeout("slow"), errors.ServerUnreachable),
        (httpx.ReadError("reset"), errors.BadAnswer),
        (httpx.RemoteProtocolError("garbled"), errors.BadAnswer),
        (httpx.DecodingError("not gzip"), errors.BadAnswer),
        (httpx.ProxyError("403 Forbidden"), errors.ServerUnreachable),
        (httpx.UnsupportedProtocol("gopher"), errors.WrongAddress),
        (httpx.TooManyRedirects("round and round"), errors.BadAnswer),
    ],
)
def test_what_the_network_does_has_a_name(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: type[errors.NorthboundError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    transport = Transport("https://eu5.example")
    monkeypatch.setattr(transport._http, "post", fail)
    with pytest.raises(kind) as stopped:
        transport.post("/thirdData/stations", {})
    assert stopped.value.__cause__ is None, "the library's error holds the request and its token"
    assert stopped.value.__suppress_context__
    transport.close()


def test_an_answer_that_is_cut_off() -> None:
    with Loopback() as server:
        server.say("stations", Say(rows({"a": "x" * 1000}).raw(), cut=True))
        transport = Transport(server.url)
        with pytest.raises(errors.BadAnswer, match="cut off"):
            transport.post("/thirdData/stations", {})
        transport.close()


# --- proxies and certificates --------------------------------------------------------------------------------


def test_a_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback() as server:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        server.say("stations", rows())
        here = Transport(server.url)
        assert here.post("/thirdData/stations", {}).status == 200
        here.close()
        away = Transport("https://192.0.2.1")
        with pytest.raises(errors.ServerUnreachable, match="Connection refused"):
            away.post("/thirdData/stations", {})
        away.close()


def test_a_proxy_setting_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "quux://127.0.0.1:9")
    with pytest.raises(errors.ServerUnreachable, match="proxy settings") as stopped:
        Transport("https://eu5.example")
    assert not stopped.value.transient


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:sec/ret@proxy:3128",
        "http://user:secret@proxy:port",
        "ftp://user:secret@proxy",
        "socks5://u:secret@p:1",
    ],
)
def test_a_proxy_setting_that_makes_no_sense_isn_t_quoted(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(errors.ServerUnreachable, match=r"HTTPS_PROXY.*%2F") as stopped:
        Transport("https://eu5.example")
    told = "".join(traceback.format_exception(stopped.value))
    assert "sec" not in told.replace("second", "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("making a certificate needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.fixture
def encrypted(certificate: tuple[Path, Path]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up over a certificate is what is tested here."""

    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_certificate_of_nobody_is_not_trusted(encrypted: str) -> None:
    transport = Transport(encrypted)
    with pytest.raises(errors.CertificateNotTrusted, match=r"127\.0\.0\.1 isn't trusted") as stopped:
        transport.post("/thirdData/stations", {})
    assert not stopped.value.transient
    assert "SSL_CERT_FILE" in stopped.value.describe()
    transport.close()


def test_ssl_cert_file_is_trusted(
    encrypted: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    transport = Transport(encrypted)
    assert transport.post("/thirdData/stations", {}).status == 200
    transport.close()


def test_ssl_cert_dir_is_trusted_also_beside_a_file(
    encrypted: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(certificate[1], tmp_path / "own.pem")
    rehashed = subprocess.run(["openssl", "rehash", str(tmp_path)], check=False, capture_output=True)
    if rehashed.returncode:
        pytest.skip("this openssl has no rehash")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    transport = Transport(encrypted)
    assert transport.post("/thirdData/stations", {}).status == 200
    transport.close()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv(name, str(tmp_path / "missing.pem"))
    with pytest.raises(errors.CertificateNotTrusted, match=f"{name} names .*missing.pem"):
        Transport("https://eu5.example")


def test_a_certificate_file_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("hello")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "text.pem"))
    with pytest.raises(errors.CertificateNotTrusted, match="PEM"):
        Transport("https://eu5.example")


def test_errors_that_point_at_each_other_are_told_like_any_other() -> None:
    one, other = httpx.ConnectError("refused"), OSError("refused")
    one.__context__, other.__context__ = other, one
    assert isinstance(_translated(one), errors.ServerUnreachable)
