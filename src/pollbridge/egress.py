"""Which addresses may be spoken to. Whoever opens a socket asks here, with the very address it is about to dial.

Judged by a list of what is public: whatever no registry calls public is refused, whether it has a name or not.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# https://www.iana.org/assignments/iana-ipv4-special-registry, whole: also what it calls globally reachable,
# because those are relays and anycast services, and no receiver or vendor lives there.
V4_NOT_PUBLIC = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared address space
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the metadata of machines, the credentials of functions and containers
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunneling
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast: https://www.iana.org/assignments/ipv4-address-space
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)

# https://www.iana.org/assignments/ipv6-address-space: all the unicast space that IANA ever gave out.
V6_PUBLIC = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry, as far as it lies in there.
V6_NOT_PUBLIC = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address in disguise
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

V4_PRIVATE = tuple(
    IPv4Network(block) for block in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
V6_PRIVATE = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
# Where AWS keeps over IPv6 what 169.254.169.254 is over IPv4:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
V6_OF_AWS = IPv6Network("fd00:ec2::/32")

PRIVATE = "the address is not public: allow_private = true would admit it"
NEVER = "the address is not public, nor one that allow_private admits"


class NotPublic(OSError):
    """The address is not spoken to. The text says why, and doesn't show it."""


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why this address is not spoken to; None when it may be."""
    if isinstance(address, IPv6Address):
        # A public address has no zone.
        if address.scope_id:
            return NEVER
        address = address.ipv4_mapped or address
    if _public(address):
        return None
    if not _private(address):
        return NEVER
    return None if allow_private else PRIVATE


def check(address: Address, *, allow_private: bool) -> None:
    """Raises NotPublic."""
    if why := refusal(address, allow_private=allow_private):
        raise NotPublic(why)


def resolve(host: str, port: int, *, allow_private: bool) -> list[Address]:
    """What to dial for this name or literal, in the resolver's order: asked once, and every answer checked.

    A literal goes through the resolver too, which reads each spelling as the kernel would: octal, short, as one number.
    Raises NotPublic when a single answer may not be spoken to, and socket.gaierror when there is none.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ip_address(where[0]) for *_, where in answers))
    except ValueError:
        # A label that is empty, too long or no IDNA, or a zero byte.
        addresses = []
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    for address in addresses:
        check(address, allow_private=allow_private)
    return addresses


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in block for block in V4_NOT_PUBLIC)
    return address in V6_PUBLIC and not any(address in block for block in V6_NOT_PUBLIC)


def _private(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in block for block in V4_PRIVATE)
    return any(address in block for block in V6_PRIVATE) and address not in V6_OF_AWS
