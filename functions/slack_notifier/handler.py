"""The queue of one Slack destination → its receiver.

Reports each message that has to come back; what is exhausted is in the dead-letter queue.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pollbridge.notifying.slack.notifier import SlackNotifier
from pollbridge.notifying.worker import Worker


@cache
def worker() -> Worker:
    return Worker.deployed(SlackNotifier.of)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return worker().work(event, context)
