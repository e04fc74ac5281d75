"""POSTing to receivers over real sockets: whatever they do, the deadline holds and an error says what was."""

from __future__ import annotations

import errno
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge import __version__
from pollbridge.notifying import http
from pollbridge.notifying.http import RESPONSE_LIMIT, Poster, Response
from pollbridge.notifying.network import CHUNK, Network
from pollbridge.notifying.notice import DeliveryError, Treatment
from tests.kit.egress import TLS
from tests.kit.posting import Raw, Speak, answers, drips, listening, response, says

POSTER = Poster(allow_private=True, tls=TLS)
STRICT = Poster(allow_private=False, tls=TLS)


def posted(speak: Speak, deadline: float = 5, **headers: str) -> Response:
    with listening(speak) as receiver:
        return POSTER.post(receiver.url, b"{}", headers, deadline)


def failure(speak: Speak, deadline: float = 5) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        posted(speak, deadline)
    return error.value


def request(path: str = "/hook", body: bytes = b"{}", user: str = "", **headers: str) -> bytes:
    """The bytes that a receiver gets; an underscore in a header's name stands for a hyphen."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    with listening(answers()) as receiver:
        POSTER.post(f"http://{user}127.0.0.1:{receiver.port}{path}", body, told)
    [got] = receiver.requests
    return got.replace(f":{receiver.port}".encode(), b":PORT")


def test_a_post_is_this_and_nothing_more() -> None:
    agent = f"pollbridge/{__version__}"

    assert request(X_Own="1") == (
        b"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Own: 1\r\nContent-Length: 2\r\n"
        b"User-Agent: " + agent.encode() + b"\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n{}"
    )


@pytest.mark.promise(34)
@pytest.mark.parametrize("body", [b"", b"\x00\r\n\r\n\xff", bytes(range(256)) * 80])
def test_the_bytes_given_are_the_bytes_sent(body: bytes) -> None:
    assert request(body=body).partition(b"\r\n\r\n")[2] == body


@pytest.mark.promise(46)
@pytest.mark.parametrize("name", ["Host", "HOST", "content_length", "User_Agent", "accept_encoding", "Connection"])
def test_headers_that_are_ours_are_not_taken_from_others(name: str) -> None:
    assert request(**{name: "99"}) == request()


@pytest.mark.promise(46)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "canary\r\nx-evil: 1"),
        ("x", "canary\n"),
        ("x", "canary\x00"),
        ("x", "canaryé"),
        ("x", "canary\x7f"),
        ("x\r\nx-evil", "1"),
        ("x: y", "canary"),
        ("", "canary"),
        ("é", "canary"),
    ],
)
def test_a_header_that_would_break_out_is_never_sent(name: str, value: str) -> None:
    with listening(answers()) as receiver, pytest.raises(DeliveryError, match="a header cannot be sent") as error:
        POSTER.post(receiver.url, b"{}", {name: value})

    assert receiver.requests == []
    assert "canary" not in repr(error.value)
    assert not error.value.maybe_sent


def test_headers_that_contradict_each_other_are_never_sent() -> None:
    with listening(answers()) as receiver, pytest.raises(DeliveryError, match="contradict") as error:
        POSTER.post(receiver.url, b"{}", {"Transfer-Encoding": "br"})

    assert [*filter(None, receiver.requests)] == []
    assert not error.value.maybe_sent


def test_blanks_around_a_value_are_left_out() -> None:
    assert b"\r\nX: a b\r\n" in request(X=" a b\t")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", b"/"),
        ("/", b"/"),
        ("?x=1", b"/?x=1"),
        ("/a%2Fb/../c//d;e?x=%2F&y=%zz#part", b"/a%2Fb/../c//d;e?x=%2F&y=%zz"),
        ("#/elsewhere", b"/"),
        ("/services/T0/B0/key@x:y", b"/services/T0/B0/key@x:y"),
    ],
)
def test_path_and_query_arrive_as_they_are_written(path: str, target: bytes) -> None:
    assert request(path).split(b" ")[1] == target


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ("user:p%40ss@", b"Basic dXNlcjpwQHNz"),
        ("user@", b"Basic dXNlcjo="),
        (":token@", b"Basic OnRva2Vu"),
        ("%C3%A9:%C3%A9@", b"Basic w6k6w6k="),
    ],
)
def test_user_and_password_in_the_address_are_told_as_basic_authorization(user: str, told: bytes) -> None:
    assert b"\r\nAuthorization: " + told + b"\r\n" in request(user=user)
    assert b"\r\nHost: 127.0.0.1:PORT\r\n" in request(user=user)


def test_a_header_is_preferred_to_the_addresss_user() -> None:
    got = request(user="user:pass@", authorization="Bearer x")

    assert got.lower().count(b"authorization:") == 1
    assert b"\r\nauthorization: Bearer x\r\n" in got


def test_a_literal_of_ipv6_keeps_its_brackets_in_host() -> None:
    with listening(answers(), host="::1") as receiver:
        POSTER.post(f"HTTP://[0:0::1]:{receiver.port}/hook", b"{}", {})

    assert f"\r\nHost: [0:0::1]:{receiver.port}\r\n".encode() in receiver.requests[0]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "canary",
        "canary.test/hook",
        "//canary.test/",
        "mailto:canary@x.test",
        "ftp://canary.test/",
        "https//canary.test",
        "https:/canary.test",
        "https://",
        "https:///canary",
        "https://?canary",
        "https://:443/canary",
        "https://user@/canary",
        "https://canary test/",
        " https://canary.test/",
        "https://canary.test/\n",
        "https://canary.test/a b",
        "https://canary.test/é",
        "https://canarý.test/",
        "https://ⓒanary.test/",
        "https://canary%2etest/",
        "https://canary.test:port/",
        "https://canary.test:-1/",
        "https://canary.test:+443/",
        "https://canary.test:٤٤٣/",
        "https://canary.test:443:443/",
        "https://canary.test:0/",
        "https://canary.test:65536/",
        "https://canary.test:999999999999/",
        "https://[::1/canary",
        "https://::1/canary",
        "https://[canary]/",
        "https://[fe80::1%25canary]/",
        "https://[v1.canary]/",
        "https://a@b@canary.test/",
        "https://canary.test\\@x.test/",
        "http\u017f://canary.test/",
    ],
)
def test_what_is_no_address_is_one_clear_error_that_can_be_mended(url: str) -> None:
    with pytest.raises(DeliveryError, match=r"^the address (is no http or https URL|has a port)") as error:
        POSTER.post(url, b"{}", {})

    assert "canary" not in repr(error.value)
    assert (error.value.treatment, error.value.maybe_sent) == (Treatment.RETRY, False)


@given(
    st.text().map("https://".__add__)
    | st.from_regex(r"\Ahttps?://([!-~]{1,9}@)?[!-~]{1,20}(:\d{1,6})?([/?#][!-~]*)?\Z")
)
def test_whatever_the_address_its_host_is_plain_or_there_is_none(url: str) -> None:
    try:
        target = http._Target.of(url).url
    except DeliveryError:
        return

    assert re.fullmatch(rb"[a-z0-9._-]+|[0-9a-f:.]+", target.host)
    assert target.port and target.target.startswith(b"/")


def test_plain_http_is_refused_where_private_addresses_are_not_allowed() -> None:
    with listening(answers()) as receiver, pytest.raises(DeliveryError, match="plain http: use https") as error:
        STRICT.post(receiver.url, b"{}", {})

    assert receiver.requests == []
    assert error.value.treatment is Treatment.RETRY


@pytest.mark.promise(36)
def test_every_status_is_an_answer() -> None:
    statuses = iter(range(200, 600))

    def next_one(connection: socket.socket, over: threading.Event) -> None:
        answers(next(statuses))(connection, over)

    with listening(next_one) as receiver:
        for status in range(200, 600):
            assert POSTER.post(receiver.url, b"{}", {}).status == status


@pytest.mark.promise(36)
@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_interim_answer_is_waited_out(status: int) -> None:
    interim = f"HTTP/1.1 {status} -\r\n\r\n".encode() * 3

    assert posted(says(interim + b"HTTP/1.1 201 -\r\nContent-Length: 2\r\n\r\n{}")) == response(201, "{}")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 200\r\n\r\nuntil the end", "until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", "old"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut", "cut"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nrubbish\r\n", "abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nrubbish", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", "\ufffd\ufffd"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", "xx"),
    ],
)
def test_a_status_counts_whatever_becomes_of_the_body(answer: bytes, text: str) -> None:
    assert posted(says(answer)) == response(200 if b"204" not in answer else 204, text)


def drop(connection: socket.socket, _: threading.Event) -> None:
    """Close with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    "speak",
    [
        drop,
        says(b""),
        says(b"canary"),
        says(b"canary\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\ncanary"),
        says(b"HTTP/1.1 200 OK\r\ncanary\r\n\r\n"),
        says(b"HTTP/1.1 099 canary\r\n\r\n"),
        says(b"HTTP/1.1 101 canary\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        says(b"HTTP/1.1 20 canary\r\n\r\n"),
        says(b"HTTP/2 200 canary\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\ncanary"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: canary\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nx: \x00canary\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nx: " + b"canary" * 100_000),
        says(b"\x16\x03\x01\x00\x05canary"),
        says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
)
def test_an_answer_that_is_none_may_have_been_sent(speak: Speak) -> None:
    error = failure(speak)

    assert (error.outcome, error.maybe_sent) == ("the connection broke", True)
    assert (error.treatment, error.code) == (Treatment.RETRY, None)
    assert "canary" not in repr(error)
    assert error.__cause__ is None and error.__suppress_context__


@pytest.mark.promise(45)
@pytest.mark.parametrize(
    ("repeated", "kept"),
    [
        ("Cannot POST /hook/canary01%21canary02", "Cannot POST /hook/…"),
        ("Cannot POST /hook/canary01!canary02", "Cannot POST /hook/…!…"),
        ("no route for canary-path-within, nor for canary-path", "no route for …, nor for …"),
        ("bob:canary-pass!word may not", "bob:…!word may not"),
        ("Basic Ym9iOmNhbmFyeS1wYXNzIXdvcmQ= is not enough", "Basic …= is not enough"),
        ("Bearer canary-key has expired", "Bearer … has expired"),
        ("the hook is unknown", "the hook is unknown"),
    ],
)
def test_what_is_kept_of_an_answer_has_nothing_of_the_address_or_of_a_header(repeated: str, kept: str) -> None:
    with listening(answers(404, repeated.encode())) as receiver:
        told = (
            f"bob:canary-pass%21word@127.0.0.1:{receiver.port}/hook/canary01%21canary02/canary-path/canary-path-within"
        )
        answer = POSTER.post(f"http://{told}", b"{}", {"x-key": "canary-key"})

    assert (answer.text, answer.kept) == (repeated, kept)


@pytest.mark.promise(36)
def test_a_receiver_that_answers_before_it_has_read_all_has_answered() -> None:
    def refuse(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 413 -\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with listening(refuse, hears=False) as receiver:
        assert POSTER.post(receiver.url, bytes(5_000_000), {}).status == 413


@pytest.mark.promise(36)
def test_nobody_there_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    for scheme in ("http", "https"):
        with pytest.raises(DeliveryError, match=r"^no connection$") as error:
            POSTER.post(f"{scheme}://127.0.0.1:{port}/", b"{}", {})
        assert not error.value.maybe_sent


def timed(speak: Speak, scheme: str = "http", body: bytes = b"{}", *, hears: bool = True) -> DeliveryError:
    """The error after a deadline of 0.3 s, which came in time."""
    with listening(speak, hears=hears) as receiver:
        started = time.monotonic()
        with pytest.raises(DeliveryError) as error:
            POSTER.post(f"{scheme}://127.0.0.1:{receiver.port}/", body, {}, deadline=0.3)
        assert 0.29 < time.monotonic() - started < 3
    return error.value


def hold(_: socket.socket, over: threading.Event) -> None:
    over.wait(30)


@pytest.mark.promise(39)
@pytest.mark.parametrize(
    "speak",
    [
        hold,
        drips(b"HTTP/1.1 200 OK\r\n", b"x-drip: 1\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_receiver_that_drips_its_headers_is_cut_off_at_the_deadline(speak: Speak) -> None:
    error = timed(speak)

    assert (error.outcome, error.maybe_sent) == ("timed out", True)


@pytest.mark.promise(39)
def test_a_receiver_that_never_reads_is_cut_off_at_the_deadline() -> None:
    error = timed(hold, body=bytes(30_000_000), hears=False)

    assert (error.outcome, error.maybe_sent) == ("timed out", True)


@pytest.mark.promise(39)
@pytest.mark.promise(44)
@pytest.mark.parametrize("speak", [hold, drips(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x03")])
def test_a_handshake_that_never_ends_is_cut_off_at_the_deadline(speak: Speak) -> None:
    error = timed(speak, scheme="https", hears=False)

    assert (error.outcome, error.maybe_sent) == ("no TLS handshake in time", False)


@pytest.mark.promise(40)
@pytest.mark.parametrize(
    "speak",
    [
        drips(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drips(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9999\r\n\r\n", b"x"),
        drips(b"HTTP/1.1 202 Accepted\r\n\r\n", b"x"),
    ],
)
def test_a_receiver_that_drips_its_body_has_answered(speak: Speak) -> None:
    started = time.monotonic()
    answer = posted(speak, deadline=1.5)

    assert (answer.status, answer.text[:1]) == (202, "x")
    assert time.monotonic() - started < 9


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    """Connects that nobody answers: who was dialled, and how long it would have been waited for."""
    dialled: list[tuple[str, float | None]] = []

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        timeout = self.gettimeout()
        dialled.append((address[0], timeout))
        threading.Event().wait(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return dialled


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)


@pytest.mark.promise(39)
def test_a_connect_that_hangs_leaves_the_other_addresses_their_share(
    monkeypatch: pytest.MonkeyPatch, silent: list[tuple[str, float | None]]
) -> None:
    resolving(monkeypatch, "1.1.1.1", "8.8.8.8", "9.9.9.9")
    with pytest.raises(DeliveryError, match=r"^no connection$") as error:
        STRICT.post("https://receiver.test/", b"{}", {}, deadline=0.3)

    assert [address for address, _ in silent] == ["1.1.1.1", "8.8.8.8", "9.9.9.9"]
    assert all(timeout and 0 < timeout < 0.11 for _, timeout in silent)
    assert not error.value.maybe_sent


@pytest.mark.promise(39)
def test_a_resolver_that_hangs_is_cut_off_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(DeliveryError, match=r"^the name does not resolve in time$"):
        STRICT.post("https://receiver.test/", b"{}", {}, deadline=0.2)
    over.set()

    assert time.monotonic() - started < 3


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answers()) as receiver:
        resolving(monkeypatch, "127.0.0.2", "127.0.0.1")
        connect = socket.socket.connect

        def refuse_one(self: socket.socket, address: tuple[str, int]) -> None:
            if address[0] == "127.0.0.2":
                raise ConnectionRefusedError
            connect(self, address)

        monkeypatch.setattr(socket.socket, "connect", refuse_one)
        assert POSTER.post(f"http://receiver.test:{receiver.port}/", b"{}", {}).status == 200


def test_an_address_of_a_kind_that_this_machine_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answers()) as receiver:
        resolving(monkeypatch, "::1", "127.0.0.1")
        make = socket.socket

        def lacking(family: int = -1, *told: Any, **more: Any) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
            return make(family, *told, **more)

        monkeypatch.setattr(socket, "socket", lacking)
        assert POSTER.post(f"http://receiver.test:{receiver.port}/", b"{}", {}).status == 200


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 400, 86400),
        ("Mon, 08 Jun 2020 12:00:30 GMT", 0),
        ("Mon, 08 Jun 9999 12:00:30 GMT", 86400),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Mon, 08 Jun 99999 12:00:00 GMT", None),
        ("Mon, 08 Jun 2026 99:99:99 GMT", None),
        ("Mon, 08 Jun 2026 12:00:00 +99999999999999", None),
    ],
)
def test_a_receiver_says_how_long_to_wait(told: str, seconds: float | None) -> None:
    wait = posted(answers(503, Retry_After=told)).retry_after

    assert wait == (None if seconds is None else timedelta(seconds=seconds))


def test_a_receiver_says_until_when_to_wait() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    wait = posted(answers(429, Retry_After=until)).retry_after

    assert wait and timedelta(seconds=280) < wait <= timedelta(seconds=300)


class Line(httpcore.NetworkStream):
    """A connection that brings these bytes, and counts them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.size = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        chunk = next(self.chunks, b"")
        self.size += len(chunk)
        return chunk

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


def over(line: Line) -> Response:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "connect_tcp", lambda *_, **__: line)
        return POSTER.post("http://receiver.test/", b"{}", {})


@pytest.mark.promise(40)
@pytest.mark.parametrize("framing", ["", "Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n"])
def test_no_more_of_an_answer_is_read_than_the_limit(framing: str) -> None:
    def endless() -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\n{framing}\r\n".encode()
        while True:
            yield b"400\r\n" + b"x" * 1024 + b"\r\n"

    line = Line(endless())
    answer = over(line)

    assert len(answer.text) == RESPONSE_LIMIT == 16 * 1024
    assert line.size < RESPONSE_LIMIT + CHUNK


@pytest.mark.promise(40)
def test_a_receivers_flood_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []
    recv = socket.socket.recv

    def count(self: socket.socket, size: int) -> bytes:
        got = recv(self, size)
        taken.append((self.getpeername()[1], len(got)))
        return got

    monkeypatch.setattr(socket.socket, "recv", count)
    with listening(says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000)) as receiver:
        answer = POSTER.post(receiver.url, b"{}", {})

    assert len(answer.text) == RESPONSE_LIMIT
    assert sum(size for port, size in taken if port == receiver.port) <= RESPONSE_LIMIT + CHUNK


HEADS = st.sampled_from(
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)


@pytest.mark.promise(36)
@given(HEADS, st.lists(st.binary() | st.sampled_from([b"\r\n", b"\r\n\r\n", b"HTTP/1.1 ", b"999 ", b": ", b"5\r\n"])))
def test_no_bytes_of_a_receiver_are_more_than_an_answer_or_an_error(head: bytes, rest: list[bytes]) -> None:
    try:
        answer = over(Line(iter([part for part in [head, *rest] if part])))
    except DeliveryError as error:
        assert error.maybe_sent
    else:
        assert 100 <= answer.status <= 999


ERRORS = [error for error in vars(httpcore).values() if isinstance(error, type) and issubclass(error, Exception)]
OF_POOLS_AND_PROXIES = {
    httpcore.ConnectionNotAvailable,
    httpcore.PoolTimeout,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
}


@pytest.mark.promise(36)
@pytest.mark.parametrize("error", [error for error in ERRORS if error not in OF_POOLS_AND_PROXIES])
def test_no_error_of_the_library_gets_out(error: type[Exception]) -> None:
    def raising() -> Iterator[bytes]:
        raise error("canary")
        yield b""

    with pytest.raises(DeliveryError) as told:
        over(Line(raising()))

    assert "canary" not in repr(told.value)


@pytest.mark.promise(45)
def test_an_error_shows_neither_address_nor_header() -> None:
    raw: Raw
    with listening(drop) as raw, pytest.raises(DeliveryError) as error:
        POSTER.post(f"{raw.url}?canary", b"canary", {"authorization": "canary"})

    assert "canary" not in repr(error.value) and "127.0.0.1" not in repr(error.value)
    assert error.value.__suppress_context__
