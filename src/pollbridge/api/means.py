"""What the routes work with: the deployment, as one of its functions knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pollbridge.api.problems import Mistake, invalid, unknown
from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Head, Heads
from pollbridge.history.table import Table
from pollbridge.model.job import InvalidJobKey, JobKey
from pollbridge.notifying.outcomes import AHEAD
from pollbridge.notifying.resending import Resending
from pollbridge.watches import Watches, WatchRefused

Queues = Mapping[str, Mapping[str, str]]
"""By destination: the addresses of its `queue` and of its `dead_letter` queue."""


@dataclass(frozen=True, slots=True)
class Means:
    """`queues` and `sqs` are asked for when something is sent again, and not before."""

    configuration: Configuration
    table: Table
    queues: Callable[[], Queues]
    sqs: Callable[[], Any]
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def heads(self) -> Heads:
        return Heads(self.table)

    @property
    def connections(self) -> Connections:
        return Connections(self.table)

    @property
    def entries(self) -> Entries:
        kept = self.configuration.history
        return Entries(self.table, kept.retain, kept.raw)

    @property
    def watches(self) -> Watches:
        return Watches(self.configuration, self.heads, self.connections)

    @property
    def resending(self) -> Resending:
        return Resending(self.sqs(), self.table, self.configuration, self.queues())

    def now(self) -> datetime:
        """Later than every event."""
        return self.connections.clock(self.configuration.vendors, self.wall()) + AHEAD

    def key(self, text: str, where: str) -> JobKey:
        """The job that a printed key names. Raises Wrong."""
        try:
            JobKey.parse(text)
        except InvalidJobKey as error:
            raise invalid([Mistake(where=where, what=f"is no job key: {error}")]) from None
        try:
            return self.watches.known(text)
        except WatchRefused as error:
            raise unknown("job", str(error)) from None

    def head(self, text: str, where: str) -> Head:
        """The job with that key. Raises Wrong if it is not known here."""
        key = self.key(text, where)
        head = self.heads.get(key)
        if head is None:
            raise unknown("job", f"{key} is not known here: register it by POST /v1/watches.")
        return head

    def narrowed(self, connection: str | None, vendor: str | None = None) -> list[str]:
        """The connections that are asked for, in the order of their names. Raises Wrong."""
        configured = self.configuration.vendors
        if connection is not None and connection not in configured:
            known = ", ".join(configured)
            raise unknown("connection", f"There is no connection {connection!r} here; configured: {known}.")
        names = [connection] if connection is not None else sorted(configured)
        return [name for name in names if vendor in {None, configured[name].type}]

    def destinations(self, name: str | None) -> list[str]:
        """The destinations that are asked for, in the order of their names. Raises Wrong."""
        configured = self.configuration.destinations
        if name is None:
            return sorted(configured)
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise unknown("destination", f"There is no destination {name!r} here; configured: {known}.")
        return [name]
