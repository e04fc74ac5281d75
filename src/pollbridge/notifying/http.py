"""POSTing to receivers: one client, no redirects, no proxies, and little of what they answer."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pollbridge import __version__
from pollbridge.notifying.notice import DeliveryError, Treatment

DEADLINE = 10.0
"""Seconds for one POST, from connecting to the last byte we read."""

RESPONSE_LIMIT = 16 * 1024
"""Bytes of a receiver's answer that are read."""

USER_AGENT = f"pollbridge/{__version__}"


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    text: str
    retry_after: timedelta | None


def client() -> httpx.Client:
    """A client for the life of the function: its TLS context costs more than a hundred POSTs."""
    return httpx.Client(
        timeout=httpx.Timeout(DEADLINE, connect=5.0),
        follow_redirects=False,
        # A connection of its own for every POST: the watchdog sees the socket when it is opened.
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    )


def post(http: httpx.Client, url: str, body: bytes, headers: Mapping[str, str], deadline: float = DEADLINE) -> Response:
    """POST the bytes and read the head of the answer. Raises DeliveryError when none came."""
    told = httpx.Headers(headers)
    told["User-Agent"] = USER_AGENT
    watchdog = _Watchdog(deadline)
    try:
        with watchdog, http.stream("POST", url, content=body, headers=told, extensions=watchdog.extensions) as answer:
            return Response(answer.status_code, _head(answer), _retry_after(answer.headers.get("Retry-After")))
    except (httpx.ConnectTimeout, httpx.ConnectError):
        raise DeliveryError("no connection") from None
    except httpx.TimeoutException:
        raise DeliveryError("timed out", maybe_sent=True) from None
    except httpx.InvalidURL:
        raise DeliveryError("the address is no URL", Treatment.GIVE_UP) from None
    except httpx.UnsupportedProtocol:
        raise DeliveryError("the address is neither http nor https", Treatment.GIVE_UP) from None
    except httpx.TransportError:
        raise DeliveryError("timed out" if watchdog.bit else "the connection broke", maybe_sent=True) from None


def _head(answer: httpx.Response) -> str:
    """As much of the body as is read; the status counts, whatever becomes of the rest."""
    raw = b""
    try:
        for chunk in answer.iter_raw(4096):
            raw = (raw + chunk)[:RESPONSE_LIMIT]
            if len(raw) == RESPONSE_LIMIT:
                break
    except httpx.TransportError:
        return raw.decode("utf-8", "replace")
    return raw.decode("utf-8", "replace")


class _Watchdog:
    """Shuts the socket when the deadline is over: a timeout per read is none against a receiver that drips."""

    def __init__(self, deadline: float) -> None:
        self.bit = False
        self._stream: Any = None
        self._timer = threading.Timer(deadline, self._bite)
        self._timer.daemon = True
        self.extensions = {"trace": self._see}

    def _see(self, event: str, info: Mapping[str, Any]) -> None:
        # https://www.encode.io/httpcore/extensions/#trace
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._stream = info["return_value"]

    def _bite(self) -> None:
        self.bit = True
        if self._stream is not None:
            with suppress(OSError):
                self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _retry_after(value: str | None) -> timedelta | None:
    if value is None:
        return None
    if re.fullmatch(r"\d+", value.strip(), re.ASCII):
        return timedelta(seconds=min(int(value[:9]), 86400))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - datetime.now(UTC), timedelta()), timedelta(days=1))
