"""Connection heads: who sweeps now, which minutes are done, how the vendor is, and how long it waits."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pollbridge.history.table import HEAD, Item, LostRace, Table, moment, number, setting, text
from pollbridge.model.health import WELL, Health
from pollbridge.model.instant import from_minute, sortable
from pollbridge.model.job import JobKey


class Refusal(StrEnum):
    """Why a sweep did not begin."""

    LEASED = "leased"
    DONE = "done"


class NotBegun(Exception):
    """Another sweep holds the lease, or that tick is already completed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a job stands in the order of a sweep: by rank, then by key."""

    rank: int
    """Minutes between two looks; what settles comes behind all that."""
    key: JobKey

    @classmethod
    def read(cls, text: str) -> Self:
        """The inverse of `str`."""
        rank, _, printed = text.partition(" ")
        return cls(int(rank), JobKey.parse(printed))

    def __str__(self) -> str:
        return f"{self.rank} {self.key}"


@dataclass(frozen=True, slots=True)
class Round:
    """A tick whose jobs one sweep could not finish: they are looked at in the order of their places, sweep by sweep."""

    tick: int
    start: Place
    """The place it began with: when the cursor comes round to it, the tick is completed."""
    cursor: Place
    """The first place that was not looked at."""

    def looked_at(self, place: Place) -> bool:
        """Whether the place lies between start and cursor, going round behind the last one."""
        if self.start <= self.cursor:
            return self.start <= place < self.cursor
        return place >= self.start or place < self.cursor


@dataclass(frozen=True, slots=True)
class Sent:
    """How many requests the last sweep sent, as far as the next one has to know, and when it sent the last."""

    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class InTheWay:
    """The reading of lists keeps all polls from being made."""

    sweeps: int = 0
    """How many in a row."""
    tried: int = 0
    """The minute in which lists were last asked for."""


@dataclass(frozen=True, slots=True)
class ConnectionHead:
    """A connection as it stands now; minutes are counted since 1970."""

    tick: int | None = None
    """The last tick that was begun."""
    completed: int | None = None
    """The last tick of which every due job was answered, or its failure stored."""
    first: int | None = None
    """The tick that was begun first; kept until one is completed."""
    round: Round | None = None
    """What the last sweep left unfinished."""
    waits_until: datetime | None = None
    """The vendor asked to be left alone until then."""
    sent: Sent | None = None
    """The last requests, for the limits that go over more than one sweep."""
    died: bool = False
    """The last sweep never gave its lease back."""
    moved: tuple[JobKey, ...] = ()
    """Jobs that the last sweep moved in the calendar and that fall due in the next: its index may not show them yet."""
    in_the_way: InTheWay = InTheWay()
    health: Health = WELL
    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex)
    version: int = 0
    """Of the last of its events."""

    def behind(self, minute: int) -> int:
        """By how many minutes the last completed tick lies behind this one."""
        if self.completed is not None:
            return minute - self.completed
        return 0 if self.first is None else minute - self.first + 1


def connection_pk(connection: str) -> str:
    return f"CONNECTION#{connection}"


def connection_of(item: Item) -> ConnectionHead:
    sent_at = moment(item, "sent_at")
    return ConnectionHead(
        tick=number(item, "tick") if "tick" in item else None,
        completed=number(item, "completed_tick") if "completed_tick" in item else None,
        first=number(item, "first_tick") if "first_tick" in item else None,
        round=_round_of(item),
        waits_until=moment(item, "waits_until"),
        sent=Sent(number(item, "sent"), sent_at) if sent_at else None,
        died="lease_owner" in item,
        moved=tuple(JobKey.parse(key) for key in json.loads(text(item, "moved") or "[]")),
        in_the_way=InTheWay(number(item, "in_the_way"), number(item, "lists_tried")),
        health=Health.read(text(item, "health")),
        incarnation=text(item, "incarnation") or uuid.uuid4().hex,
        version=number(item, "version"),
    )


def _round_of(item: Item) -> Round | None:
    start, cursor = text(item, "round_start"), text(item, "cursor")
    if start is None or cursor is None:
        return None
    try:
        return Round(number(item, "round_tick"), Place.read(start), Place.read(cursor))
    except ValueError:
        return None  # Written by another release: the round begins anew.


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

    def wait(self, connection: str, owner: str, until: datetime) -> None:
        """Ask nothing of the connection before then, whatever becomes of the sweep. Raises LostRace."""
        self.table.update(
            setting(
                connection_pk(connection),
                HEAD,
                when="lease_owner = :owner",
                set_={"waits_until": {"S": sortable(until)}},
                values={":owner": {"S": owner}},
            )
        )

    def give_back(
        self, connection: str, owner: str, left: ConnectionHead, entries: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Give the lease back, and leave the connection so. Raises LostRace if the lease went to another.

        `entries` are puts of history entries up to `left.version`, written with the rest or not at all.
        """
        round_, waits, sent, version = left.round, left.waits_until, left.sent, left.version
        lists = left.in_the_way
        told: dict[str, dict[str, Any] | None] = {
            "completed_tick": None if left.completed is None else {"N": str(left.completed)},
            "first_tick": {"N": str(left.first)} if left.completed is None and left.first is not None else None,
            "round_tick": {"N": str(round_.tick)} if round_ else None,
            "round_start": {"S": str(round_.start)} if round_ else None,
            "cursor": {"S": str(round_.cursor)} if round_ else None,
            "waits_until": {"S": sortable(waits)} if waits else None,
            "sent": {"N": str(sent.count)} if sent else None,
            "sent_at": {"S": sortable(sent.last_at)} if sent else None,
            "moved": {"S": json.dumps([str(key) for key in left.moved])} if left.moved else None,
            "in_the_way": {"N": str(lists.sweeps)} if lists.sweeps else None,
            "lists_tried": {"N": str(lists.tried)} if lists.sweeps else None,
            "health": {"S": str(left.health)} if left.health != WELL else None,
            "incarnation": {"S": left.incarnation} if version else None,
            "version": {"N": str(version)} if version else None,
            "lease_owner": None,
            "lease_until": None,
        }
        update = setting(
            connection_pk(connection),
            HEAD,
            when="lease_owner = :owner",
            set_={name: value for name, value in told.items() if value},
            remove=[name for name, value in told.items() if not value],
            values={":owner": {"S": owner}},
        )
        if entries:
            self.table.transact({"Update": update | {"TableName": self.table.name}}, *entries)
        else:
            self.table.update(update)
