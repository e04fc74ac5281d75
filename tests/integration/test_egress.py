"""Neither client opens a socket to an address that isn't public, however it is written, resolved or redirected to.

Nobody is dialled here: `connect` notes down who would have been, and refuses.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest

from pollbridge.egress import PRIVATE as NOT_ALLOWED
from pollbridge.egress import Address, refusal
from tests.kit.egress import CLIENTS, DISGUISED, NEVER, PRIVATE, PUBLIC, SPELLINGS, Ask, in_url, poll, post
from tests.kit.posting import answers, listening

pytestmark = pytest.mark.promise(43)

both = pytest.mark.parametrize("ask", CLIENTS)

getaddrinfo = socket.getaddrinfo
LOCAL = {"localhost", "localhost.", "ip6-localhost"}


@dataclass
class Network:
    """What was asked of the resolver, and who was dialled."""

    resolved: list[str] = field(default_factory=list)
    dialled: list[Address] = field(default_factory=list)
    answers: Callable[[str], Iterable[str]] | None = None

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """Reads every spelling of a literal as the system does; only names are made up."""
        self.resolved.append(host)
        name = host.encode("idna").decode().lower()
        told = ["127.0.0.1", "::1"] if name in LOCAL else self.answers(host) if self.answers else [host]
        flags = {"type": socket.SOCK_STREAM, "flags": socket.AI_NUMERICHOST}
        return [answer for address in told for answer in getaddrinfo(address, port, **flags)]

    def connect(self, address: tuple[Any, ...]) -> None:
        self.dialled.append(ip_address(address[0]))
        raise ConnectionRefusedError


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(socket, "getaddrinfo", network.getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: network.connect(address))
    return network


@both
@pytest.mark.parametrize("address", [*NEVER, *PRIVATE])
def test_no_socket_is_opened_to_an_address_that_is_not_public(network: Network, ask: Ask, address: str) -> None:
    told = ask(in_url(address))

    assert told and told.startswith("the address is not public")
    assert network.dialled == []


@both
@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_an_address_gets_by(network: Network, ask: Ask, host: str) -> None:
    assert ask(f"https://{host}:443")
    assert network.dialled == []


@both
@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_a_link_local_address_gets_by_where_private_ones_are_allowed(
    network: Network, ask: Ask, host: str
) -> None:
    assert ask(f"https://{host}", allow_private=True)
    assert not [address for address in network.dialled if refusal(address, allow_private=True)]


@both
@pytest.mark.parametrize("url", DISGUISED)
def test_no_disguise_of_an_address_gets_by(network: Network, ask: Ask, url: str) -> None:
    assert ask(url)
    assert network.dialled == []


@both
@pytest.mark.parametrize("address", PUBLIC)
def test_neighbours_of_what_is_refused_are_dialled(network: Network, ask: Ask, address: str) -> None:
    assert ask(in_url(address)) == "no connection"
    assert network.dialled == [ip_address(address)]


@both
@pytest.mark.parametrize("address", NEVER)
def test_what_is_never_spoken_to_is_not_dialled_where_private_addresses_are_allowed(
    network: Network, ask: Ask, address: str
) -> None:
    told = ask(in_url(address), allow_private=True)

    assert told == "the address is not public, nor one that allow_private admits"
    assert network.dialled == []


@both
@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_dialled_where_that_is_allowed(network: Network, ask: Ask, address: str) -> None:
    assert ask(in_url(address), allow_private=True) == "no connection"
    assert network.dialled == [ip_address(address)]


@both
@pytest.mark.parametrize("bad", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1"])
def test_one_bad_answer_among_good_ones_refuses_all(network: Network, ask: Ask, bad: str) -> None:
    for told in (["1.1.1.1", bad], [bad, "1.1.1.1"], ["2606:4700:4700::1111", bad, "1.1.1.1"]):
        network.answers = lambda _, told=told: told
        assert "not public" in (ask("https://receiver.test") or "")

    assert network.dialled == []


@both
def test_what_is_dialled_is_what_was_checked(network: Network, ask: Ask) -> None:
    later = iter([["1.1.1.1", "8.8.8.8"], ["127.0.0.1"], ["169.254.169.254"]])
    network.answers = lambda _: next(later)

    assert ask("https://receiver.test") == "no connection"
    assert network.resolved == ["receiver.test"]
    assert "not public" in (ask("https://receiver.test") or "")
    assert {*network.dialled} == {ip_address("1.1.1.1"), ip_address("8.8.8.8")}


@both
def test_a_name_that_does_not_resolve_says_so(network: Network, ask: Ask) -> None:
    for host in ("nowhere.test", "a..b", "x" * 64, "x" * 300 + ".test", "256.1.1.1", "4294967297"):
        assert ask(f"https://{host}") in {"the name does not resolve", "base_url is no address that can be asked"}

    assert network.dialled == []


@both
@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_a_redirect_is_not_followed(ask: Ask, status: int) -> None:
    with listening(answers()) as elsewhere, listening(answers(status, Location=elsewhere.url)) as first:
        ask(f"http://127.0.0.1:{first.port}", allow_private=True)

    assert len(first.requests) == 1
    assert elsewhere.requests == []


@both
def test_loopback_answers_where_that_is_allowed(ask: Ask) -> None:
    with listening(answers()) as server:
        assert ask(f"http://127.0.0.1:{server.port}", allow_private=True) is None


@both
def test_loopback_does_not_answer_where_it_is_not_allowed(ask: Ask) -> None:
    with listening(answers()) as server:
        assert ask(f"https://127.0.0.1:{server.port}") == NOT_ALLOWED


def test_the_host_told_is_the_name_and_not_the_address(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.answers = lambda _: ["127.0.0.1"]
    monkeypatch.undo()
    monkeypatch.setattr(socket, "getaddrinfo", network.getaddrinfo)
    with listening(answers()) as server:
        for ask in (poll, post):
            assert ask(f"http://receiver.test:{server.port}", allow_private=True) is None

    for request in server.requests:
        assert f"\r\nhost: receiver.test:{server.port}\r\n".encode() in request.lower()


@both
def test_no_proxy_of_the_environment_is_dialled(monkeypatch: pytest.MonkeyPatch, network: Network, ask: Ask) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")

    ask("https://1.1.1.1")
    assert network.dialled == [ip_address("1.1.1.1")]
