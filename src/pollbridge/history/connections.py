"""Connection heads: who sweeps now, which minutes are done, and until when the vendor wants to be left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pollbridge.history.table import HEAD, Item, LostRace, Table, number, setting, text
from pollbridge.model.instant import from_minute, read_iso, sortable
from pollbridge.model.job import JobKey

_ROUND = ("round_tick", "round_start", "cursor")


class Refusal(StrEnum):
    """Why a sweep did not begin."""

    LEASED = "leased"
    DONE = "done"


class NotBegun(Exception):
    """Another sweep holds the lease, or that tick is already completed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Round:
    """A tick whose jobs one sweep could not finish: they are looked at in the order of their keys, sweep by sweep."""

    tick: int
    start: JobKey
    """The key it began with: when the cursor comes round to it, the tick is completed."""
    cursor: JobKey
    """The first key that was not looked at."""

    def looked_at(self, key: JobKey) -> bool:
        """Whether the key lies between start and cursor, going round behind the last one."""
        if self.start <= self.cursor:
            return self.start <= key < self.cursor
        return key >= self.start or key < self.cursor


@dataclass(frozen=True, slots=True)
class ConnectionHead:
    """A connection as it stands now; minutes are counted since 1970."""

    tick: int | None = None
    """The last tick that was begun."""
    completed: int | None = None
    """The last tick of which every due job was answered, or its failure stored."""
    round: Round | None = None
    """What the last sweep left unfinished."""
    waits_until: datetime | None = None
    """The vendor asked to be left alone until then."""
    died: bool = False
    """The last sweep never gave its lease back."""


def connection_pk(connection: str) -> str:
    return f"CONNECTION#{connection}"


def connection_of(item: Item) -> ConnectionHead:
    waits = text(item, "waits_until")
    return ConnectionHead(
        tick=number(item, "tick") if "tick" in item else None,
        completed=number(item, "completed_tick") if "completed_tick" in item else None,
        round=_round_of(item),
        waits_until=read_iso(waits) if waits else None,
        died="lease_owner" in item,
    )


def _round_of(item: Item) -> Round | None:
    start, cursor = text(item, "round_start"), text(item, "cursor")
    if start is None or cursor is None:
        return None
    return Round(number(item, "round_tick"), JobKey.parse(start), JobKey.parse(cursor))


@dataclass(frozen=True, slots=True)
class Connections:
    """The lease on a connection and its ticks."""

    table: Table

    def get(self, connection: str) -> ConnectionHead:
        item = self.table.get(connection_pk(connection), HEAD)
        return connection_of(item) if item else ConnectionHead()

    def clock(self, connections: Iterable[str], wall: datetime) -> datetime:
        """Now, or the last tick where that is later: ticks made by hand may run ahead of the wall clock."""
        ticks = (self.get(connection).tick for connection in connections)
        return max([wall, *(from_minute(tick) for tick in ticks if tick is not None)])

    def begin(self, connection: str, tick: int, owner: str, now: datetime, until: datetime) -> ConnectionHead:
        """Take the lease until then. Raises NotBegun. Returns the head as it was left by the sweep before."""
        claim = setting(
            connection_pk(connection),
            HEAD,
            when="(attribute_not_exists(lease_until) OR lease_until <= :now OR lease_owner = :lease_owner)"
            " AND (attribute_not_exists(completed_tick) OR completed_tick < :tick)",
            set_={
                "lease_owner": {"S": owner},
                "lease_until": {"S": sortable(until)},
                "tick": {"N": str(tick)},
            },
            values={":now": {"S": sortable(now)}},
        )
        try:
            return connection_of(self.table.update(claim, ReturnValues="ALL_OLD"))
        except LostRace as race:
            completed = connection_of(race.item or {}).completed
            if completed is not None and completed >= tick:
                raise NotBegun(Refusal.DONE) from None
            self._note(connection, tick)
            raise NotBegun(Refusal.LEASED) from None

    def _note(self, connection: str, tick: int) -> None:
        """Remember that this tick was tried, so that ticks made by hand get past a lease left by the dead."""
        try:
            self.table.update(
                setting(
                    connection_pk(connection),
                    HEAD,
                    when="attribute_not_exists(tick) OR tick < :tick",
                    set_={"tick": {"N": str(tick)}},
                    values={},
                )
            )
        except LostRace:
            return

    def complete(self, connection: str, owner: str, tick: int) -> None:
        """Every due job of the minutes up to this tick is done. Raises LostRace if the lease went to another."""
        self._release(connection, owner, {"completed_tick": {"N": str(tick)}}, (*_ROUND, "waits_until"))

    def stop(
        self,
        connection: str,
        owner: str,
        *,
        completed: int | None,
        round_: Round | None,
        waits_until: datetime | None,
    ) -> None:
        """Give the lease back with work left, for the next sweep to go on with the round. Raises LostRace.

        `completed` is the last tick that was completed all the same.
        """
        set_: Item = {}
        remove: list[str] = []
        if completed is not None:
            set_["completed_tick"] = {"N": str(completed)}
        if round_:
            set_["round_tick"] = {"N": str(round_.tick)}
            set_["round_start"] = {"S": str(round_.start)}
            set_["cursor"] = {"S": str(round_.cursor)}
        else:
            remove += _ROUND
        if waits_until:
            set_["waits_until"] = {"S": sortable(waits_until)}
        else:
            remove.append("waits_until")
        self._release(connection, owner, set_, tuple(remove))

    def _release(self, connection: str, owner: str, set_: Item, remove: tuple[str, ...]) -> None:
        self.table.update(
            setting(
                connection_pk(connection),
                HEAD,
                when="lease_owner = :owner",
                set_=set_,
                remove=("lease_owner", "lease_until", *remove),
                values={":owner": {"S": owner}},
            )
        )
