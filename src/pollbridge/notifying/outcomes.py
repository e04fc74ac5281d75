"""What became of events on their way: their deliveries, of a job or of a time, the newest events first."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pollbridge.history.entries import Entries
from pollbridge.history.ledger import Delivery, Status, deliveries_of
from pollbridge.history.table import Table
from pollbridge.history.timeline import Timeline
from pollbridge.model.instant import read_iso
from pollbridge.model.job import JobKey

NOT_ARRIVED = frozenset({Status.FAILED, Status.DISABLED, Status.MAYBE_SENT})

RECENT = timedelta(days=7)
"""How far it is looked back where nobody says how far."""

AHEAD = timedelta(minutes=1)
"""Events may be so much later than the last tick."""

CHUNK = 50
"""Events whose deliveries are looked up at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event's deliveries, in the order of the destinations that were asked for; none while it is only queued."""

    place: str
    """Where the event stands among the others: its version, or its moment in the timeline."""
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    place: str
    pk: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of every event there is an outcome, in the order of the events, so that whoever reads on knows where he is."""

    table: Table
    entries: Entries
    destinations: Sequence[str]

    def of_job(self, job: JobKey, since: datetime | None = None, begin: str | None = None) -> Iterator[Outcome]:
        """Of a job's events seen since then; from the one at the place `begin` on."""
        entries = self.entries.newest_first(job, int(begin) if begin else None)
        if since:
            entries = itertools.takewhile(lambda entry: read_iso(entry.observed_at) >= since, entries)
        return self._of(_Event(str(entry.version), entry.pk, entry.event_id) for entry in entries)

    def recent(self, since: datetime, until: datetime, begin: str | None = None) -> Iterator[Outcome]:
        """Of all events seen since then; from the one at the place `begin` on."""
        every = Timeline(self.table).newest_first(since, until, begin)
        return self._of(_Event(told.moment, told.pk, told.event_id) for told in every)

    def _of(self, events: Iterable[_Event]) -> Iterator[Outcome]:
        remaining = iter(events)
        while chunk := list(itertools.islice(remaining, CHUNK)):
            found = deliveries_of(self.table, [(one.pk, one.event_id) for one in chunk], self.destinations)
            for one in chunk:
                wanted = ((one.event_id, name) for name in self.destinations)
                yield Outcome(one.place, tuple(found[each] for each in wanted if each in found))
