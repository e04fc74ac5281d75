"""The poller: a connection of the deployment, ready to sweep when the schedule says so."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pollbridge import secrets
from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.instant import epoch_minute, from_minute, read_iso
from pollbridge.polling.client import VendorClient
from pollbridge.polling.report import Report
from pollbridge.polling.sweep import STORING, Sweep

MARGIN = STORING + 5
"""Seconds kept back for the last requests, for storing failures, and for giving the lease back."""


@dataclass(frozen=True, slots=True)
class Poller:
    """One connection's sweeps."""

    sweep_: Sweep
    client: Callable[[], VendorClient]

    @classmethod
    def of(cls, name: str, configuration: Configuration, table: Table, secrets_manager: Any) -> Poller:
        connection = configuration.vendors[name]
        store = secrets.Secrets(secrets_manager)
        history = configuration.history
        return cls(
            Sweep(
                name,
                connection,
                Heads(table),
                Entries(table, history.retain, history.raw),
                Connections(table),
                Discoveries(table),
                lambda secret: secrets.headers(store.read(secret)),
            ),
            lambda: VendorClient(
                connection.base_url, connection.pace.concurrency, _tls(), allow_private=connection.allow_private
            ),
        )

    async def sweep(self, event: Mapping[str, Any], time_left: Callable[[], float]) -> Report:
        """Sweep for the tick the event stands for; `time_left` is the function's, in seconds."""
        tick, clock = _tick(event)
        async with self.client() as client:
            return await self.sweep_.run(tick, client.fetch, clock, lambda: time_left() - MARGIN, client.rests_until)


def _tick(event: Mapping[str, Any]) -> tuple[datetime, Callable[[], datetime]]:
    """The tick and the clock that goes with it.

    `virtual_time` is a tick made by hand: all that the sweep reads of time is that minute. A scheduled tick
    goes by the wall clock and is never in the future; a scheduler that leaves its placeholder in counts as now.
    """
    if "virtual_time" in event:
        moment = from_minute(epoch_minute(read_iso(event["virtual_time"])))
        return moment, lambda: moment
    try:
        scheduled = read_iso(event.get("scheduled_time", ""))
    except ValueError:
        scheduled = wall_clock()
    return min(scheduled, wall_clock()), wall_clock


def wall_clock() -> datetime:
    """Now, in whole milliseconds, as the table keeps it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@cache
def _tls() -> ssl.SSLContext:
    # 50 to 75 ms of CPU to make: one serves all clients.
    return ssl.create_default_context()
