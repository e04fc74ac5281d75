"""Destination heads: whether a destination is delivered to, since when it only fails, and how long it waits."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pollbridge.history.table import HEAD, Item, LostRace, Table, moment, new_token, number, setting, text
from pollbridge.model.event import Cause
from pollbridge.model.instant import sortable


def destination_pk(destination: str) -> str:
    return f"DESTINATION#{destination}"


@dataclass(frozen=True, slots=True)
class Disabled:
    """Why nothing is delivered to a destination any more."""

    since: datetime
    reason: Cause
    error: str


@dataclass(frozen=True, slots=True)
class DestinationHead:
    """A destination as it stands now."""

    failing_since: datetime | None = None
    """The first of the failed attempts after which none succeeded."""
    failed_at: datetime | None = None
    """The last one."""
    waits_until: datetime | None = None
    """The receiver asked to be left alone until then."""
    disabled: Disabled | None = None
    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex)
    version: int = 0
    """Of the last of its events."""
    token: str | None = None
    """Of the last write."""

    @property
    def trouble_since(self) -> datetime | None:
        """The first failure of those that go on, or that disabled it."""
        moments = [self.failing_since, self.disabled.since if self.disabled else None]
        return min((moment for moment in moments if moment), default=None)


def destination_of(item: Item) -> DestinationHead:
    since = moment(item, "disabled_since")
    return DestinationHead(
        failing_since=moment(item, "failing_since"),
        failed_at=moment(item, "failed_at"),
        waits_until=moment(item, "waits_until"),
        disabled=Disabled(since, Cause(item["disabled_reason"]["S"]), item["disabled_error"]["S"]) if since else None,
        incarnation=text(item, "incarnation") or uuid.uuid4().hex,
        version=number(item, "version"),
        token=text(item, "token"),
    )


@dataclass(frozen=True, slots=True)
class Destinations:
    """The heads of the destinations. Every write is conditional: who comes late changes nothing.

    Late comes a write, too, that the SDK repeats because its response was lost.
    """

    table: Table

    def head(self, destination: str) -> DestinationHead:
        return destination_of(self.table.get(destination_pk(destination), HEAD) or {})

    def failed(self, destination: str, head: DestinationHead, at: datetime, since: datetime) -> None:
        """Remember a failure, and the first of those in a row; dropped if anything was written since `head`."""
        self._unless_lost(
            destination,
            "#token = :seen" if head.token else "attribute_not_exists(#token)",
            {"failing_since": {"S": sortable(since)}, "failed_at": {"S": sortable(at)}},
            values={":seen": {"S": head.token}} if head.token else {},
        )

    def succeeded(self, destination: str) -> None:
        """Forget the failures: one success resets the clock."""
        if self.head(destination).failing_since:
            self._unless_lost(destination, "attribute_exists(failing_since)", {}, remove=("failing_since", "failed_at"))

    def wait(self, destination: str, until: datetime) -> None:
        """Leave the whole destination alone until then."""
        later = {":until": {"S": sortable(until)}}
        when = "attribute_not_exists(waits_until) OR waits_until < :until"
        self._unless_lost(destination, when, {"waits_until": {"S": sortable(until)}}, values=later)

    def disable(
        self, destination: str, head: DestinationHead, disabled: Disabled, version: int, entry: Mapping[str, Any]
    ) -> None:
        """Deliver nothing more, and tell it: `entry` is the put of the history entry of that version.

        Raises LostRace when it is disabled already, or when failures disable what has been delivered to since.
        """
        conditions = ["attribute_not_exists(disabled_since)"]
        values: Item = {}
        if head.version:
            conditions.append("version = :seen")
            values[":seen"] = {"N": str(head.version)}
        else:
            conditions.append("attribute_not_exists(version)")
        if disabled.reason is Cause.FAILING and head.failing_since:
            conditions.append("failing_since = :failing")
            values[":failing"] = {"S": sortable(head.failing_since)}
        update = setting(
            destination_pk(destination),
            HEAD,
            when=" AND ".join(conditions),
            set_={
                "disabled_since": {"S": sortable(disabled.since)},
                "disabled_reason": {"S": disabled.reason},
                "disabled_error": {"S": disabled.error},
                "incarnation": {"S": head.incarnation},
                "version": {"N": str(version)},
                "token": {"S": new_token()},
            },
            values=values,
        )
        self.table.transact({"Update": update | {"TableName": self.table.name}}, entry)

    def enable(self, destination: str) -> Disabled | None:
        """Deliver again, with a clean record. Returns what had disabled it; None when nothing had.

        What disables it later than that is left.
        """
        disabled = self.head(destination).disabled
        told = ("disabled_since", "disabled_reason", "disabled_error", "failing_since", "failed_at", "waits_until")
        since = {":since": {"S": sortable(disabled.since)}} if disabled else {}
        when = "disabled_since = :since" if disabled else "attribute_not_exists(disabled_since)"
        self._unless_lost(destination, f"attribute_exists(PK) AND {when}", {}, remove=told, values=since)
        return disabled

    def _unless_lost(
        self, destination: str, when: str, set_: Item, *, remove: tuple[str, ...] = (), values: Item | None = None
    ) -> None:
        with suppress(LostRace):
            self.table.update_once(
                destination_pk(destination),
                HEAD,
                when=when,
                set_=set_,
                remove=remove,
                values=values or {},
                token=new_token(),
            )
