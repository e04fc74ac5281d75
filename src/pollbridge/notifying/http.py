"""POSTing to receivers: one client, no redirects, no proxies, and little of what they answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from pollbridge import __version__
from pollbridge.notifying.notice import DeliveryError

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
        trust_env=False,
    )


def post(http: httpx.Client, url: str, body: bytes, headers: Mapping[str, str], deadline: float = DEADLINE) -> Response:
    """POST the bytes and read the head of the answer. Raises DeliveryError when none came."""
    until = time.monotonic() + deadline
    told = httpx.Headers(headers)
    told["User-Agent"] = USER_AGENT
    try:
        with http.stream("POST", url, content=body, headers=told) as answer:
            raw = b""
            for chunk in answer.iter_raw(4096):
                raw = (raw + chunk)[:RESPONSE_LIMIT]
                if len(raw) == RESPONSE_LIMIT or time.monotonic() > until:
                    break
            return Response(
                answer.status_code, raw.decode("utf-8", "replace"), _retry_after(answer.headers.get("Retry-After"))
            )
    except (httpx.ConnectTimeout, httpx.ConnectError):
        raise DeliveryError("no connection") from None
    except httpx.TimeoutException:
        raise DeliveryError("timed out", maybe_sent=True) from None
    except httpx.InvalidURL:
        raise DeliveryError("the address is no URL", permanent=True) from None
    except httpx.UnsupportedProtocol:
        raise DeliveryError("the address is neither http nor https", permanent=True) from None
    except httpx.TransportError:
        raise DeliveryError("the connection broke", maybe_sent=True) from None


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
