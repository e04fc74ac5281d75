"""The queue of one webhook destination → its receiver.

Reports each message that has to come back; what is exhausted is in the dead-letter queue.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pollbridge import secrets
from pollbridge.notifying.webhook import WebhookNotifier
from pollbridge.notifying.worker import Means, Worker


@cache
def worker() -> Worker:
    return Worker.deployed(notifier)


def notifier(means: Means) -> WebhookNotifier:
    return WebhookNotifier(means.poster, lambda: secrets.webhook(means.secret()), means.destination.headers)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return worker().work(event, context)
