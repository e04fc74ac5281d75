"""The polls' HTTP client against servers on loopback that do everything a vendor's documentation doesn't say."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from pollbridge.local.serving import listening
from pollbridge.polling.client import (
    BODY_LIMIT,
    BadAnswer,
    PollError,
    Refused,
    Throttled,
    Unreachable,
    VendorClient,
    retry_after,
)
from pollbridge.vendors.answer import Request
from tests.integration.simulated import KEYS, Vendors, simulated_vendors

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
TLS = ssl.create_default_context()
REQUEST = Request("/canary-path/a%2Fb?canary=1", {"x-canary-scope": "canary-scope"})
HEADERS = {"x-api-key": "canary-key"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def vendor(answer: Answer) -> AsyncIterator[str]:
    """A server that answers every request that way; yields its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def fetch(answer: Answer, request: Request = REQUEST, deadline: float = 5) -> bytes:
    async def ask() -> bytes:
        async with vendor(answer) as url, VendorClient(url, 1, TLS, deadline, allow_private=True) as client:
            return await client.fetch(request, HEADERS, NOW)

    return asyncio.run(ask())


def failure(answer: Answer, deadline: float = 5) -> PollError:
    with pytest.raises(PollError) as error:
        fetch(answer, deadline=deadline)
    return error.value


def says(body: bytes = b"{}", status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            body=body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return answer


def streams(*chunks: bytes, pause: float = 0, endless: bool = False, drop: bool = False, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
        await response.prepare(request)
        while True:
            for chunk in chunks:
                await response.write(chunk)
                await asyncio.sleep(pause)
            if not endless:
                break
        if drop:
            assert request.transport
            request.transport.abort()
        return response

    return answer


def test_the_request_is_the_vendors_own() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"{}")

    assert fetch(answer) == b"{}"
    assert (seen[0].method, seen[0].raw_path) == ("GET", REQUEST.path)
    sent = {name: seen[0].headers[name] for name in ("x-api-key", "x-canary-scope", "Accept", "Accept-Encoding")}
    assert sent == {**HEADERS, **REQUEST.headers, "Accept": "application/json", "Accept-Encoding": "gzip"}
    assert seen[0].headers["User-Agent"].startswith("pollbridge/")


def test_a_prefix_in_the_base_url_stays() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    async def ask() -> bytes:
        async with vendor(answer) as url, VendorClient(f"{url}/api/v2/", 1, TLS, allow_private=True) as client:
            return await client.fetch(Request("/jobs/%E2%9C%93", {}), HEADERS, NOW)

    assert asyncio.run(ask()) == b"/api/v2/jobs/%E2%9C%93"


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, lambda body: body])
def test_a_compressed_body_is_read(encode: Callable[[bytes], bytes]) -> None:
    encoding = {"gzip": gzip.compress, "deflate": zlib.compress}
    [name] = [name for name, way in encoding.items() if way is encode] or ["identity"]

    assert fetch(says(encode(b'{"id": 1}'), Content_Encoding=name)) == b'{"id": 1}'


@pytest.mark.parametrize("size", [BODY_LIMIT, BODY_LIMIT + 1])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.promise(15)
def test_a_body_is_read_up_to_five_megabytes(size: int, encoding: str) -> None:
    body = b" " * size
    answer = says(gzip.compress(body) if encoding == "gzip" else body, Content_Encoding=encoding)

    if size == BODY_LIMIT:
        assert len(fetch(answer)) == size
    else:
        assert isinstance(failure(answer), BadAnswer)


