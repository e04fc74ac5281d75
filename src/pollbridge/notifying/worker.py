"""What every notifier's function does around its notifier: the queue, the ledger, the secret, the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pollbridge import secrets
from pollbridge.aws import client
from pollbridge.config import Configuration, Destination, bundled
from pollbridge.history.destinations import Destinations
from pollbridge.history.entries import Entries
from pollbridge.history.ledger import Ledger
from pollbridge.history.table import Table
from pollbridge.notifying.deliveries import Deliveries, Queue
from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import Notifier
from pollbridge.notifying.retries import LEASE, RetryClock
from pollbridge.notifying.standing import Standing
from pollbridge.observability import logger, measure

WRONG = frozenset({"failed", "unreadable", "broke"})
"""Outcomes that somebody has to look at."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a destination's notifier is made of."""

    name: str
    destination: Destination
    table: Table
    poster: Poster
    secrets: secrets.Secrets

    def secret(self) -> Mapping[str, Any]:
        """What the destination's secret holds now. Raises UnusableSecret."""
        values = self.secrets.read(self.destination.secret)
        secrets.check(self.destination, values)
        return values


MakeNotifier = Callable[[Means], Notifier]


@dataclass(frozen=True, slots=True)
class Worker:
    """Delivers what one destination's queue brings."""

    destination: str
    deliveries: Deliveries

    @classmethod
    def deployed(cls, make: MakeNotifier) -> Worker:
        """For the destination that the function's environment names."""
        name, configuration = os.environ["DESTINATION"], bundled()
        destination, table = configuration.destinations[name], Table(client("dynamodb"), os.environ["TABLE"])
        store, poster = secrets.Secrets(client("secretsmanager")), Poster(destination.allow_private)
        queue = Queue(client("sqs"), os.environ["QUEUE_URL"], os.environ["DEAD_LETTER_QUEUE_URL"])
        return cls(
            name,
            Deliveries(
                queue,
                Ledger(table, name, LEASE),
                standing(name, configuration, table),
                make(Means(name, destination, table, poster, store)),
                RetryClock(hurry=float(os.environ.get("RETRIES_HURRY", "1"))),
            ),
        )

    def work(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Deliver a batch; the result names the messages that have to come back."""
        result = self.deliveries.deliver(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
        for line in result.lines:
            log = logger().error if line["outcome"] in WRONG else logger().info
            log("delivery", extra={"destination": self.destination, **line})
        measure(result.measures(), destination=self.destination)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in result.back]}


def standing(name: str, configuration: Configuration, table: Table) -> Standing:
    """A destination's standing, as its notifier and the commands see it."""
    history = configuration.history
    entries = Entries(table, history.retain, history.raw)
    return Standing(Destinations(table), entries, name, configuration.destinations[name].type)
