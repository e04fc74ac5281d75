"""POSTing to receivers over real sockets: whatever they do, the deadline holds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from pollbridge.notifying.http import client, post
from pollbridge.notifying.notice import DeliveryError


@contextmanager
def receiver(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The address of a server that takes one request and then speaks as the test wants."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                speak(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        finally:
            over.set()
            thread.join(5)


def _drips(opening: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def speak(connection: socket.socket, over: threading.Event) -> None:
        with suppress(OSError):
            connection.sendall(opening)
            while not over.wait(0.05):
                connection.sendall(drop)

    return speak


HEADERS = _drips(b"HTTP/1.1 200 OK\r\n", b"x-drip: 1\r\n")
BODY = _drips(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")


@pytest.mark.promise(39)
def test_a_receiver_that_drips_its_headers_is_cut_off_at_the_deadline() -> None:
    with receiver(HEADERS) as url, client() as http:
        started = time.monotonic()
        with pytest.raises(DeliveryError, match="timed out") as error:
            post(http, url, b"{}", {}, deadline=0.3)

    assert error.value.maybe_sent
    assert time.monotonic() - started < 3


@pytest.mark.promise(40)
def test_a_receiver_that_drips_its_body_has_answered() -> None:
    with receiver(BODY) as url, client() as http:
        answer = post(http, url, b"{}", {}, deadline=0.3)

    assert answer.status == 202
