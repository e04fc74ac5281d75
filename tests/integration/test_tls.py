"""Certificates are checked, by both clients, and nothing turns that off."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pollbridge.config import InvalidConfig, check
from pollbridge.notifying.http import Poster
from pollbridge.polling.poller import _tls
from tests.kit.egress import CLIENTS, Ask
from tests.kit.posting import answers, listening
from tests.kit.tls import Authority

pytestmark = pytest.mark.promise(44)

both = pytest.mark.parametrize("ask", CLIENTS)

NAME = "receiver.test"
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Trusted by nobody yet; every name is this machine's."""

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return Authority(tmp_path)


def asked(ask: Ask, server: ssl.SSLContext, client: ssl.SSLContext, host: str = NAME) -> tuple[str | None, list[bytes]]:
    """Why no answer came, if none did, and the requests that the server has read."""
    with listening(answers(), tls=server) as receiver:
        told = ask(f"https://{host}:{receiver.port}", allow_private=True, tls=client)
    return told, receiver.requests


@both
@pytest.mark.parametrize(("named", "host"), [(NAME, NAME), (NAME, f"{NAME}."), ("127.0.0.1", "127.0.0.1")])
def test_a_good_certificate_is_taken(authority: Authority, ask: Ask, named: str, host: str) -> None:
    told, requests = asked(ask, authority.server(named), authority.trusting, host)

    assert (told, len(requests)) == (None, 1)


@both
def test_the_server_is_told_which_name_is_meant(authority: Authority, ask: Ask) -> None:
    names: list[str | None] = []
    server = authority.server(NAME)
    server.sni_callback = lambda _, name, __: names.append(name)

    assert asked(ask, server, authority.trusting)[0] is None
    assert names == [NAME]


@both
@pytest.mark.parametrize("ends", [-DAY, 10 * DAY])
def test_a_certificate_out_of_its_time_is_refused(authority: Authority, ask: Ask, ends: timedelta) -> None:
    told = asked(ask, authority.server(NAME, ends=ends), authority.trusting)

    assert told == ("the TLS handshake failed", [])


@both
def test_a_self_signed_certificate_is_refused(authority: Authority, ask: Ask) -> None:
    told = asked(ask, authority.server(NAME, self_signed=True), authority.trusting)

    assert told == ("the TLS handshake failed", [])


@both
@pytest.mark.parametrize(
    ("named", "host"),
    [("elsewhere.test", NAME), ("receiver.test.evil.test", NAME), (NAME, "127.0.0.1"), ("127.0.0.2", "127.0.0.1")],
)
def test_a_certificate_of_another_name_is_refused(authority: Authority, ask: Ask, named: str, host: str) -> None:
    assert asked(ask, authority.server(named), authority.trusting, host) == ("the TLS handshake failed", [])


@both
def test_an_authority_that_is_not_trusted_is_refused(authority: Authority, ask: Ask) -> None:
    told = asked(ask, authority.server(NAME), ssl.create_default_context())

    assert told == ("the TLS handshake failed", [])


@both
def test_old_versions_of_tls_are_refused(authority: Authority, ask: Ask) -> None:
    server = authority.server(NAME)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1

    assert asked(ask, server, authority.trusting) == ("the TLS handshake failed", [])


@both
def test_plain_http_in_place_of_tls_is_refused(authority: Authority, ask: Ask) -> None:
    with listening(answers(), hears=False) as receiver:
        told = ask(f"https://{NAME}:{receiver.port}", allow_private=True, tls=authority.trusting)

    assert told == "the TLS handshake failed"


@both
def test_a_handshake_that_never_ends_is_cut_off_at_the_deadline(ask: Ask) -> None:
    def hold(_: socket.socket, over: threading.Event) -> None:
        over.wait(30)

    with listening(hold, hears=False) as receiver:
        started = time.monotonic()
        told = ask(f"https://127.0.0.1:{receiver.port}", allow_private=True, deadline=0.3)

    assert told in {"no whole answer within 0.3 s", "no TLS handshake in time"}
    assert time.monotonic() - started < 3


def of_the_environment() -> list[ssl.SSLContext]:
    """The contexts that a notifier and a poller make when they start."""
    return [Poster(True).tls, _tls.__wrapped__()]


@both
def test_the_environment_may_name_another_authority(
    authority: Authority, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    for client in of_the_environment():
        assert asked(ask, authority.server(NAME), client)[0] is None


SWITCHES = {
    "PYTHONHTTPSVERIFY": "0",
    "SSL_CERT_FILE": "",
    "SSL_CERT_DIR": "",
    "REQUESTS_CA_BUNDLE": "",
    "CURL_CA_BUNDLE": "",
    "AWS_CA_BUNDLE": "",
    "SSL_VERIFY": "0",
    "VERIFY_SSL": "false",
    "HTTPX_VERIFY": "0",
    "GIT_SSL_NO_VERIFY": "1",
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
}


@both
def test_no_variable_of_the_environment_turns_the_checks_off(
    authority: Authority, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)

    for client in of_the_environment():
        assert (client.verify_mode, client.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert asked(ask, authority.server(NAME), client) == ("the TLS handshake failed", [])


@pytest.mark.parametrize("key", ["verify", "verify_tls", "insecure", "tls", "ca_file", "check_hostname"])
@pytest.mark.parametrize("section", ["vendors", "destinations"])
def test_no_key_of_the_configuration_turns_the_checks_off(section: str, key: str) -> None:
    told: dict[str, Any] = {"vendors": {"scale": {"secret": "s"}}, "destinations": {}}
    owner = {"type": "scale", "secret": "x"} if section == "vendors" else {"type": "webhook", "secret": "x"}

    check(told | {section: {"x": owner}}, "here")
    with pytest.raises(InvalidConfig, match=f"{section}.x.{key}: is no key pollbridge knows"):
        check(told | {section: {"x": {**owner, key: False}}}, "here")
