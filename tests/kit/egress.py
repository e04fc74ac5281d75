"""Who may be dialled, for tests that dial nobody: addresses in all their spellings, and both clients that dial."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import DeliveryError
from pollbridge.polling.client import PollError, VendorClient
from pollbridge.vendors.answer import Request

NEVER = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::7f00:1",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "1fff:ffff::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2001:db8:ffff::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "e000::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2:ffff::1",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff05::1:3",
    "ff0e::1",
]
"""Refused whatever the configuration says."""

PRIVATE = [
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.1.1",
    "fc00::1",
    "fd00::1",
    "fd00:ec1:ffff::1",
    "fd00:ec3::1",
    "fdff:ffff::1",
]
"""Refused, but where the configuration allows private addresses."""

PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.197.1",
    "192.88.100.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2606:4700:4700::1111",
    "2620:4f:7fff::1",
    "2620:4f:8001::1",
    "3ffe:ffff::1",
    "3fff:1000::1",
    "::ffff:8.8.8.8",
]
"""Neighbours of what is refused."""

SPELLINGS = [
    "127.1",
    "127.0.1",
    "0",
    "0x0",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "017700000001",
    "0177.0.0.1",
    "00000177.0.0.01",
    "0x7f.0.0.1",
    "0x7f.1",
    "127.0x0.1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ip6-localhost",
    "2852039166",
    "0xa9fea9fe",
    "025177524776",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "0xa9.0xfe.0xa9.0xfe",
    "10.1",
    "192.168.257",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:127.0.0.1]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::ffff:169.254.169.254]",
    "[FE80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "[::1%1]",
    "[2606:4700:4700::1111%25lo]",
    "[fd00:0ec2::0254]",
    "127%2e0%2e0%2e1",
    "127.0.0.%31",
    "%31%32%37.0.0.1",
    "%5B::1%5D",
    "127.0.0.1%00.receiver.test",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "٠x7f.1",
    "ｌｏｃａｌｈｏｓｔ",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "ⅼocalhost",
]
"""Hosts of URLs that mean, or might be read as, an address that is refused."""

DISGUISED = [
    "https://receiver.test@127.0.0.1/",
    "https://receiver.test:443@127.0.0.1/",
    "https://receiver.test%40127.0.0.1/",
    "https://127.0.0.1\\@receiver.test/",
    "https://127.0.0.1\\.receiver.test/",
    "https://receiver.test\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https:/127.0.0.1/",
    "https:127.0.0.1/",
    "https:///127.0.0.1/",
    "https://127.0.0.1#@receiver.test/",
    "https://127.0.0.1?@receiver.test/",
    "https://127.0.0.1:443:80/",
    "https://127.0.0.1 @receiver.test/",
    "https://127.0.0.1\n.receiver.test/",
    "https://127.0.\t0.1/",
    "https://[127.0.0.1]/",
    "https://[::1]x/",
    "https://x[::1]/",
    "file:///etc/hosts",
    "gopher://127.0.0.1/",
    "ftp://127.0.0.1/",
]
"""URLs that readers of URLs disagree about, none of which may lead to a private address."""

Ask = Callable[..., str | None]
"""Asks a URL; why no answer came, or None."""

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
TLS = ssl.create_default_context()


def poll(url: str, *, allow_private: bool = False, tls: ssl.SSLContext = TLS, deadline: float = 5) -> str | None:
    """As a sweep asks a vendor."""

    async def ask() -> None:
        async with VendorClient(url, 1, tls, deadline, allow_private) as client:
            await client.fetch(Request("/hook", {}), {"x-api-key": "k"}, NOW)

    try:
        asyncio.run(ask())
    except PollError as error:
        return str(error)
    return None


def post(url: str, *, allow_private: bool = False, tls: ssl.SSLContext = TLS, deadline: float = 5) -> str | None:
    """As a notifier tells a receiver."""
    try:
        Poster(allow_private, tls).post(url, b"{}", {}, deadline)
    except DeliveryError as error:
        return error.outcome
    return None


CLIENTS: list[Ask] = [poll, post]


def in_url(address: str) -> str:
    return f"https://[{address}]" if ":" in address else f"https://{address}"
