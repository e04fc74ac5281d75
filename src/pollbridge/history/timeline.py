"""The timeline: every told event of the deployment, by day and moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pollbridge.history.table import Item, Table
from pollbridge.model.instant import read_iso, sortable

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as the timeline carries it: `event` is its detail as JSON text."""

    pk: str
    event_id: str
    detail_type: str
    event: str
    moment: str = ""
    """Where it stands in the timeline, if it comes from there: its observed_at and its subject."""


def told_of(item: Item) -> Told:
    names = ("event_id", "detail_type", "event", "moment")
    return Told(item["PK"]["S"], *(item[name]["S"] for name in names))


@dataclass(frozen=True, slots=True)
class Timeline:
    """Read from an index: what was recorded within the last second may be missing."""

    table: Table

    def newest_first(self, since: datetime, until: datetime, begin: str | None = None) -> Iterator[Told]:
        """Every event observed from `since` up to `until`; from the event at the moment `begin` on if that is older."""
        last = min(begin or _behind(until), _behind(until))
        day = read_iso(last[:10])
        while day + DAY > since:
            yield from self._of_day(day, sortable(since), last, forward=False)
            day -= DAY

    def oldest_first(self, since: datetime, until: datetime) -> Iterator[Told]:
        """Every event observed from `since` up to `until`."""
        day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= until:
            yield from self._of_day(day, sortable(since), _behind(until), forward=True)
            day += DAY

    def _of_day(self, day: datetime, first: str, last: str, *, forward: bool) -> Iterator[Told]:
        if last < first:
            return  # DynamoDB refuses a span that ends before it begins.
        values = {":day": {"S": sortable(day)[:10]}, ":since": {"S": first}, ":until": {"S": last}}
        condition = "#day = :day AND moment BETWEEN :since AND :until"
        names = {"#day": "day"}
        for item in self.table.query(
            condition, values, index="timeline", ExpressionAttributeNames=names, ScanIndexForward=forward
        ):
            yield told_of(item)


def _behind(until: datetime) -> str:
    # A moment goes on with "#" and the subject, which sorts before "~".
    return f"{sortable(until)}~"
