"""The auditor: finds what was recorded and not published, jobs where nobody looks, destinations that hear nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pollbridge import metrics
from pollbridge.history.destinations import Destinations, Disabled
from pollbridge.history.entries import Entry
from pollbridge.history.publication import Publication
from pollbridge.history.table import Table
from pollbridge.metrics import Metric
from pollbridge.model.cadence import Slot
from pollbridge.model.instant import read_iso
from pollbridge.publishing.bus import Bus, batches

GRACE = timedelta(minutes=15)
"""An entry younger than this may still be on its way through the stream."""

TRIES = 5
"""After that many republications an entry is called poison, and left for a person to look at."""

MARGIN = 60.0
"""Seconds kept back for the look at the calendar."""

SEGMENTS = 24
"""One segment of the calendar an hour: all of it every day, for little."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    republished: tuple[Entry, ...]
    refused: tuple[Entry, ...]
    poison: tuple[Entry, ...]
    orphans: tuple[str, ...]
    """Keys of jobs in a slot that no sweep reads."""
    disabled: Mapping[str, Disabled]
    """Destinations that nothing is delivered to, with the reason."""
    oldest: timedelta
    """Age of the oldest entry that was found unpublished and is not poison; 0 when there was none."""

    @property
    def counts(self) -> dict[str, int]:
        return {
            "republished": len(self.republished),
            "refused": len(self.refused),
            "poison": len(self.poison),
            "orphans": len(self.orphans),
            "disabled": len(self.disabled),
        }

    def measures(self) -> dict[Metric, float]:
        """The audit in numbers."""
        return {
            metrics.OLDEST_UNPUBLISHED: max(0, self.oldest.total_seconds()),
            metrics.POISON_ENTRIES: len(self.poison),
            metrics.ORPHANED_JOBS: len(self.orphans),
            metrics.DISABLED_DESTINATIONS: len(self.disabled),
        }


@dataclass(frozen=True, slots=True)
class Auditor:
    """Publishes again with the same event ids, so that a publisher down for longer than the stream loses nothing."""

    table: Table
    bus: Bus
    publication: Publication
    connections: Collection[str]
    destinations: Collection[str] = ()

    def audit(self, now: datetime, time_left: Callable[[], float] = lambda: math.inf) -> Audit:
        """Publish what is marked, oldest first, as far as the time goes (in seconds); the next audit goes on."""
        poison: list[Entry] = []
        published: list[Entry] = []
        refused: list[Entry] = []
        # Batch by batch, so that an audit that runs out of time has counted no tries it didn't make.
        for batch in batches(self._worth_a_try(now, poison)):
            for entry in batch:
                self.publication.count_try(entry)
            took, left = self.bus.publish(batch)
            for entry in took:
                self.publication.published(entry)
            published += took
            refused += left
            if time_left() < MARGIN:
                break
        return Audit(
            tuple(published),
            tuple(refused),
            tuple(poison),
            tuple(self._orphans(now.hour)),
            self._disabled(),
            max((now - read_iso(entry.observed_at) for entry in (*published, *refused)), default=timedelta(0)),
        )

    def _disabled(self) -> dict[str, Disabled]:
        heads = {name: Destinations(self.table).head(name) for name in self.destinations}
        return {name: head.disabled for name, head in heads.items() if head.disabled}

    def _worth_a_try(self, now: datetime, poison: list[Entry]) -> Iterator[Entry]:
        for entry in self.publication.unpublished(now - GRACE):
            if entry.republished < TRIES:
                yield entry
            else:
                poison.append(entry)

    def _orphans(self, hour: int) -> list[str]:
        rows = self.table.scan("due", segment=hour % SEGMENTS, of=SEGMENTS)
        return [row["PK"]["S"].removeprefix("JOB#") for row in rows if not self._is_read(row["due_slot"]["S"])]

    def _is_read(self, slot: str) -> bool:
        try:
            return Slot.read(slot).connection in self.connections
        except ValueError:
            return False
