"""POSTing to receivers: every address judged before it is dialled, one deadline, and little of what they answer.

No redirect is followed, no proxy asked, and neither environment nor configuration turns TLS's checks off.
"""

from __future__ import annotations

import base64
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, unquote_to_bytes

import httpcore

from pollbridge import __version__
from pollbridge.notifying.network import Network, clock
from pollbridge.notifying.notice import DeliveryError

DEADLINE = 10.0
"""Seconds for one POST, from resolving the name to the last byte we read."""

RESPONSE_LIMIT = 16 * 1024
"""Bytes of the body of a receiver's answer that are read."""

LONGEST_WAIT = timedelta(days=1)
"""As far as a receiver's Retry-After is believed."""

PORTS = {"http": 80, "https": 443}

OURS = {"User-Agent": f"pollbridge/{__version__}", "Accept-Encoding": "identity", "Connection": "close"}
"""Headers of every POST, beside Host and Content-Length."""

HARMLESS = frozenset(
    {
        *(b"host", b"content-length", b"content-type", b"user-agent", b"accept-encoding", b"connection"),
        *(b"webhook-id", b"webhook-timestamp"),
    }
)
"""Headers in lower case that hold no secret."""

SHORT = 8
"""Characters: shorter parts of an address or a header aren't taken for secrets."""

# RFC 3986 without what is of no use here: zones of addresses, whatever is not printed, and names beyond ASCII,
# because the versions of IDNA disagree about whom some of them mean (https://www.unicode.org/reports/tr46/#Deviations).
_URL = re.compile(
    r"""(?=[!-~]+\Z)
        (?P<scheme>https?)://
        (?:(?P<user>[^:@/?\#\\]*)(?::(?P<password>[^@/?\#\\]*))?@)?
        (?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])
        (?::(?P<port>[0-9]{0,5}))?
        (?P<target>[/?][^\#]*)?
        (?:\#.*)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    text: str
    """What was read of the body."""
    retry_after: timedelta | None
    kept: str = ""
    """The same, without what it repeats of addresses, keys and signatures: fit for the ledger."""


@dataclass(frozen=True, slots=True)
class Poster:
    """POSTs for one destination. Keep it: making its TLS context costs more than a hundred POSTs."""

    allow_private: bool
    """Whether private addresses and plain http may be spoken to."""
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float = DEADLINE) -> Response:
        """POST the bytes over a connection of its own and read the head of the answer, within `deadline` seconds.

        Raises DeliveryError when no answer came.
        """
        target = _Target.of(url)
        if target.scheme == "http" and not self.allow_private:
            raise DeliveryError("the address is plain http: use https, or allow_private = true")
        ours = {"Host": target.authority, "Content-Length": str(len(body)), **OURS}
        told = _sendable(overruled(overruled(target.headers, headers), ours))
        network = Network(self.allow_private, clock(deadline))
        try:
            with (
                httpcore.HTTPConnection(target.url.origin, self.tls, network_backend=network) as connection,
                connection.stream("POST", target.url, headers=told, content=body) as answer,
            ):
                text = _head(answer)
                kept = _without(text, url, *(value.decode() for name, value in told if name.lower() not in HARMLESS))
                return Response(answer.status, text, _retry_after(answer), kept)
        except httpcore.LocalProtocolError:
            raise DeliveryError("the request cannot be sent: its headers contradict each other") from None
        except httpcore.TimeoutException:
            raise DeliveryError("timed out", maybe_sent=True) from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            raise DeliveryError("the connection broke", maybe_sent=True) from None


def overruled(headers: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Both, and ours alone where a name is the same: names of headers are equal whatever their case."""
    names = {name.lower() for name in ours}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **ours}


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL, taken apart."""

    scheme: str
    authority: str
    """What `Host` says."""
    url: httpcore.URL
    headers: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> _Target:
        """Raises DeliveryError."""
        parts = _URL.fullmatch(url)
        if not parts:
            raise DeliveryError("the address is no http or https URL in plain ASCII")
        scheme, host, target = parts["scheme"].lower(), parts["host"].lower(), parts["target"] or ""
        port = int(parts["port"] or PORTS[scheme])
        if not 0 < port < 65_536:
            raise DeliveryError("the address has a port that doesn't exist")
        return cls(
            scheme,
            host if port == PORTS[scheme] else f"{host}:{port}",
            httpcore.URL(
                scheme=scheme.encode(),
                host=host.strip("[]").encode(),
                port=port,
                target=(target if target.startswith("/") else f"/{target}").encode(),
            ),
            {} if parts["user"] is None else {"Authorization": _basic(parts["user"], parts["password"] or "")},
        )


def _basic(user: str, password: str) -> str:
    """https://datatracker.ietf.org/doc/html/rfc7617."""
    return "Basic " + base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()


def _sendable(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Raises DeliveryError."""
    stripped = {name: value.strip(" \t") for name, value in headers.items()}
    if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in stripped.items()):
        raise DeliveryError("a header cannot be sent: it holds more than plain ASCII in one line")
    return [(name.encode(), value.encode()) for name, value in stripped.items()]


def _head(answer: httpcore.Response) -> str:
    """As much of the body as is read; the status counts, whatever becomes of the rest."""
    raw = b""
    try:
        for chunk in answer.iter_stream():
            raw += chunk
            if len(raw) >= RESPONSE_LIMIT:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return raw[:RESPONSE_LIMIT].decode("utf-8", "replace")


def _retry_after(answer: httpcore.Response) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3); rubbish counts as nothing."""
    value = next(
        (value.decode("latin-1").strip() for name, value in answer.headers if name.lower() == b"retry-after"), ""
    )
    if re.fullmatch(r"\d+", value, re.ASCII):
        return timedelta(seconds=min(int(value[:9]), LONGEST_WAIT.total_seconds()))
    try:
        until = parsedate_to_datetime(value)
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(timedelta(seconds=wait), timedelta()), LONGEST_WAIT)


def _without(text: str, *told: str) -> str:
    """The answer without what it repeats of our request: servers like to name the path that they don't know."""
    said = " ".join(told)
    # The longest first: of one that begins like another the rest would be left. Frameworks name a path decoded.
    for part in sorted(re.split(r"[^\w.~%+-]+", f"{said} {unquote(said)}"), key=len, reverse=True):
        if len(part) >= SHORT:
            text = text.replace(part, "…")
    return text
