"""Five opinions on a webhook, none of them pollbridge's: the specification by hand, two packages, two languages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import standardwebhooks
import svix.webhooks

from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.webhook import WebhookNotifier
from pollbridge.secrets import WebhookSecret
from tests.kit.stranger import Stranger

SCRIPT = Path(__file__).with_name("verifiers.mjs")

PATIENCE = 300.0
"""Seconds that the Node process may live: a test that waits for it ends."""

TOLERANCE = 300.0
"""Seconds. The specification leaves the number to the libraries; all four have this one."""


def signing_secret(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


@dataclass(frozen=True)
class Webhook:
    """A request as a receiver got it: names of headers in lower case, and the bytes of the body."""

    headers: Mapping[str, str]
    body: bytes

    def saying(self, **headers: str) -> Webhook:
        """The same, but for these headers; `webhook_id` stands for `webhook-id`."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **changed})


POSTER = Poster(allow_private=True)


def deliver(receiver: Stranger, notice: Notice, secret: Mapping[str, str], **more: Any) -> Webhook:
    """Send a notice as the webhook notifier does, and take it from the socket it arrives at."""
    held = WebhookSecret(url=f"{receiver.url}/hook", **secret)
    WebhookNotifier(POSTER, lambda: held, {}, **more).deliver([notice])
    post = receiver.posts.pop()
    return Webhook({name: post.headers[name] for name in post.headers if name.startswith("webhook-")}, post.body)


def by_the_book(secret: str, webhook: Webhook) -> bool:
    """Standard Webhooks 1.0.0, "Verifying webhook authenticity", written out over the bytes on the wire."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    event_id, timestamp, signatures = (
        webhook.headers[f"webhook-{name}"].encode("latin-1") for name in ("id", "timestamp", "signature")
    )
    made = hmac.digest(key, b".".join([event_id, timestamp, webhook.body]), hashlib.sha256)
    signed = any(hmac.compare_digest(b"v1," + base64.b64encode(made), each) for each in signatures.split(b" "))
    return signed and abs(time.time() - int(timestamp)) <= TOLERANCE


def standard(secret: str, webhook: Webhook) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(webhook.body, dict(webhook.headers))
    except (standardwebhooks.WebhookVerificationError, UnicodeDecodeError):
        return False
    return True


def svixs(secret: str, webhook: Webhook) -> bool:
    try:
        svix.webhooks.Webhook(secret).verify(webhook.body, dict(webhook.headers))
    except (svix.webhooks.WebhookVerificationError, UnicodeDecodeError):
        return False
    return True


HERE: dict[str, Callable[[str, Webhook], bool]] = {
    "by hand": by_the_book,
    "python standardwebhooks": standard,
    "python svix": svixs,
}


@dataclass(frozen=True)
class Verifiers:
    """The npm packages in a process of Node's, and those of Python here."""

    node: subprocess.Popen[bytes]

    def verdicts(self, secret: str, webhook: Webhook) -> dict[str, bool]:
        """By verifier, whether it takes the webhook for signed with that secret."""
        body = base64.b64encode(webhook.body).decode()
        question = {"secret": secret, "headers": dict(webhook.headers), "body": body}
        assert self.node.stdin and self.node.stdout
        self.node.stdin.write(json.dumps(question).encode() + b"\n")
        self.node.stdin.flush()
        there = json.loads(self.node.stdout.readline())
        return {**{name: judge(secret, webhook) for name, judge in HERE.items()}, **there}

    def all_verify(self, secret: str, webhook: Webhook) -> bool:
        """Whether all five take it; raises AssertionError when they don't agree."""
        verdicts = self.verdicts(secret, webhook)
        assert len(verdicts) == 5
        assert len(set(verdicts.values())) == 1, verdicts
        return verdicts["by hand"]


@contextmanager
def verifiers() -> Iterator[Verifiers]:
    """All five, for as long as the context lasts."""
    with subprocess.Popen(["node", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as node:
        end = threading.Timer(PATIENCE, node.kill)
        end.start()
        try:
            yield Verifiers(node)
        finally:
            end.cancel()
            node.kill()