@pytest.mark.promise(15)
def test_endless_chunks_are_cut_at_the_cap_with_little_memory() -> None:
    tracemalloc.start()
    error = failure(streams(b"x" * 65_536, endless=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(error, BadAnswer)
    assert peak < 8 * BODY_LIMIT


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with simulated_vendors() as vendors:
        yield vendors


@pytest.mark.promise(15)
def test_a_gzip_bomb_is_cut_before_it_unfolds(vendors: Vendors) -> None:
    vendors.script("oration/job/p/1", *[{"fault": {"content": "gzip_bomb"}}] * 2, {})
    with pytest.raises(BadAnswer, match="decompressed"):
        asyncio.run(ask(vendors, "/oration/jobs/1"))

    # The second time, because making the bomb takes memory too, and it is made in this process.
    tracemalloc.start()
    with pytest.raises(BadAnswer, match="decompressed"):
        asyncio.run(ask(vendors, "/oration/jobs/1"))
    assert tracemalloc.get_traced_memory()[1] < 4 * BODY_LIMIT
    tracemalloc.stop()


async def ask(vendors: Vendors, path: str) -> bytes:
    async with VendorClient(str(vendors.base_url), 1, TLS, allow_private=True) as client:
        return await client.fetch(Request(path, {"x-workspace-slug": "p"}), KEYS["oration"], NOW)


@pytest.mark.promise(15)
@pytest.mark.parametrize("chunks", [(b" ",), ()])
def test_a_slow_drip_ends_at_the_deadline(chunks: tuple[bytes, ...]) -> None:
    error = failure(streams(*(chunks or [b""]), pause=0.02, endless=True), deadline=0.3)

    assert isinstance(error, Unreachable)
    assert str(error) == "no whole answer within 0.3 s"


@pytest.mark.promise(15)
def test_headers_that_drip_end_at_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"x: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        finally:
            writer.close()

    with pytest.raises(Unreachable, match="no whole answer"):
        asyncio.run(ask_raw(drip, deadline=0.3))


async def ask_raw(serve: Any, deadline: float = 5) -> bytes:
    """Ask a server that speaks for itself, byte by byte."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with (
        server,
        VendorClient(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 1, TLS, deadline, allow_private=True
        ) as client,
    ):
        return await client.fetch(REQUEST, HEADERS, NOW)


@pytest.mark.promise(16)
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncanary",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ncanary",
        b"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncanary: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 canary OK\r\n\r\n",
        b"SSH-2.0-canary\r\n",
    ],
)
def test_what_is_no_http_is_unreachable_and_shown_nowhere(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    with pytest.raises(Unreachable) as error:
        asyncio.run(ask_raw(serve))

    assert "canary" not in _everything(error.value)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 400, 401, 403, 404, 500, 502, 503])
def test_another_status_than_200_is_a_refusal(status: int) -> None:
    error = failure(says(b"" if status == 204 else b"canary", status, Location="/canary"))

    assert isinstance(error, Refused)
    assert (error.status, str(error)) == (status, f"HTTP {status}")


def test_a_redirect_is_not_followed() -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    assert failure(answer).args == ("HTTP 307",)
    assert len(paths) == 1


@pytest.mark.promise(17)
@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, 60),
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("3600", 3600),
        ("3601", 3600),
        ("315360000", 3600),
        ("9" * 400, 3600),
        ("-5", 60),
        ("+5", 60),
        ("1e3", 60),
        ("٣٠", 60),
        ("soon", 60),
        ("", 60),
        ("Mon, 08 Jun 2026 12:00:30 GMT", 30),
        ("Mon, 08 Jun 2026 14:00:30 +0200", 30),
        ("Mon, 08 Jun 2026 12:00:30 -0000", 30),
        ("Mon, 08 Jun 2020 12:00:30 GMT", 0),
        ("Mon, 08 Jun 2036 12:00:30 GMT", 3600),
        ("Mon, 08 Jun 2026 99:99:99 GMT", 60),
        ("Mon, 08 Jun 99999 12:00:00 GMT", 60),
        ("Mon, 08 Jun 2026 12:00:00 +9999", 60),
        ("Mon, 08 Jun 2026 12:00:00 +99999999999999", 60),
    ],
)
def test_retry_after_is_read_generously_and_clamped_to_an_hour(told: str | None, seconds: float) -> None:
    assert retry_after(told, NOW) == timedelta(seconds=seconds)


@pytest.mark.promise(17)
def test_a_429_says_how_long_to_wait() -> None:
    error = failure(says(b"slow down", 429, Retry_After="120"))

    assert isinstance(error, Throttled)
    assert (error.wait, error.status) == (timedelta(minutes=2), 429)


@pytest.mark.promise(17)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"X_RateLimit_Reset": str(EPOCH + 90)}, 90),
        ({"X_RateLimit_Reset": str(EPOCH + 86_400), "Date": "Mon, 08 Jun 2026 12:00:00 GMT"}, 3600),
        ({"X_RateLimit_Reset": "soon"}, 60),
        ({"RateLimit_Reset": "90"}, 90),
        ({"X_RateLimit_Reset": str(EPOCH + 90), "Retry_After": "7"}, 7),
        ({"X_RateLimit_Reset": str(EPOCH + 90), "Retry_After": "canary"}, 60),
    ],
)
def test_a_429_without_retry_after_waits_for_the_reset_of_its_count(headers: dict[str, str], seconds: float) -> None:
    error = failure(says(b"", 429, **headers))

    assert isinstance(error, Throttled)
    assert error.wait == timedelta(seconds=seconds)


def rests_until(*answers: Answer) -> datetime | None:
    """What the client says after these answers, one to a second."""
    left = list(answers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await left.pop(0)(request)

    async def ask() -> datetime | None:
        async with vendor(answer) as url, VendorClient(url, 1, TLS, 5, allow_private=True) as client:
            for second in range(len(answers)):
                with suppress(PollError):
                    await client.fetch(REQUEST, HEADERS, NOW + timedelta(seconds=second))
            return client.rests_until()

    return asyncio.run(ask())


def counts(remaining: object, reset: object = EPOCH + 90, status: int = 200) -> Answer:
    return says(
        b"{}", status, X_RateLimit_Limit="120", X_RateLimit_Remaining=str(remaining), X_RateLimit_Reset=str(reset)
    )


@pytest.mark.promise(17)
@pytest.mark.parametrize("status", [200, 307, 401, 404, 429, 500, 503])
def test_a_spent_count_is_read_from_every_answer(status: int) -> None:
    assert rests_until(counts(0, status=status)) == NOW + timedelta(seconds=90)
    assert rests_until(counts(1, status=status)) is None


def test_a_spent_count_costs_no_answer() -> None:
    assert fetch(counts(0)) == b"{}"


def test_an_answer_without_counts_asks_for_no_rest() -> None:
    assert rests_until(says()) is None


@pytest.mark.promise(17)
def test_a_spent_count_stays_spent_whatever_later_answers_say() -> None:
    # Answers overtake each other: the one that says 1 may be the older.
    assert rests_until(counts(0), counts(1), counts(0, EPOCH + 30), says()) == NOW + timedelta(seconds=90)


def test_a_later_reset_prolongs_the_rest() -> None:
    assert rests_until(counts(0), counts(0, EPOCH + 95)) == NOW + timedelta(seconds=95)


def test_a_rest_that_is_over_gives_way_to_the_next() -> None:
    assert rests_until(counts(0, 1), says(), counts(0, 1)) == NOW + timedelta(seconds=3)


@pytest.mark.promise(16)
@pytest.mark.parametrize("odd", ["9" * 4000, "NaN", "-Infinity", "٣٠", "1e400", "canary", "", "0x0", "é\udcff"])
def test_no_count_breaks_a_poll(odd: str) -> None:
    assert rests_until(counts(odd, odd)) is None
    assert fetch(says(b"{}", X_RateLimit_Remaining="0", X_RateLimit_Reset=odd, Date=odd)) == b"{}"


def test_the_simulated_vendors_clock_is_its_own(vendors: Vendors) -> None:
    # Its count starts anew in a minute by the wall clock, which virtual time knows nothing of.
    vendors.script("mentionlab/job/p/1", {"fault": {"status": 429}})

    request = Request("/mentionlab/api/jobs/1", {"x-project-id": "p"})

    async def ask_spent() -> tuple[Throttled, datetime | None]:
        async with VendorClient(str(vendors.base_url), 1, TLS, allow_private=True) as client:
            with pytest.raises(Throttled) as error:
                await client.fetch(request, KEYS["mentionlab"], NOW)
            return error.value, client.rests_until()

    error, until = asyncio.run(ask_spent())
    assert timedelta(seconds=55) < error.wait <= timedelta(minutes=1)
    assert until == NOW + error.wait


@pytest.mark.promise(16)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says(b"canary", Content_Encoding="gzip"), "does not decompress"),
        (says(gzip.compress(b"canary")[:-9], Content_Encoding="gzip"), "cut off"),
        (says(b"", Content_Encoding="gzip"), "cut off"),
        (says(b"canary", Content_Encoding="br, canary"), "encoding that was not asked for"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_a_bad_answer(answer: Answer, told: str) -> None:
    error = failure(answer)

    assert isinstance(error, BadAnswer)
    assert told in str(error)


@pytest.mark.promise(16)
@pytest.mark.parametrize("drop", [True, "mid_body"])
def test_a_dropped_connection_is_unreachable(vendors: Vendors, drop: object) -> None:
    vendors.script("oration/job/p/1", {"fault": {"drop": drop}}, {"fault": {"drop": drop}}, {"fault": {"drop": drop}})

    with pytest.raises(Unreachable, match=r"^the connection broke$"):
        asyncio.run(ask(vendors, "/oration/jobs/1"))


@pytest.mark.parametrize(
    ("base_url", "told"),
    [
        ("http://127.0.0.1:1", "no connection"),
        ("https://127.0.0.1:1", "no connection"),
        ("http://nowhere.invalid", "the name does not resolve"),
    ],
)
def test_who_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch, base_url: str, told: str) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    async def ask() -> bytes:
        async with VendorClient(base_url, 1, TLS, 5, allow_private=True) as client:
            return await client.fetch(REQUEST, HEADERS, NOW)

    with pytest.raises(Unreachable, match=told):
        asyncio.run(ask())


@pytest.mark.promise(45)
@pytest.mark.parametrize(
    ("answer", "deadline"),
    [
        (says(b"canary", 500, X_Canary="canary"), 5),
        (says(b"canary", 429, Retry_After="canary"), 5),
        (says(b"canary", 429, X_RateLimit_Remaining="0", X_RateLimit_Reset="canary"), 5),
        (says(b"canary", Content_Encoding="canary"), 5),
        (streams(b"canary", drop=True, Content_Length="canary"), 5),
        (streams(b"canary", drop=True), 5),
        (streams(b"canary", pause=9), 0.1),
    ],
)
def test_no_value_of_request_or_answer_is_in_an_error(answer: Answer, deadline: float) -> None:
    assert "canary" not in _everything(failure(answer, deadline))


def _everything(error: BaseException) -> str:
    """What a log of the error would show. Its hidden context is shown by nobody: `from None` cut it off."""
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return f"{error!r} {error} {vars(error)}"


def test_cookies_are_not_kept() -> None:
    sent: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Cookie"))
        return web.Response(body=b"{}", headers={"Set-Cookie": "session=canary"})

    async def twice() -> None:
        async with vendor(answer) as url, VendorClient(url, 1, TLS, allow_private=True) as client:
            for _ in range(2):
                await client.fetch(REQUEST, HEADERS, NOW)

    asyncio.run(twice())
    assert sent == [None, None]


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert fetch(says(b"direct")) == b"direct"


def test_no_more_requests_are_open_than_allowed() -> None:
    open_, most = 0, 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal open_, most
        open_, most = open_ + 1, max(most, open_ + 1)
        await asyncio.sleep(0.01)
        open_ -= 1
        return web.Response(body=b"{}")

    async def ask_many() -> None:
        async with vendor(answer) as url, VendorClient(url, 3, TLS, allow_private=True) as client:
            await asyncio.gather(*(client.fetch(REQUEST, HEADERS, NOW) for _ in range(20)))

    asyncio.run(ask_many())
    assert most == 3


def test_a_header_that_cannot_be_sent_never_leaves_and_shows_no_value() -> None:
    with pytest.raises(PollError, match="header") as error:
        fetch(says(), Request("/", {"x-workspace-slug": "canary\r\nx: y"}))

    assert "canary" not in str(error.value)
