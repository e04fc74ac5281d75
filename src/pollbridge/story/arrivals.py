"""What became of a change on its way to one destination, and what to do where it did not arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pollbridge.config import Destination
from pollbridge.history.destinations import DestinationHead
from pollbridge.history.entries import Entry
from pollbridge.history.ledger import KEEP, Attempt, Delivery, Status
from pollbridge.model.instant import read_iso
from pollbridge.story.hearing import Hearing, envelope, hearing
from pollbridge.story.polls import When

QUEUED_FOR = timedelta(days=14)
"""A queue keeps a message no longer; nor does SQS any (MessageRetentionPeriod)."""

DEPLOYING = timedelta(minutes=10)
"""A stack's rules and its configuration are updated in no order that we know, minutes apart at most."""

RECENT = timedelta(minutes=2)
"""A message takes seconds from the table to its queue, and SQS's counts are up to a minute old."""


class Outcome(StrEnum):
    """Where a change stands on its way to a destination: as the ledger says, else why the ledger says nothing."""

    DELIVERED = "delivered"
    """It was taken, whatever became of it when it was sent again."""
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
    MAYBE_QUEUED = "maybe_queued"
    """Today's rule keeps it out; one before it may have let it into the queue, which is not empty."""


KEPT_OUT = frozenset({Outcome.NO_MATCH, Outcome.MAYBE_QUEUED})
"""What today's `match` does not let through."""

QUIET = KEPT_OUT | {Outcome.DELIVERED, Outcome.OFF, Outcome.SILENT, Outcome.FORGOTTEN}
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
    pending: int = 0
    """Of the job's deliveries to it: their messages are in the queue, too."""


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
        """When the receiver took it for the first time."""
        taken = _taken(self.delivery) if self.delivery else ()
        return read_iso(taken[0].at) if taken else None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Deliveries go by the wall clock, what is recorded by the ticks: by hand they may run ahead of it."""

    wall: datetime
    now: datetime
    when: When
    deployed_at: datetime | None = None
    """When the rules were last deployed, if that is known."""

    def rules_are_older(self, change: Change) -> bool:
        """Whether today's rules are surely those that the change came by."""
        return self.deployed_at is not None and change.recorded_at > self.deployed_at + DEPLOYING


def arrival(change: Change, receiver: Receiver, delivery: Delivery | None, clocks: Clocks) -> Arrival:
    """What the ledger says; where it says nothing, why it does not."""
    today = None
    if receiver.settings:
        event = envelope(change.entry.detail_type, change.entry.event)
        today = hearing(receiver.name, receiver.settings, event)
    resend = _resend(change.event_id, receiver.name)
    if delivery:
        taken = _taken(delivery)
        outcome = Outcome.DELIVERED if taken else Outcome(delivery.status.value)
        tell = _heard if taken else _on_record
        says, do = tell(delivery, receiver, resend, clocks)
    else:
        assert today  # a destination that is not configured is here for its delivery
        outcome, says, do = _off_record(change, receiver, today, resend, clocks)
    return Arrival(change.event_id, receiver, outcome, says, do, today, delivery)


def _resend(event_id: str, name: str) -> str:
    return f"pollbridge resend {event_id} --to {name}"


# What the ledger says


def _taken(delivery: Delivery) -> list[Attempt]:
    """The attempts that arrived: more than one where it was sent again."""
    return [attempt for attempt in delivery.attempts if attempt.outcome == Status.DELIVERED]


def _heard(delivery: Delivery, receiver: Receiver, resend: str, clocks: Clocks) -> tuple[str, str | None]:
    first, *others = _taken(delivery)
    nth = delivery.attempts.index(first) + 1
    code = f": HTTP {first.code}" if first.code else ""
    says = f"took it{code} after {first.latency_ms} ms{f', at attempt {nth}' if nth > 1 else ''}"
    if others:
        last = clocks.when(read_iso(others[-1].at))
        again = f"at {last}" if len(others) == 1 else f"{len(others)} times, the last at {last},"
        says += f"; again {again} when it was resent"
    if delivery.status is Status.DELIVERED:
        return says, None
    since, do = _resent(delivery, receiver, resend, clocks)
    return f"{says}; {since}", do


