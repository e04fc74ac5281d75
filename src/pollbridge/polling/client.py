"""The HTTP client of the polls: pooled, every address judged before it is dialled, one deadline, no redirects."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pollbridge import __version__, egress
from pollbridge.vendors.answer import Request

BODY_LIMIT = 5 * 1024 * 1024
"""Bytes of an answer, on the wire and decoded."""

DEADLINE = 10.0
"""Seconds for one request, from connecting to the last byte."""

NO_URL = "base_url is no address that can be asked"

RETRY_AFTER_LIMIT = timedelta(hours=1)
RETRY_AFTER_DEFAULT = timedelta(minutes=1)

COUNTS = ("X-RateLimit", "RateLimit")
"""Whose `-Limit`, `-Remaining` and `-Reset` are read: the common names, and those of the IETF's drafts up to the
sixth (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/06/)."""


class PollError(Exception):
    """The poll brought no answer. Its text is short, fit for a log, and holds nothing of the answer.

    ├── Unreachable   no connection, a timeout, a body cut off
    ├── BadAnswer     200, but nothing that says how the job is doing
    ├── Refused       a status other than 200
    │   └── Throttled 429: the connection waits
    └── NoCredentials the secret is missing or unusable
    """


class Unreachable(PollError):
    """Nothing, or not all of it, came back."""


class BadAnswer(PollError):
    """The vendor said 200 and nothing of use."""


class NoCredentials(PollError):
    """There is nothing to authenticate with."""


class Refused(PollError):
    """The vendor answered with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Throttled(Refused):
    """429: leave the whole connection alone for that long."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(429)
        self.wait = wait


def retry_after(value: str | None, now: datetime) -> timedelta:
    """How long a 429 asks to wait: seconds or a date (RFC 9110, 10.2.3), never more than an hour.

    Rubbish, and nothing at all, count as a minute.
    """
    if value is None:
        return RETRY_AFTER_DEFAULT
    seconds = _number(value)
    if seconds is None:
        until = _date(value)
        if until is None:
            return RETRY_AFTER_DEFAULT
        seconds = until - now.timestamp()
    return timedelta(seconds=min(max(seconds, 0), RETRY_AFTER_LIMIT.total_seconds()))


def until_reset(value: str | None, now: datetime, date: str | None = None) -> timedelta:
    """How long until a vendor's count starts anew: from a second to an hour.

    Its `Reset` is a Unix timestamp (MentionLab's), also in milliseconds, a date, or up to a day in seconds.
    A timestamp that makes no sense by our clock goes by the vendor's, which is the answer's `Date`.
    Rubbish, nothing at all, and the past count as a minute.
    """
    number = _number(value or "")
    if number is not None and number <= 86_400:
        waits = [number]
    else:
        resets = _date(value or "") if number is None else number / 1000 if number > 1e11 else number
        if resets is None:
            return RETRY_AFTER_DEFAULT
        clocks = [now.timestamp(), _date(date or "")]
        waits = [resets - clock for clock in clocks if clock is not None]
    longest = RETRY_AFTER_LIMIT.total_seconds()
    wait = next((wait for wait in waits if -1 < wait <= longest), waits[-1])
    # Whole seconds: the one it names may not be over yet.
    return timedelta(seconds=min(max(wait, 1), longest)) if wait > -1 else RETRY_AFTER_DEFAULT


def spent_until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Until when the vendor's own count lets nothing more through; None when it does, or there is none."""
    waits = [
        until_reset(headers.get(f"{count}-Reset"), now, headers.get("Date"))
        for count in COUNTS
        # A gateway that sets no limit says -1 of both: https://github.com/TykTechnologies/tyk/issues/3437
        if _none(headers.get(f"{count}-Remaining")) and not _none(headers.get(f"{count}-Limit"))
    ]
    return now + max(waits) if waits else None


def _throttled_for(headers: Mapping[str, str], now: datetime) -> timedelta:
    """A 429 without Retry-After may still say when its count starts anew."""
    if "Retry-After" in headers:
        return retry_after(headers["Retry-After"], now)
    reset = next((headers[f"{count}-Reset"] for count in COUNTS if f"{count}-Reset" in headers), None)
    return until_reset(reset, now, headers.get("Date"))


def _none(value: str | None) -> bool:
    """Whether a count says 0, or less."""
    return re.fullmatch(r"0+(\.0+)?|-\d+(\.\d+)?", (value or "").strip(), re.ASCII) is not None


def _number(value: str) -> float | None:
    value = value.strip()
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII) else None


