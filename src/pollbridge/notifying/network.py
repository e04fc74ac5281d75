"""The connections that POSTs go over: judged before they are dialled, and over with the deadline."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

from pollbridge import egress
from pollbridge.notifying.notice import DeliveryError

CHUNK = 4096
"""Bytes that are read at once."""

Left = Callable[[], float]
"""Seconds that are left until the deadline, more than 0. Raises TimeoutError."""


def clock(deadline: float) -> Left:
    """Starts now."""
    end = time.monotonic() + deadline

    def left() -> float:
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    return left


@dataclass(frozen=True, slots=True)
class Network(httpcore.NetworkBackend):
    """Connects to what a name resolves to, if all of that may be spoken to: https://www.encode.io/httpcore/network-backends/.

    The name is resolved once, and the addresses that were checked are the ones that are dialled.
    Whatever goes wrong before the request goes out is a DeliveryError right here.
    """

    allow_private: bool
    left: Left

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        for tried, address in enumerate(addresses):
            try:
                # One that doesn't answer leaves the others their share of the time.
                return self._connect(address, port, self.left() / (len(addresses) - tried))
            except OSError:
                continue
        raise DeliveryError("no connection")

    def _connect(self, address: egress.Address, port: int, timeout: float) -> httpcore.NetworkStream:
        """Raises OSError."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect((str(address), port))
            # Head and body are two packets: the second would wait for the first to be acknowledged.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            connection.close()
            raise
        return Stream(connection, self.left)

    def _resolve(self, host: str, port: int) -> list[egress.Address]:
        # getaddrinfo has no timeout of its own, and the resolver's may be longer than ours.
        answers = SimpleQueue[list[egress.Address] | OSError]()

        def resolve() -> None:
            try:
                answers.put(egress.resolve(host, port, allow_private=self.allow_private))
            except OSError as error:
                answers.put(error)

        threading.Thread(target=resolve, daemon=True).start()
        try:
            answer = answers.get(timeout=self.left())
        except (Empty, TimeoutError):
            raise DeliveryError("the name does not resolve in time") from None
        if isinstance(answer, egress.NotPublic):
            raise DeliveryError(str(answer))
        if isinstance(answer, OSError):
            raise DeliveryError("the name does not resolve")
        return answer


@dataclass(frozen=True, slots=True)
class Stream(httpcore.NetworkStream):
    """A connection on which no call outlives the deadline, however the other side drips."""

    connection: socket.socket
    left: Left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's name
        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            self.connection.settimeout(self.left())
            return self.connection.recv(min(max_bytes, CHUNK))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        with _told_as(httpcore.WriteTimeout, httpcore.WriteError):
            while buffer:
                self.connection.settimeout(self.left())
                buffer = buffer[self.connection.send(buffer) :]

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        try:
            self.connection.settimeout(self.left())
            # Certificates name hosts without the dot that ends an absolute name.
            name = (server_hostname or "").removesuffix(".")
            return Stream(ssl_context.wrap_socket(self.connection, server_hostname=name), self.left)
        except (OSError, ValueError) as error:
            self.close()
            late = isinstance(error, TimeoutError)
            raise DeliveryError("no TLS handshake in time" if late else "the TLS handshake failed") from None

    def close(self) -> None:
        self.connection.close()


@contextmanager
def _told_as(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise late from None
    except OSError:
        raise broken from None
