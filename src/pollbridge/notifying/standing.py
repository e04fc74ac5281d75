"""How a destination stands: what a run of failures, or a receiver that wants no more, leads to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pollbridge.history.destinations import DestinationHead, Destinations, Disabled, destination_pk
from pollbridge.history.entries import Entries
from pollbridge.history.table import LostRace
from pollbridge.model.event import Cause, DestinationDisabled, event_id
from pollbridge.model.instant import iso
from pollbridge.notifying.notice import DeliveryError, Treatment
from pollbridge.notifying.retries import OLDEST

ENOUGH = timedelta(days=5)
"""After so long of nothing but failure a destination is disabled."""

GAP = timedelta(days=1)
"""A failure so long after the last one begins a new run: nobody knows how the destination was in between."""

CAUSES = {"webhook": Cause.GONE, "slack": Cause.REFUSED}
"""What it means when a receiver says itself that it takes no more."""


def missed_since(first_failure: datetime) -> datetime:
    """Since when events may be missing that a disabled destination should have heard of.

    What was under way when it began to fail had been seen before that.
    """
    return first_failure - OLDEST


@dataclass(frozen=True, slots=True)
class Standing:
    """One destination's head, and the event that tells the others when it is disabled."""

    destinations: Destinations
    entries: Entries
    name: str
    type: Literal["slack", "webhook"]

    def head(self) -> DestinationHead:
        return self.destinations.head(self.name)

    def succeeded(self) -> None:
        self.destinations.succeeded(self.name)

    def told_to_wait(self, until: datetime) -> None:
        """No delivery to this destination is attempted before that."""
        self.destinations.wait(self.name, until)

    def failed(self, head: DestinationHead, at: datetime, error: DeliveryError) -> None:
        """Count a failure in; disable the destination when that is enough. `head` is of before the attempt."""
        in_a_row = head.failing_since and head.failed_at and at - head.failed_at <= GAP
        since = head.failing_since if in_a_row and head.failing_since else at
        if error.treatment is Treatment.DISABLE:
            self._disable(head, since, at, CAUSES[self.type], error.outcome)
        elif error.treatment is Treatment.RETRY and at - since >= ENOUGH:
            self._disable(head, since, at, Cause.FAILING, error.outcome)
        elif error.treatment is Treatment.RETRY:
            self.destinations.failed(self.name, head, at, since)

    def _disable(self, head: DestinationHead, since: datetime, at: datetime, reason: Cause, error: str) -> None:
        version = head.version + 1
        event = DestinationDisabled(
            schema="1",
            id=event_id(destination_pk(self.name), head.incarnation, version),
            version=version,
            destination=self.name,
            type=self.type,
            reason=reason,
            error=error,
            since=iso(since),
            observed_at=iso(at),
        )
        pk = destination_pk(self.name)
        entry = self.entries.put(self.entries.entry(pk, pk, event, at))
        # Whoever was first has told it, or has been delivered to; the next failure looks again.
        with suppress(LostRace):
            self.destinations.disable(self.name, head, Disabled(at, reason, error), version, entry)
