"""When to look at a job again: a ladder of rungs, and a calendar of slots that every tick reads in full.

A job stands in one slot, `<connection>#0#<rung>m#<phase>`, and is due in every minute that is `phase`
modulo `rung`. The ladder is code and policy only chooses rungs, so that no job can fall out of the calendar.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pollbridge.model.job import JobKey, State

RUNGS = (1, 2, 5, 15)
"""Minutes between two looks."""

BACKOFF = (1, 2, 4, 8, 15)
"""Ticks until a poll that failed once, twice, … is tried again."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the calendar of one connection."""

    connection: str
    rung: int
    phase: int

    @classmethod
    def of(cls, key: JobKey, rung: int) -> Self:
        """The slot of a job on that rung; the phase spreads jobs evenly over the rung's minutes."""
        return cls(key.connection, rung, zlib.crc32(str(key).encode()) % rung)

    @classmethod
    def at(cls, key: JobKey, minute: int, ticks: int) -> Self:
        """The slot in which a job falls due `ticks` (at most 15) after that minute for the next time."""
        rung = next(rung for rung in RUNGS if rung >= ticks)
        return cls(key.connection, rung, (minute + ticks) % rung)

    @classmethod
    def read(cls, text: str) -> Self:
        """The inverse of `str`. Raises ValueError for what is no slot of the ladder."""
        connection, shard, rung, phase = text.rsplit("#", 3)
        slot = cls(connection, int(rung.removesuffix("m")), int(phase))
        if shard != "0" or slot.rung not in RUNGS or not 0 <= slot.phase < slot.rung:
            raise ValueError(f"{text!r} is no slot of the ladder")
        return slot

    def __str__(self) -> str:
        # The 0 keeps the place for shards, should one function per connection not be enough.
        return f"{self.connection}#0#{self.rung}m#{self.phase}"

    def last_due(self, minute: int) -> int:
        """The latest minute up to and including this one in which the slot was due."""
        return minute - (minute - self.phase) % self.rung


def ladder(connection: str) -> Iterator[Slot]:
    """Every slot of a connection, the fastest rung first."""
    for rung in RUNGS:
        for phase in range(rung):
            yield Slot(connection, rung, phase)


def slots_due(connection: str, after: int | None, until: int) -> Iterator[Slot]:
    """The slots due in the minutes after `after` up to `until`; all of them when nothing was read before."""
    for rung in RUNGS:
        first = until - rung + 1 if after is None else max(after + 1, until - rung + 1)
        for minute in range(first, until + 1):
            yield Slot(connection, rung, minute % rung)


def rung(state: State | None, since: datetime, now: datetime, *, fresh: timedelta, settle: timedelta) -> int | None:
    """How many minutes apart to look, given the last change (or registration); None: stop following.

    Fresh news comes in company, so a job is looked at every minute for `fresh` after a change, then ever more
    seldom. A terminal state may reopen: it is looked at on the slowest rung for `settle`.
    """
    silence = now - since
    if state is not None and state.terminal:
        return RUNGS[-1] if silence < settle else None
    if silence < fresh:
        return 1
    if silence < 4 * fresh:
        return 2
    return 5 if silence < 24 * fresh else 15


def backoff(failures: int) -> int:
    """Ticks to wait after that many failures in a row."""
    return BACKOFF[min(failures, len(BACKOFF)) - 1]
