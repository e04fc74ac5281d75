"""The queue of one Slack destination → its receiver.

Reports each message that has to come back; what is exhausted is in the dead-letter queue.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pollbridge import secrets
from pollbridge.history.cards import Cards
from pollbridge.history.connections import Connections
from pollbridge.history.timeline import Timeline
from pollbridge.notifying.retries import LEASE
from pollbridge.notifying.slack.bursts import Bursts
from pollbridge.notifying.slack.notifier import SlackNotifier
from pollbridge.notifying.worker import Means, Worker
from pollbridge.routing import pattern


@cache
def worker() -> Worker:
    return Worker.deployed(notifier)


def notifier(means: Means) -> SlackNotifier:
    hears_of = pattern(means.destination.match, means.name)
    return SlackNotifier(
        means.poster,
        lambda: secrets.slack(means.secret()),
        Cards(means.table, means.name, LEASE),
        Bursts(Timeline(means.table), Connections(means.table), hears_of),
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return worker().work(event, context)
