"""A destination of the deployment, ready to deliver what its queue brings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from pollbridge import secrets
from pollbridge.config import Configuration, Destination
from pollbridge.history.ledger import Ledger
from pollbridge.history.table import Table
from pollbridge.notifying.deliveries import Deliveries, Queue
from pollbridge.notifying.http import client
from pollbridge.notifying.notice import Notifier
from pollbridge.secrets import Secrets

LEASE = timedelta(seconds=75)
"""Longer than a notifier's timeout (60 s): a claim outlives whoever holds it by little."""


def deliveries(name: str, configuration: Configuration, table: Table, queue: Queue, store: Secrets) -> Deliveries:
    """The deliveries to the destination of that name."""
    return Deliveries(queue, Ledger(table, name, LEASE), notifier(configuration.destinations[name], store, client()))


def notifier(destination: Destination, store: Secrets, http: httpx.Client) -> Notifier:
    """The notifier of a destination's type; only the one that is needed gets imported."""

    def held() -> Mapping[str, Any]:
        values = store.read(destination.secret)
        secrets.check(destination, values)
        return values

    if destination.type == "slack":
        from pollbridge.notifying.slack import SlackNotifier

        return SlackNotifier(http, lambda: secrets.slack(held()))
    from pollbridge.notifying.webhook import WebhookNotifier

    return WebhookNotifier(http, lambda: secrets.webhook(held()), destination.headers)
