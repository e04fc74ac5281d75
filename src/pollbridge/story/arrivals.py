"""What became of a change on its way to one destination, and what to do where it did not arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pollbridge.config import Destination
from pollbridge.history.destinations import DestinationHead
from pollbridge.history.entries import Entry
from pollbridge.history.ledger import KEEP, Delivery, Status
from pollbridge.model.instant import read_iso
from pollbridge.story.hearing import Hearing, envelope, hearing
from pollbridge.story.polls import When

QUEUED_FOR = timedelta(days=14)
"""A queue keeps a message no longer; nor does SQS any (MessageRetentionPeriod)."""

RECENT = timedelta(minutes=2)
"""A message takes seconds from the table to its queue, and SQS's counts are up to a minute old."""


class Outcome(StrEnum):
    """Where a change stands on its way to a destination: as the ledger says, else why the ledger says nothing."""

    DELIVERED = "delivered"
    PENDING = "pending"
    FAILED = "failed"
    DISABLED = "disabled"
    MAYBE_SENT = "maybe_sent"
    NO_MATCH = "no_match"
    """Its rule keeps the event out."""
    OFF = "off"
    """enabled = false."""
    SILENT = "silent"
    """Recorded, and told to nobody."""
    UNPUBLISHED = "unpublished"
    """Not on the bus yet."""
    QUEUED = "queued"
    """Let through, and not taken up yet."""
    MISSED = "missed"
    """Today's rule lets it through, and nothing is on record of it."""
    FORGOTTEN = "forgotten"
    """Older than what the ledger keeps."""


QUIET = frozenset({Outcome.DELIVERED, Outcome.NO_MATCH, Outcome.OFF, Outcome.SILENT, Outcome.FORGOTTEN})
"""Where nothing has gone wrong."""


@dataclass(frozen=True, slots=True)
class Change:
    """A history entry as it concerns every destination."""

    entry: Entry
    recorded_at: datetime
    silent: bool

    @property
    def event_id(self) -> str:
        return self.entry.event_id


