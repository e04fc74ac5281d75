"""What docs/receiving.md tells those who receive webhooks is so, and the code it shows is the examples'."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pollbridge.cli.delivering import _test_event
from pollbridge.notifying.deliveries import RESPONSE_KEPT
from pollbridge.notifying.http import DEADLINE, RESPONSE_LIMIT, Poster
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.retries import JITTER, LONGEST, OLDEST, STEPS
from pollbridge.notifying.standing import ENOUGH
from pollbridge.notifying.webhook import BODY_LIMIT, FEWER_JOBS, TREATMENTS, WebhookNotifier, body
from pollbridge.secrets import WebhookSecret
from tests.kit import events
from tests.kit.stranger import stranger
from tests.kit.verifying import signing_secret

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "python": ROOT / "examples" / "receivers" / "python" / "receiver.py",
    "js": ROOT / "examples" / "receivers" / "node" / "receiver.mjs",
}
[SAMPLE] = [Notice.read(record["body"]) for record in events.event("webhook_notifier", "changed")["Records"]]

RECEIVING = (ROOT / "docs" / "receiving.md").read_text("utf-8")
SHOWN = re.findall(r"^```(python|js)\n(.+?)^```$", RECEIVING, re.MULTILINE | re.DOTALL)
SAID = " ".join(RECEIVING.split())


def dedented(lines: list[str]) -> list[str]:
    return textwrap.dedent("\n".join(lines)).split("\n")


@pytest.mark.parametrize(("language", "code"), SHOWN)
def test_what_the_document_shows_is_what_the_examples_do(language: str, code: str) -> None:
    shown = code.rstrip("\n").split("\n")
    lines = EXAMPLES[language].read_text("utf-8").split("\n")

    assert shown in [dedented(lines[start : start + len(shown)]) for start in range(len(lines))]


@pytest.mark.promise(35)
def test_the_document_tells_the_retry_clock() -> None:
    [told] = re.findall(r"The waits between attempts are (.+?), give or take a fifth: eight attempts", SAID)
    units = {"s": 1, "min": 60, "h": 3600}

    assert [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", told)] == [
        step.total_seconds() for step in STEPS
    ]
    assert (1 + len(STEPS), JITTER) == (8, 0.2)
    assert f"never over {LONGEST / timedelta(hours=1):.0f} hours" in SAID
    assert f"only put off for {OLDEST / timedelta(hours=1):.0f} hours" in SAID
    assert timedelta(days=5) == ENOUGH
    assert "nothing but fail for five days" in SAID


def test_the_document_tells_the_limits() -> None:
    assert f"An attempt has {DEADLINE:.0f} seconds" in SAID
    assert (
        f"at most {RESPONSE_LIMIT // 1024} KB are read; the ledger keeps the first {RESPONSE_KEPT // 1024} KB" in SAID
    )
    assert f"at most 20 KB ({BODY_LIMIT:,} bytes)" in SAID
    assert FEWER_JOBS == 5
    assert "`changes.jobs` all but five" in SAID


@pytest.mark.promise(36)
def test_the_document_names_every_status_that_is_special() -> None:
    assert re.findall(r"^\| (\d{3}) \|", RECEIVING, re.MULTILINE) == [str(status) for status in TREATMENTS]


@pytest.mark.promise(33)
def test_the_document_names_every_header_that_is_sent() -> None:
    told = set(re.findall(r"^\| `([a-z-]+)` \|", RECEIVING, re.MULTILINE))
    with stranger() as receiver:
        secret = WebhookSecret(url=receiver.url, signing_secret=signing_secret(bytes(24)))
        WebhookNotifier(Poster(allow_private=True), lambda: secret, {}).deliver([SAMPLE])

    assert told == set(receiver.posts[0].headers) - {"host", "connection", "content-length", "accept-encoding"}


def test_the_document_tells_what_is_left_out_first() -> None:
    steps = [({}, 1_024), ({"more": "x" * 19_000}, 128)]
    cut = [
        json.loads(body(replace(SAMPLE, detail={**SAMPLE.detail, "error": "x" * 30_000, **more})))["data"]["error"]
        for more, _ in steps
    ]

    assert [len(error.encode()) for error in cut] == [limit for _, limit in steps]
    assert all(error.endswith("…") for error in cut)
    assert "all but the first 1,024 bytes of `error` and `message`, then all but 128" in SAID


def test_the_document_tells_what_a_test_looks_like() -> None:
    told = _test_event("service")
    event = json.loads(body(Notice(told.detail_type, json.loads(told.event))))

    assert f"It is a `{event['type']}` of vendor `{event['data']['vendor']}`" in SAID
    assert event["data"]["job"]["key"].startswith("pollbridge/test/")
    assert "whose `job.key` begins with `pollbridge/test/`" in SAID