def _resent(delivery: Delivery, receiver: Receiver, resend: str, clocks: Clocks) -> tuple[str, str | None]:
    """What became of what was taken before, and sent again."""
    anew = replace(delivery, attempts=delivery.attempts[delivery.earlier :], earlier=0)
    says, do = _on_record(anew, receiver, resend, clocks)
    match delivery.status:
        case Status.PENDING if not (anew.attempts or receiver.head.disabled or _moves(anew, clocks.wall)):
            at = f" at {clocks.when(anew.next_attempt_at)}" if anew.next_attempt_at else ""
            return f"resent{at}, not yet taken again", do
        case Status.PENDING:
            return f"resent since, not yet taken again: {says.removeprefix('not yet: ')}", do
        case Status.FAILED if anew.attempts:
            many = f"{len(anew.attempts)} attempt{'' if len(anew.attempts) == 1 else 's'}"
            return f"resent since, and that failed: {anew.attempts[-1].outcome} ({many})", do
        case Status.MAYBE_SENT:
            return f"resent since, and whether it took that, too, nobody knows: {_why_unknown(anew)}", None
        case _:
            return f"resent since, and that was {says}", do


def _moves(delivery: Delivery, wall: datetime) -> bool:
    """Whether a resend has been looked at since, or never will be."""
    claimed = delivery.claimed_until and delivery.claimed_until > wall
    return bool(claimed or delivery.waiting_since or delivery.forsaken(wall))


def _on_record(delivery: Delivery, receiver: Receiver, resend: str, clocks: Clocks) -> tuple[str, str | None]:
    attempts = delivery.attempts
    last = attempts[-1] if attempts else None
    times = f"after {len(attempts)} attempt{'' if len(attempts) == 1 else 's'}"
    match delivery.status:
        case Status.DELIVERED:
            return "took it", None
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
            says = f"maybe: {_why_unknown(delivery)}, so nobody knows, and it is not repeated"
            return says, f"look there; if it is missing: {resend}"


def _why_unknown(delivery: Delivery) -> str:
    return delivery.attempts[-1].outcome if delivery.attempts else "no answer"


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
    age, unpublished = clocks.now - change.recorded_at, change.entry.unpublished
    if age > KEEP and not unpublished:
        says = f"no longer on record: the ledger keeps {KEEP.days} days"
        return Outcome.FORGOTTEN, says, f"to send it again: {resend}"
    if not today.heard:
        may_wait = age <= QUEUED_FOR and not unpublished and not clocks.rules_are_older(change)
        return _kept_out(receiver, today, resend, (receiver.queued() or 0) - receiver.pending if may_wait else 0)
    if unpublished:
        return Outcome.UNPUBLISHED, "not on the bus yet", None
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


def _kept_out(receiver: Receiver, today: Hearing, resend: str, others: int) -> tuple[Outcome, str, str | None]:
    """`others`: messages in its queue that are not on record as deliveries of the job."""
    name = receiver.name
    do = f"change match.{today.key} in [destinations.{name}.match] and deploy; just this one: {resend}"
    if today.off:
        do = f"set enabled = true in [destinations.{name}] and deploy; just this one: {resend}"
    if others > 0:
        many = f"about {others} message{'' if others == 1 else 's'} there"
        waits = f"if it was let in before the rule changed, it may still be in its queue ({many})"
        return Outcome.MAYBE_QUEUED, f"today {today.in_short}; {waits}", f"if it was kept out: {do}"
    if today.off:
        return Outcome.OFF, today.why, do
    return Outcome.NO_MATCH, f"no: {today.in_short}", do