@dataclass(frozen=True, slots=True)
class Receiver:
    """A destination as it stands now."""

    name: str
    settings: Destination | None
    """None: it is no longer configured."""
    head: DestinationHead
    queued: Callable[[], int | None]
    """How many messages are in its queue; None where the queue cannot be asked."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of one change on its way to one destination."""

    event_id: str
    receiver: Receiver
    outcome: Outcome
    says: str
    do: str | None
    hearing: Hearing | None
    """What today's rule makes of it; None for a destination that is no longer configured."""
    delivery: Delivery | None

    @property
    def name(self) -> str:
        return self.receiver.name

    @property
    def resend(self) -> str:
        """The command that sends it again, or all the same."""
        return _resend(self.event_id, self.name)

    @property
    def heard_at(self) -> datetime | None:
        """When the receiver took it."""
        if self.outcome is not Outcome.DELIVERED or not self.delivery or not self.delivery.attempts:
            return None
        return read_iso(self.delivery.attempts[-1].at)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Deliveries go by the wall clock, what is recorded by the ticks: by hand they may run ahead of it."""

    wall: datetime
    now: datetime
    when: When


def arrival(change: Change, receiver: Receiver, delivery: Delivery | None, clocks: Clocks) -> Arrival:
    """What the ledger says; where it says nothing, why it does not."""
    today = None
    if receiver.settings:
        event = envelope(change.entry.detail_type, change.entry.event)
        today = hearing(receiver.name, receiver.settings, event)
    resend = _resend(change.event_id, receiver.name)
    if delivery:
        outcome = Outcome(delivery.status.value)
        says, do = _on_record(delivery, receiver, resend, clocks)
    else:
        assert today  # a destination that is not configured is here for its delivery
        outcome, says, do = _off_record(change, receiver, today, resend, clocks)
    return Arrival(change.event_id, receiver, outcome, says, do, today, delivery)


def _resend(event_id: str, name: str) -> str:
    return f"pollbridge resend {event_id} --to {name}"


# What the ledger says


def _on_record(delivery: Delivery, receiver: Receiver, resend: str, clocks: Clocks) -> tuple[str, str | None]:
    attempts = delivery.attempts
    last = attempts[-1] if attempts else None
    times = f"after {len(attempts)} attempt{'' if len(attempts) == 1 else 's'}"
    match delivery.status:
        case Status.DELIVERED:
            code = f": HTTP {last.code}" if last and last.code else ""
            nth = f", at attempt {len(attempts)}" if len(attempts) > 1 else ""
            return f"took it{code} after {last.latency_ms if last else '?'} ms{nth}", None
        case Status.PENDING:
            return _pending(delivery, receiver, resend, clocks)
        case Status.FAILED if last:
            return f"given up {times}: {last.outcome}", f"once it is mended: {_enabled(receiver, resend)}"
        case Status.FAILED:
            return "given up without an attempt: put off for too long", _enabled(receiver, resend)
        case Status.DISABLED:
            disabled = receiver.head.disabled
            now = f" since {clocks.when(disabled.since)}: {disabled.error}" if disabled else ""
            was = "is disabled" if disabled else "was disabled then"
            return f"not attempted: the destination {was}{now}", _enabled(receiver, resend)
        case Status.MAYBE_SENT:
            why = last.outcome if last else "no answer"
            return f"maybe: {why}, so nobody knows, and it is not repeated", f"look there; if it is missing: {resend}"


def _pending(delivery: Delivery, receiver: Receiver, resend: str, clocks: Clocks) -> tuple[str, str | None]:
    attempts, head, when = delivery.attempts, receiver.head, clocks.when
    failed = f"{attempts[-1].outcome}, " if attempts else ""
    if delivery.forsaken(clocks.wall):
        return f"not yet: {failed}and no message is left that would bring it back", resend
    if head.disabled:
        says = f"not yet: {failed}the destination is disabled since {when(head.disabled.since)}: {head.disabled.error}"
        return says, _enabled(receiver, resend)
    if delivery.claimed_until and delivery.claimed_until > clocks.wall:
        return "being delivered at this moment", None
    until = delivery.next_attempt_at
    if head.waits_until and head.waits_until > clocks.wall:
        until, failed = head.waits_until, f"{failed}the receiver asked to be left alone (HTTP 429), "
    elif delivery.waiting_since:
        failed = f"{failed}put off without an attempt since {when(delivery.waiting_since)}, "
    if until is None:
        return f"not yet: {failed}it comes back by itself", None
    if until <= clocks.wall:
        return f"not yet: {failed}due since {when(until)}", "if it stays so: pollbridge doctor"
    return f"not yet: {failed}tried again at {when(until)}", f"it comes by itself; at once: {resend}"


def _enabled(receiver: Receiver, resend: str) -> str:
    return f"pollbridge enable {receiver.name}; {resend}" if receiver.head.disabled else resend


# What it doesn't say, and why


def _off_record(
    change: Change, receiver: Receiver, today: Hearing, resend: str, clocks: Clocks
) -> tuple[Outcome, str, str | None]:
    if change.silent:
        return Outcome.SILENT, "nobody was told of it", None
    if not today.heard:
        return _kept_out(receiver.name, today, resend)
    if change.entry.unpublished:
        return Outcome.UNPUBLISHED, "not on the bus yet", None
    age = clocks.now - change.recorded_at
    if age > KEEP:
        says = f"no longer on record: the ledger keeps {KEEP.days} days"
        return Outcome.FORGOTTEN, says, f"to send it again: {resend}"
    return _in_its_queue(age, receiver, resend, clocks.when)


def _in_its_queue(age: timedelta, receiver: Receiver, resend: str, when: When) -> tuple[Outcome, str, str | None]:
    waiting, disabled = receiver.queued() if age <= QUEUED_FOR else 0, receiver.head.disabled
    if waiting:
        many = f"about {waiting} message waits" if waiting == 1 else f"about {waiting} messages wait"
        if disabled:
            says = f"not taken up yet, and the destination is disabled since {when(disabled.since)}: {disabled.error}"
            return Outcome.QUEUED, says, _enabled(receiver, resend)
        do = "if it stays so, its notifier does not run: pollbridge doctor"
        return Outcome.QUEUED, f"not taken up yet: {many} in its queue", do if age >= RECENT else None
    if age < RECENT:
        return Outcome.QUEUED, "on its way: it was recorded a moment ago", None
    says = "nothing is on record, nor in its queue: the destination or its match may be newer than the event"
    if waiting is None:
        says = "not taken up, and its queue cannot be asked how many it holds"
    return Outcome.MISSED, says, _enabled(receiver, resend)


def _kept_out(name: str, today: Hearing, resend: str) -> tuple[Outcome, str, str | None]:
    if today.off:
        do = f"set enabled = true in [destinations.{name}] and deploy; just this one: {resend}"
        return Outcome.OFF, today.why, do
    do = f"change match.{today.key} in [destinations.{name}.match] and deploy; just this one: {resend}"
    return Outcome.NO_MATCH, f"no: {today.in_short}", do
