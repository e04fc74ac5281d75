"""Receivers for what is POSTed: a poster that notes down, and raw servers on loopback that do as the test wants."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pollbridge.notifying.http import Response

Speak = Callable[[socket.socket, threading.Event], None]
"""What a server does with a connection; the event says that the test is over."""


@dataclass(frozen=True)
class Posted:
    """A POST as it would have gone out."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass
class Posts:
    """A Poster that opens no socket: keeps what it was given and answers as told."""

    answer: Response | Exception = field(default_factory=lambda: response(200))
    sent: list[Posted] = field(default_factory=list)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float = 10) -> Response:
        self.sent.append(Posted(url, body, dict(headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def response(status: int, text: str = "") -> Response:
    return Response(status, text, None, text)


@dataclass
class Raw:
    """A server on loopback, and what it was told."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextmanager
def listening(
    speak: Speak, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, hears: bool = True
) -> Iterator[Raw]:
    """A server that does this with each connection, one after the other, once its request has arrived.

    With `tls` it shakes hands first, and drops whoever refuses. If it doesn't hear, it speaks at once.
    """
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        raw = Raw(server.getsockname()[1])

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    with connection, tls.wrap_socket(connection, server_side=True) if tls else connection as line:
                        if hears:
                            raw.requests.append(_request(line))
                        speak(line, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield raw
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def says(answer: bytes) -> Speak:
    def speak(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(answer)

    return speak


def answers(status: int = 200, body: bytes = b"{}", **headers: str) -> Speak:
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return says(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n{told}\r\n".encode() + body)


def drips(opening: bytes, drop: bytes) -> Speak:
    """A drop every 50 ms for ever: no timeout of a single read ever fires."""

    def speak(connection: socket.socket, over: threading.Event) -> None:
        with suppress(OSError):
            connection.sendall(opening)
            while not over.wait(0.05):
                connection.sendall(drop)

    return speak


def _request(connection: socket.socket) -> bytes:
    """One request, whole."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        if not (more := connection.recv(65536)):
            return raw
        raw += more
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body
