"""The API behind HTTP: requests as a Function URL turns them into events, and a deployment with something to tell."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pollbridge.api.app import Api
from pollbridge.api.means import Means
from pollbridge.history.entries import Entry, Observation
from pollbridge.history.heads import Heads
from pollbridge.model.change import detect
from pollbridge.model.instant import iso
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from tests.kit.offices import Office

TEXTS = ("text/", "application/json", "application/javascript", "application/xml")
"""Bodies of these types reach a function as text, others in base64."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def url_event(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> dict[str, Any]:
    """Payload format 2.0: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads."""
    told = {name.lower(): value for name, value in (headers or {}).items()}
    pairs: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        pairs.setdefault(name, []).append(value)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": told,
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "url",
            "domainName": "url.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "url",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": "08/Jun/2026:12:00:00 +0000",
            "timeEpoch": 0,
        },
        "isBase64Encoded": False,
    }
    if pairs:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in pairs.items()}
    if cookies := told.get("cookie"):
        event["cookies"] = cookies.split("; ")
    if body:
        text = told.get("content-type", "").startswith(TEXTS)
        event["body"] = body.decode("utf-8", "replace") if text else base64.b64encode(body).decode()
        event["isBase64Encoded"] = not text
    return event


@dataclass
class Asked:
    """The API of an office."""

    office: Office
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        office = self.office
        settings = office.deployment.configuration
        self.api = Api(Means(settings, office.table, lambda: office.parts, lambda: office.sqs, self.wall))

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """Ask; `query` may hold lists."""
        raw = json.dumps(body).encode() if body is not None else b""
        headers = {"content-type": "application/json"} if raw else {}
        return self.raw(method, path, urlencode(query, doseq=True, quote_via=quote), headers, raw)

    def raw(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        told = self.api.answer(url_event(method, path, query, headers, body), None)
        return Answer(told["statusCode"], told["headers"], told["body"])

    def wsgi(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """The same over HTTP."""
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        answer = self.raw(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], headers, body)
        start(f"{answer.status} {HTTPStatus(answer.status).phrase}", [*answer.headers.items()])
        return [answer.body.encode()]

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address on loopback while the context lasts."""
        with make_server("127.0.0.1", 0, self.wsgi, Server, Quiet) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Logs nothing, and does not ask for the name of who asks."""

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "127.0.0.1"

    def get_environ(self) -> dict[str, Any]:
        # A body of no type is said to be text/plain, which nobody sent.
        return super().get_environ() | {"CONTENT_TYPE": self.headers.get("content-type", "")}


def life(
    office: Office, job: JobKey, *states: str, at: datetime, labels: Mapping[str, str] | None = None
) -> list[Entry]:
    """A registered job that goes through these states, a minute each, of which the destinations hear."""
    heads, entries = Heads(office.table), office.entries
    heads.follow(job, labels or {}, at)
    told, previous = [], None
    for number, state in enumerate(states, 1):
        now = at + timedelta(minutes=number)
        snapshot = Snapshot(
            state=State(state),
            vendor_status=state,
            name=f"job {job.id}",
            progress=Progress(total=10, succeeded=number),
            links=(Link(rel="pull_request", href="https://example.com/1?a=b&c"),) if number > 1 else (),
            error="boom — ‼" if state == "failed" else None,
            created_at=iso(at),
        )
        head, change = heads.get(job), detect(previous, snapshot)
        assert head and change
        seen = Observation(now, now, json.dumps({"id": job.id}).encode(), f"hash{number}")
        last_seen_at = now - timedelta(minutes=1) if previous else None
        entries.record(head, change, seen, vendor="oration", slot=head.slot, last_seen_at=last_seen_at, recorded_at=now)
        previous = snapshot
        entry = entries.get(job, number)
        assert entry
        told.append(entry)
        office.route(entry, *office.parts)
    return told