def _date(value: str) -> float | None:
    """The Unix timestamp of a date as HTTP or ISO 8601 write it; UTC when it has no offset."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


@dataclass(slots=True)
class VendorClient(AbstractAsyncContextManager["VendorClient"]):
    """Sends a connection's requests. Use it as a context; one session serves the whole sweep."""

    base_url: str
    concurrency: int
    tls: ssl.SSLContext
    deadline: float = DEADLINE
    allow_private: bool = False
    session: aiohttp.ClientSession | None = None
    _rests_until: datetime | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.concurrency,
                ssl=self.tls,
                resolver=_Resolver(self.allow_private),
                # Sees every address that is dialled: aiohttp asks no resolver about literals.
                socket_factory=partial(_checked_socket, allow_private=self.allow_private),
            ),
            headers={
                "User-Agent": f"pollbridge/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
            timeout=aiohttp.ClientTimeout(total=self.deadline),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # One poll is one request: aiohttp would send a GET again, unasked, when the connection breaks.
        self.session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.session:
            await self.session.close()

    def rests_until(self) -> datetime | None:
        """Until when the vendor's own count, on any answer so far, said to send nothing more. May be over by now."""
        return self._rests_until

    def _note(self, until: datetime | None) -> None:
        if until and (self._rests_until is None or until > self._rests_until):
            self._rests_until = until

    async def fetch(self, request: Request, headers: Mapping[str, str], now: datetime) -> bytes:
        """The decoded body of a 200. Raises PollError."""
        assert self.session, "the client is used as a context"
        url = self._url(request)
        try:
            # Redirects are not followed: the keys are for this host alone.
            told = {**headers, **request.headers}
            async with self.session.request(
                request.method, url, headers=told, data=request.body, allow_redirects=False
            ) as answer:
                self._note(spent_until(answer.headers, now))
                if answer.status == 429:
                    raise Throttled(_throttled_for(answer.headers, now))
                if answer.status != 200:
                    raise Refused(answer.status)
                raw = await _read(answer.content)
                return _decode(raw, answer.headers.get("Content-Encoding", "identity").lower())
        except TimeoutError:
            raise Unreachable(f"no whole answer within {self.deadline:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(_cause(error)) from None
        except ValueError:
            # A scope may hold anything, and some vendors want it in a header.
            raise Unreachable("the request cannot be sent: a header would hold a control character") from None

    def _url(self, request: Request) -> URL:
        try:
            return URL(self.base_url.rstrip("/") + request.path, encoded=True)
        except ValueError:
            raise Unreachable(NO_URL) from None


@dataclass(frozen=True, slots=True)
class _Resolver(AbstractResolver):
    """Answers with addresses that may all be spoken to, or not at all."""

    allow_private: bool

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        ask = partial(egress.resolve, host, port, allow_private=self.allow_private)
        return [
            ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=0)
            for address in await asyncio.get_running_loop().run_in_executor(None, ask)
        ]

    async def close(self) -> None:
        pass


def _checked_socket(dialled: tuple[Any, ...], *, allow_private: bool) -> socket.socket:
    """A socket for this `getaddrinfo` entry. Raises NotPublic."""
    family, kind, protocol, _, (literal, *_) = dialled
    try:
        address = ip_address(literal)
    except ValueError:
        raise egress.NotPublic(egress.NEVER) from None
    egress.check(address, allow_private=allow_private)
    return socket.socket(family, kind, protocol)


async def _read(content: aiohttp.StreamReader) -> bytes:
    chunks, size = [], 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise BadAnswer(f"an answer of over {BODY_LIMIT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _decode(raw: bytes, encoding: str) -> bytes:
    if encoding in {"identity", ""}:
        return raw
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswer("an answer in an encoding that was not asked for")
    # 32 makes zlib tell gzip from deflate by its header; the cap cuts a bomb before it unfolds.
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        body = inflater.decompress(raw, BODY_LIMIT + 1)
    except zlib.error:
        raise BadAnswer("an answer that does not decompress") from None
    if len(body) > BODY_LIMIT:
        raise BadAnswer(f"an answer of over {BODY_LIMIT} bytes, decompressed")
    if not inflater.eof:
        raise BadAnswer("a compressed answer cut off in the middle")
    return body


def _cause(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return NO_URL
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, egress.NotPublic):
        return str(error.os_error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the TLS handshake failed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection broke"
