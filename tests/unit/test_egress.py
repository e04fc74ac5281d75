"""Which addresses may be spoken to: those that a registry calls public, and private ones where that is allowed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge import egress
from pollbridge.egress import NotPublic, refusal, resolve
from tests.kit.egress import NEVER, PRIVATE, PUBLIC, SPELLINGS

pytestmark = pytest.mark.promise(43)

ADDRESSES = st.ip_addresses()


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name resolve to these; what is asked is noted down."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", NEVER)
def test_what_is_neither_public_nor_private_is_never_spoken_to(address: str) -> None:
    for allow_private in (False, True):
        assert refusal(ip_address(address), allow_private=allow_private) == egress.NEVER


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_spoken_to_where_that_is_allowed(address: str) -> None:
    told = refusal(ip_address(address), allow_private=False)

    assert told == "the address is not public: allow_private = true would admit it"
    assert refusal(ip_address(address), allow_private=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_neighbours_of_what_is_refused_are_spoken_to(address: str) -> None:
    assert refusal(ip_address(address), allow_private=False) is None


def test_the_tables_are_as_long_as_they_claim() -> None:
    blocked = {*NEVER, *PRIVATE, *SPELLINGS}

    assert len(blocked) == len(NEVER) + len(PRIVATE) + len(SPELLINGS) >= 52
    assert not blocked & {*PUBLIC}


@given(ADDRESSES)
def test_whatever_python_calls_special_is_refused(address: egress.Address) -> None:
    meant = getattr(address, "ipv4_mapped", None) or address
    special = meant.is_loopback or meant.is_link_local or meant.is_multicast or meant.is_unspecified

    if special or meant.is_private or meant.is_reserved:
        assert refusal(address, allow_private=False)


@given(st.ip_addresses(v=4), st.booleans())
def test_a_mapped_address_is_judged_as_what_it_maps(address: IPv4Address, allow_private: bool) -> None:
    mapped = IPv6Address(f"::ffff:{address}")

    assert refusal(mapped, allow_private=allow_private) == refusal(address, allow_private=allow_private)


@given(ADDRESSES)
def test_allowing_private_addresses_refuses_no_public_one(address: egress.Address) -> None:
    if refusal(address, allow_private=False) is None:
        assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", ["::1%lo", "fe80::1%eth0", "fd00::1%2", "2606:4700:4700::1111%lo"])
def test_an_address_with_a_zone_is_refused(address: str) -> None:
    assert refusal(ip_address(address), allow_private=True) == egress.NEVER


@pytest.mark.parametrize("bad", ["10.0.0.1", "::1", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1"])
def test_one_bad_answer_refuses_all(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    for answers in (["1.1.1.1", bad], [bad, "1.1.1.1"], ["1.1.1.1", "2606:4700:4700::1111", bad]):
        asked = answering(monkeypatch, *answers)
        with pytest.raises(NotPublic, match="not public"):
            resolve("receiver.test", 443, allow_private=False)
        assert asked == ["receiver.test"]


def test_a_name_is_resolved_once_to_all_that_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "2606:4700:4700::1111", "1.1.1.1", "1.1.1.1")
    found = resolve("receiver.test", 443, allow_private=False)

    assert found == [ip_address("2606:4700:4700::1111"), ip_address("1.1.1.1")]
    assert asked == ["receiver.test"]


def raising(error: Exception) -> Callable[..., Any]:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise error

    return getaddrinfo


@pytest.mark.parametrize("error", [socket.gaierror(-2, "x"), UnicodeError("label too long"), ValueError("null byte")])
def test_a_host_that_is_no_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", raising(error))

    with pytest.raises(socket.gaierror):
        resolve("receiver.test", 443, allow_private=True)


def test_no_answer_at_all_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)

    with pytest.raises(socket.gaierror):
        resolve("receiver.test", 443, allow_private=True)


def test_a_refusal_does_not_show_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "10.11.12.13")
    with pytest.raises(NotPublic) as refused:
        resolve("receiver.test", 443, allow_private=False)

    assert "10.11" not in repr(refused.value) and "receiver" not in repr(refused.value)
