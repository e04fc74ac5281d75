"""The order of a sweep: which due job is looked at before which, and what is left for the next sweep."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pollbridge.history.connections import ConnectionHead, Place, Round
from pollbridge.history.heads import DueJob, Heads
from pollbridge.model import cadence
from pollbridge.model.cadence import Slot, slots_due
from pollbridge.model.job import JobKey

PROBES = 3
"""Requests per tick while the vendor is known to be unreachable."""

MOVED_LIMIT = 50
"""Jobs at most that are looked for in the next sweep: a sample, when more were moved."""

T = TypeVar("T")

SETTLING = cadence.RUNGS[-1] + 1
"""The rank of jobs that have ended."""

FAILING = SETTLING + 1
"""The rank of jobs whose last poll failed: a scope is judged by its first answer, which is better a healthy job's."""


@dataclass(slots=True)
class Order:
    """The due jobs of one sweep: what an earlier tick left over, then this tick's, each by rank and key."""

    head: ConnectionHead
    """The connection as the sweep before left it."""
    minute: int
    jobs: list[DueJob] = field(default_factory=list)
    overdue: int = 0
    """How many of them an earlier tick left over."""
    stopped: int | None = None
    """The place from which on nothing was looked at."""
    late: list[JobKey] = field(default_factory=list)
    """Jobs that are due and that the index does not show yet."""

    @property
    def round(self) -> Round | None:
        """The round to go on with. After a death there is none: it may have died of the job at the cursor."""
        return None if self._restless else self.head.round

    @property
    def _restless(self) -> bool:
        """Whether to begin with another job each time: the last sweep died, or got no answers."""
        ailment = self.head.health.connection
        return self.head.died or (ailment is not None and ailment.back is None)

    def fill(self, heads: Heads, name: str) -> None:
        """Read what is due from the calendar."""
        last, completed = self.round, self.head.completed
        more = self._troubled(heads, name)
        if last is None:
            jobs = in_order([*heads.due(slots_due(name, completed, self.minute)), *more])
            self.jobs = self.turned(jobs) if self._restless else jobs
            return
        due = heads.due(slots_due(name, completed, last.tick))
        left = in_order(job for job in due if not last.looked_at(place(job)))
        start = next((n for n, job in enumerate(left) if place(job) >= last.cursor), 0)
        # What the round has looked at already is due again only if one of the minutes since then says so.
        new = in_order([*heads.due(slots_due(name, last.tick, self.minute)), *more])
        keys = {job.key for job in left}
        self.jobs = left[start:] + left[:start] + [job for job in new if job.key not in keys]
        self.overdue = len(left)

    def look_for_late(self, heads: Heads) -> None:
        """Add jobs that the last sweep moved and that the index should show and does not: it has no bound to its delay.

        Where one is late others may be, so that the tick vouches for nothing.
        """
        shown = {job.key for job in self.jobs}
        hidden = [key for key in self.head.moved if key not in shown]
        found = heads.known(hidden, consistent=True).values() if hidden else ()
        late = [job for job in found if job and job.slot.last_due(self.minute) > job.row.entered]
        self.jobs += late
        self.late = [job.key for job in late]

    def _troubled(self, heads: Heads, name: str) -> list[DueJob]:
        """Jobs to look at, due or not, because their scope is in trouble.

        All of a scope whose trouble was told, so that they are there when it answers again, and from then on those that
        were not answered for yet. A few where a key was refused and that is not told yet, other ones each time, so that
        it takes three sweeps wherever the jobs stand in the calendar.
        """
        scopes = self.head.health.scopes
        if not scopes:
            return []
        followed, jobs = in_order(heads.due(slots_due(name, None, self.minute))), list[DueJob]()
        for scope, within in _by_scope(followed, lambda job: job.key.scope).items():
            if (ailment := scopes.get(scope)) is None:
                continue
            if ailment.suspected:
                jobs += self.turned(within)[:PROBES]
            else:
                jobs += [job for job in within if ailment.back is None or job.row.failures]
        return jobs

    def moved(self, slots: Mapping[JobKey, Slot]) -> tuple[JobKey, ...]:
        """What the next sweep has to look for, given where this one put jobs."""
        soon = self.minute + 1
        due = [key for key, slot in slots.items() if slot.last_due(soon) == soon]
        return tuple(dict.fromkeys([*self.late, *due]))[:MOVED_LIMIT]

    def leave_out(self, keys: Collection[JobKey], renewed: Mapping[JobKey, DueJob]) -> None:
        """Those need no poll; of these, the rows have changed."""
        overdue = [job for job in self.jobs[: self.overdue] if job.key not in keys]
        self.jobs = overdue + [job for job in self.jobs[self.overdue :] if job.key not in keys]
        self.jobs = [renewed.get(job.key, job) for job in self.jobs]
        self.overdue = len(overdue)

    def placed(self, jobs: list[DueJob], first: int = 0) -> list[tuple[int, DueJob]]:
        """The jobs as they are looked at, each with its place; the first of them has the place `first`.

        A scope in trouble begins with another job each time: it may be this job alone that is refused.
        """
        placed = list(enumerate(jobs, first))
        scopes = self.head.health.scopes
        if not scopes:
            return placed
        for scope, within in _by_scope(placed, lambda one: one[1].key.scope).items():
            if (ailment := scopes.get(scope)) and ailment.back is None:
                for (place, _), one in zip(within, self.turned(within, step=1), strict=True):
                    placed[place - first] = one
        return placed

    def turned(self, jobs: list[T], step: int = PROBES) -> list[T]:
        """The jobs, begun somewhere else each time: so many further on each minute."""
        # While the lease of the dead runs out, only every other minute is swept: multiples of it would miss jobs.
        turn = zlib.crc32(str(self.minute).encode()) if self.head.died else self.minute * step
        start = turn % len(jobs) if jobs else 0
        return jobs[start:] + jobs[:start]

    def stop_at(self, number: int) -> None:
        """Nothing was looked at from there on."""
        self.stopped = min(number, len(self.jobs) if self.stopped is None else self.stopped)

    @property
    def left(self) -> int:
        """How many jobs were not looked at."""
        return 0 if self.stopped is None else len(self.jobs) - self.stopped

    def progress(self, *, dropped: bool) -> tuple[int | None, Round | None]:
        """The tick that is completed, and the round to go on with. `dropped`: an answer among them was not stored."""
        last, completed, dropped = self.round, self.head.completed, dropped or bool(self.late)
        if not dropped and self.stopped is None:
            return self.minute, None
        if not self.left or self.stopped is None:
            return completed, None
        cursor = place(self.jobs[self.stopped])
        if dropped:
            # From where it stopped, so that all get their turn; but nothing counts as looked at.
            return completed, Round(self.minute, cursor, cursor)
        if last is None:
            return completed, Round(self.minute, place(self.jobs[0]), cursor)
        if self.stopped < self.overdue:
            return completed, Round(last.tick, last.start, cursor)
        return last.tick, Round(self.minute, min(map(place, self.jobs)), cursor)


def _by_scope(many: Iterable[T], scope_of: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for one in many:
        found[scope_of(one)].append(one)
    return found


def place(job: DueJob) -> Place:
    if job.row.failures and not job.row.lost:
        return Place(FAILING, job.key)
    ended = job.row.fingerprint is not None and job.row.fingerprint.state.terminal
    return Place(SETTLING if ended else job.slot.rung, job.key)


def in_order(jobs: Iterable[DueJob]) -> list[DueJob]:
    """Each job once: the fastest rung first, those that settle behind, those that fail last."""
    return sorted({job.key: job for job in jobs}.values(), key=place)
