"""What every notifier's function does around its notifier: the queue, the ledger, the secret, the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from pollbridge import secrets
from pollbridge.aws import client
from pollbridge.config import Destination, bundled
from pollbridge.history.ledger import Ledger
from pollbridge.history.table import Table
from pollbridge.notifying import http
from pollbridge.notifying.deliveries import Deliveries, Queue
from pollbridge.notifying.notice import Notifier
from pollbridge.observability import count, logger

LEASE = timedelta(seconds=75)
"""Longer than a notifier's timeout (60 s): a claim outlives whoever holds it by little."""

Held = Callable[[], Mapping[str, Any]]
"""Reads the destination's secret afresh. Raises UnusableSecret."""

MakeNotifier = Callable[[Destination, Held, httpx.Client], Notifier]


@dataclass(frozen=True, slots=True)
class Worker:
    """Delivers what one destination's queue brings."""

    destination: str
    deliveries: Deliveries

    @classmethod
    def deployed(cls, make: MakeNotifier) -> Worker:
        """For the destination that the function's environment names."""
        name = os.environ["DESTINATION"]
        destination, store = bundled().destinations[name], secrets.Secrets(client("secretsmanager"))

        def held() -> Mapping[str, Any]:
            values = store.read(destination.secret)
            secrets.check(destination, values)
            return values

        queue = Queue(client("sqs"), os.environ["QUEUE_URL"], os.environ["DEAD_LETTER_QUEUE_URL"])
        ledger = Ledger(Table(client("dynamodb"), os.environ["TABLE"]), name, LEASE)
        return cls(name, Deliveries(queue, ledger, make(destination, held, http.client())))

    def work(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Deliver a batch; the result names the messages that have to come back."""
        result = self.deliveries.deliver(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
        extra = {"destination": self.destination, **result.counts, "errors": result.errors}
        logger().info("delivered", extra=extra)
        count({name.title(): n for name, n in result.counts.items()}, destination=self.destination)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in result.back]}
