"""Somebody else's servers: a vendor and a receiver of their own making, on loopback and the standard library."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DROP = object()


@dataclass
class Reply:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, **values: Any) -> Reply:
        return cls(body=json.dumps(values).encode())


@dataclass
class Post:
    """One request a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


class Stranger:
    """Answers GETs by script, one reply per request, the last one for ever; takes POSTs as told.

    A POST to a path that is held waits until its event is set.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, list[Any]] = {}
        self.refusals: dict[str, list[int]] = {}
        self.posts: list[Post] = []
        self.held: dict[str, threading.Event] = {}
        self.arrived = threading.Condition()
        stranger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                stranger.get(self)

            def do_POST(self) -> None:
                stranger.post(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, request: BaseHTTPRequestHandler) -> None:
        script = self.scripts.get(request.path, [Reply(404)])
        reply = script.pop(0) if len(script) > 1 else script[0]
        if reply is DROP:
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        self.answer(request, reply)

    def post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if hold := self.held.get(request.path):
            hold.wait(60)
        refusals = self.refusals.get(request.path, [])
        status = refusals.pop(0) if refusals else 200
        if status == 200:
            with self.arrived:
                headers = {name.lower(): value for name, value in request.headers.items()}
                self.posts.append(Post(request.path, headers, body))
                self.arrived.notify_all()
        self.answer(request, Reply(status, b"ok"))

    def answer(self, request: BaseHTTPRequestHandler, reply: Reply) -> None:
        request.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(reply.body)

    def wait_for(self, path: str, number: int, patience: float = 60) -> list[Post]:
        """The POSTs to a path once there are so many. Raises TimeoutError."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.to(path)) >= number, patience):
                raise TimeoutError(f"{len(self.to(path))} of {number} posts to {path}")
        return self.to(path)

    def to(self, path: str) -> list[Post]:
        return [post for post in self.posts if post.path == path]


@contextmanager
def stranger() -> Iterator[Stranger]:
    server = Stranger()
    thread = threading.Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()
