"""How a job is looked at: when last, when next, and what keeps its vendor's answers away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pollbridge.config import Connection
from pollbridge.history.connections import ConnectionHead
from pollbridge.history.heads import Head
from pollbridge.model.event import Trouble
from pollbridge.model.health import Ailment
from pollbridge.model.instant import from_minute, read_iso
from pollbridge.views import failing_text

STOPPED = timedelta(minutes=5)
"""Without a tick: the alarm of a poller that was not invoked rings after as long."""

BEHIND = timedelta(minutes=15)
"""From the last completed tick to the last begun: the alarm of polls that fall behind rings at as much."""

When = Callable[[datetime], str]
"""How a moment is written: in UTC for programs, in the local zone for people."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is worth saying. `do` is what to do about it, None where nothing is to be done."""

    about: str
    """One word that stays the same, for programs."""
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Looks:
    """How a job is looked at."""

    every: int | None
    """Minutes between two looks; None: it is not watched."""
    last_at: datetime | None
    """The latest look that is sure, answered by the vendor."""
    next_at: datetime | None
    """The next tick that it is due in. It is past where ticks are late."""
    failures: int
    """Polls in a row that failed."""
    error: str | None
    """Of the last poll, if it failed."""
    covered: bool
    """The vendor's list shows it, and is read instead of asking for it alone."""
    tick_at: datetime | None
    """The last completed tick of its connection."""
    scheduled: bool
    """Whether the deployment has schedules at all; else ticks are made by hand."""


def looks(head: Head, connection: ConnectionHead, *, scheduled: bool) -> Looks:
    row, slot, completed = head.row, head.slot, connection.completed
    seen = row.seen if row else None
    due = None
    if row and slot:
        seen = row.last_seen(slot, completed)
        due = from_minute(slot.last_due((row.entered if completed is None else completed) + slot.rung))
    return Looks(
        every=slot.rung if slot else None,
        last_at=seen,
        next_at=due,
        failures=row.failures if row else 0,
        error=head.poll_error,
        covered=bool(row and row.covered and slot),
        tick_at=None if completed is None else from_minute(completed),
        scheduled=scheduled,
    )


