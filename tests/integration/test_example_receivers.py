"""The examples of receivers, run as their README says, take what pollbridge's own notifier sends."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest

from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import DeliveryError, Notice, Treatment
from pollbridge.notifying.webhook import BODY_LIMIT, WebhookNotifier
from pollbridge.secrets import WebhookSecret
from tests.kit import events
from tests.kit.stranger import stranger
from tests.kit.verifying import Webhook, deliver, signing_secret

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "python": (sys.executable, ROOT / "examples" / "receivers" / "python" / "receiver.py"),
    "node": ("node", ROOT / "examples" / "receivers" / "node" / "receiver.mjs"),
}
SECRET, NEW = signing_secret(b"e" * 32), signing_secret(b"n" * 24)
PATIENCE = 30.0
"""Seconds that a receiver may take to begin, or to work an event."""

POSTER = Poster(allow_private=True)
[SAMPLE] = [Notice.read(record["body"]) for record in events.event("webhook_notifier", "changed")["Records"]]
KEY = SAMPLE.detail["job"]["key"]


@dataclass(frozen=True)
class Example:
    """A receiver that runs, and what it prints."""

    url: str
    lines: SimpleQueue[str] = field(default_factory=SimpleQueue)

    def take(self, notice: Notice, **secrets: str) -> int:
        """The status it answers pollbridge's notifier. Raises DeliveryError."""
        secret = WebhookSecret(url=self.url, **{"signing_secret": SECRET, **secrets})
        return WebhookNotifier(POSTER, lambda: secret, {}).deliver([notice]).code

    def post(self, webhook: Webhook) -> int:
        return self.ask("POST", webhook.body, webhook.headers)

    def ask(self, method: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        try:
            connection.request(method, "/", body, dict(headers or {}))
            return connection.getresponse().status
        finally:
            connection.close()

    def printed(self, number: int) -> list[str]:
        return [self.lines.get(timeout=PATIENCE) for _ in range(number)]


@contextmanager
def running(language: str, **environment: str) -> Iterator[Example]:
    """The example in a process of its own, which ends with the context."""
    told = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET, "PORT": "0", **environment}
    with subprocess.Popen(
        EXAMPLES[language], env=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        end = threading.Timer(4 * PATIENCE, process.kill)
        end.start()
        try:
            assert process.stdout
            ready = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
            assert ready
            example, lines = Example(ready[1]), process.stdout
            reader = threading.Thread(target=lambda: [example.lines.put(line.rstrip("\n")) for line in lines])
            reader.start()
            yield example
        finally:
            end.cancel()
            process.kill()
        reader.join()


@pytest.fixture(scope="module", params=EXAMPLES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def example(language: str) -> Iterator[Example]:
    with running(language) as receiver:
        yield receiver


def notice(version: int, job: str = KEY, detail_type: str = SAMPLE.detail_type, **more: Any) -> Notice:
    about = {**SAMPLE.detail["job"], "key": job}
    return Notice(detail_type, {**SAMPLE.detail, "id": f"{job}-{version}", "version": version, "job": about, **more})


def last(example: Example) -> list[str]:
    """All that it printed, now that it is through with what it got."""
    example.take(notice(1, "last"))
    lines = []
    while (line := example.lines.get(timeout=PATIENCE)) != "job last 1 partially_failed":
        lines.append(line)
    return lines


def test_an_event_is_accepted_and_worked(example: Example) -> None:
    assert example.take(SAMPLE) == 202
    assert last(example) == [f"job {KEY} {SAMPLE.version} {SAMPLE.detail['to']['state']}"]


def test_a_repeated_event_is_not_worked_twice(example: Example) -> None:
    assert [example.take(notice(3)) for _ in range(3)] == [202, 202, 202]
    assert last(example) == [f"job {KEY} 3 partially_failed"]


@pytest.mark.promise(31)
def test_a_late_older_version_overwrites_nothing(example: Example) -> None:
    for version in (2, 4, 3):
        example.take(notice(version))
    example.take(notice(1, "another"))

    assert last(example) == [
        f"job {KEY} 2 partially_failed",
        f"job {KEY} 4 partially_failed",
        f"late {KEY} 3",
        "job another 1 partially_failed",
    ]


def test_types_that_it_does_not_know_are_accepted(example: Example) -> None:
    assert example.take(Notice("Moon Full", {"id": "m", "version": 1, "schema": "1", "moon": ["?"]})) == 202
    assert example.take(events.notice(events.unreachable())) == 202
    assert last(example) == ["passed moon.full", "passed vendor.unreachable"]


@pytest.mark.promise(33)
def test_what_was_tampered_with_is_refused(example: Example) -> None:
    with stranger() as receiver:
        good = deliver(receiver, notice(1, error="\ufffd"), {"signing_secret": SECRET})

    # Read leniently this is the same text: https://encoding.spec.whatwg.org/#utf-8-decoder
    assert good.body.count("\ufffd".encode()) == 1
    bad = [
        Webhook(good.headers, good.body.replace("\ufffd".encode(), b"\xf0\xbf\xbd")),
        Webhook(good.headers, good.body.replace(b"partially_failed", b"totally__failed_")),
        Webhook(good.headers, good.body + b" "),
        Webhook(good.headers, b""),
        Webhook({}, good.body),
        good.saying(webhook_id="another"),
        good.saying(webhook_timestamp="1"),
        good.saying(webhook_timestamp="soon"),
        *[good.saying(webhook_signature=odd) for odd in ("", "v1", "v1,?", "v1a,x v1,", f"v1,{'A' * 43}=", "v1,é")],
    ]
    assert [example.post(webhook) for webhook in bad] == [401] * len(bad)
    assert example.post(good) == 202
    assert last(example) == [f"job {KEY} 1 partially_failed"]


@pytest.mark.promise(33)
def test_its_secret_counts_before_and_while_another_takes_its_place(example: Example) -> None:
    assert example.take(notice(1)) == 202
    assert example.take(notice(2), signing_secret=NEW, previous_signing_secret=SECRET) == 202
    with pytest.raises(DeliveryError, match="HTTP 401"):
        example.take(notice(3), signing_secret=NEW)


def test_the_longest_body_is_accepted(example: Example) -> None:
    assert example.take(notice(1, message="é" * (BODY_LIMIT // 2 - 1_000))) == 202


def test_what_is_too_large_or_no_webhook_is_refused_unread(example: Example) -> None:
    assert example.ask("POST", headers={"Content-Length": "100000"}) == 413
    assert example.ask("POST", headers={"Content-Length": "9" * 400}) in {400, 413}
    assert example.ask("POST", headers={"Transfer-Encoding": "chunked"}) == 411
    assert example.ask("GET") in {405, 501}
    assert example.take(SAMPLE) == 202


@pytest.mark.promise(36)
def test_one_that_wants_no_more_says_so_to_pollbridge_alone(language: str) -> None:
    with running(language, RETIRED="1") as example:
        with pytest.raises(DeliveryError) as refused:
            example.take(SAMPLE)

        assert (refused.value.code, refused.value.treatment) == (410, Treatment.DISABLE)
        assert example.ask("POST", b"{}") == 401


@pytest.mark.parametrize("language", EXAMPLES)
def test_without_a_secret_it_does_not_begin(language: str) -> None:
    secretless = {"PATH": os.environ["PATH"], "PORT": "0"}
    begun = subprocess.run(EXAMPLES[language], env=secretless, capture_output=True, timeout=PATIENCE, check=False)

    assert (begun.returncode, begun.stdout) == (1, b"")