@dataclass(frozen=True, slots=True)
class Watching:
    """What is known of the watch on a job, and of its connection."""

    head: Head
    unwatched_at: datetime | None
    name: str
    """Of the connection."""
    settings: Connection
    connection: ConnectionHead
    looks: Looks
    now: datetime
    when: When

    def remarks(self) -> Iterator[Remark]:
        """What keeps news of the job away, or may: what comes first matters most."""
        if not self.head.watched:
            yield self._unwatched()
            return
        ailment = self.connection.health.of(self.head.key.scope)
        waits = self.connection.waits_until
        waiting = waits if waits and waits > self.now else None
        if late := self._late(kept=bool(ailment or waiting)):
            yield late
        if ailment:
            yield self._ailing(ailment)
        if waiting:
            says = f"the vendor asked to be left alone (HTTP 429) until {self.when(waiting)}"
            yield Remark("waits", says, "nothing: it is looked at after that; if it happens often, lower limits")
        if self.looks.error and not ailment:
            yield self._failed(self.looks.error)
        if self.head.lost:
            says = "the vendor does not know it any more: three times it answered 404"
            yield Remark("lost", says, "ask the vendor; if it answers again within cadence.settle, that is told")
        if not (self.head.version or self.looks.error or ailment):
            first = "" if late else ": the first poll comes with the next tick"
            yield Remark("unseen", f"the vendor has not been asked for it yet{first}")

    def _unwatched(self) -> Remark:
        again = f"pollbridge watch {self.head.key}"
        if self.unwatched_at:
            return Remark("unwatched", f"somebody unwatched it at {self.when(self.unwatched_at)}", again)
        cadence, state = self.settings.cadence, self.head.state
        if self._never_followed(cadence.settle):
            says = f"it had ended over {span(cadence.settle)} before it was found, so nobody looks at it"
            return Remark("settled", says, f"if it goes on: {again}")
        if self.head.lost:
            says = f"it was lost, and looked at for {span(cadence.settle)} more (cadence.settle)"
            return Remark("settled", says, f"if it is back: {again}")
        if state and state.terminal:
            says = f"it ended, and was looked at for {span(cadence.settle)} (cadence.settle), no longer"
            return Remark("settled", says, f"if it goes on: {again}")
        says = f"nothing new came for {span(cadence.expire)} (cadence.expire), so it is no longer looked at"
        return Remark("expired", says, f"if it lives: {again}")

    def _never_followed(self, settle: timedelta) -> bool:
        row, registered = self.head.row, self._registered_at()
        return bool(self.head.silent and row and registered and row.since + settle <= registered)

    def _late(self, *, kept: bool) -> Remark | None:
        begun, done = self.connection.tick, self.looks.tick_at
        if begun is None:
            do = "pollbridge doctor" if self.looks.scheduled else "pollbridge local tick"
            return Remark("stopped", f"no tick of {self.name} has ever begun, so nobody has looked", do)
        if self.looks.scheduled and self.now - from_minute(begun) > STOPPED:
            says = f"no tick of {self.name} has begun since {self.when(from_minute(begun))}: its poller does not run"
            return Remark("stopped", says, "look at its schedule, and at the poller's log: pollbridge doctor")
        since = done or self._registered_at()
        if not kept and since and from_minute(begun) - since > BEHIND:
            when = f"is completed since {self.when(done)}" if done else "was ever completed"
            says = f"no tick of {self.name} {when}: its sweeps don't get through"
            return Remark("behind", says, "raise its limits, or make its cadence slower; see docs/operating.md")
        return None

    def _registered_at(self) -> datetime | None:
        return read_iso(self.head.registered_at) if self.head.registered_at else None

    def _ailing(self, ailment: Ailment) -> Remark:
        whole = ailment == self.connection.health.connection
        who = self.name if whole else f"scope {self.head.key.scope} of {self.name}"
        secret = self.settings.scope_secrets.get(self.head.key.scope, self.settings.secret)
        renewed = f"pollbridge secret set {secret}"
        does = {
            Trouble.UNREACHABLE: "brings no answers",
            Trouble.UNAUTHORIZED: "refuses the key",
            Trouble.FORBIDDEN: "forbids it to this key",
            Trouble.NO_CREDENTIALS: "cannot be asked without its secret",
        }
        do = {
            Trouble.UNREACHABLE: "nothing, if the vendor is down: it is asked every minute; else see to base_url",
            Trouble.UNAUTHORIZED: renewed,
            Trouble.FORBIDDEN: f"have the permission granted, or: {renewed}",
            Trouble.NO_CREDENTIALS: renewed,
        }
        says = f"{who} {does[ailment.reason]} since {self.when(read_iso(ailment.since))}: {ailment.error}"
        return Remark(ailment.reason.value, says, do[ailment.reason])

    def _failed(self, error: str) -> Remark:
        if says := failing_text(self.head, self.when):
            return Remark("failing", says, self._if_missing(error) or self._if_failing())
        times = f"{self.looks.failures} times in a row" if self.looks.failures > 1 else "once"
        do = self._if_missing(error) or "nothing, unless it stays so"
        return Remark("poll_failed", f"its last poll failed, {times}: {error}", do)

    def _if_missing(self, error: str) -> str | None:
        if not error.startswith("HTTP 404"):
            return None
        if self.head.version:
            return "ask the vendor; three 404s, two minutes apart, are told as lost"
        return "see to its id and scope; a job that is still to come is waited for"

    def _if_failing(self) -> str:
        row, state, expires = self.head.row, self.head.state, ""
        if row and not (state and state.terminal):
            expires = f"; it expires at {self.when(row.since + self.settings.cadence.expire)} (cadence.expire)"
        return f"ask the vendor about this job{expires}; if you no longer need it: pollbridge unwatch {self.head.key}"


def unconfigured(
    head: Head, unwatched_at: datetime | None, connection: Connection | None, when: When
) -> tuple[Remark, ...]:
    """What there is to say of a job whose connection is no longer configured (None), or lost its kind."""
    name, kind = head.key.connection, head.key.kind
    what = f"{name} is no longer configured"
    if connection:
        what = f"{name} is of the type {connection.type} now, which has no kind {kind}"
    leave = f"; to let the job go: pollbridge unwatch {head.key}" if head.watched else ""
    do = f"configure {name} {'as it was' if connection else 'again'} and deploy{leave}"
    remark = Remark("unconfigured", f"{what}, so nobody looks at the job", do)
    if head.watched or not unwatched_at:
        return (remark,)
    return (remark, Remark("unwatched", f"somebody unwatched it at {when(unwatched_at)}"))


def span(length: timedelta) -> str:
    """A length of time in words, in the largest unit that leaves no rest."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds // size == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
