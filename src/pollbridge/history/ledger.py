"""The delivery ledger: one item per event and destination, claimed before it is attempted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from pollbridge.history.entries import expiry
from pollbridge.history.heads import job_pk
from pollbridge.history.table import Item, LostRace, Table, key, number, setting, text
from pollbridge.model.instant import read_iso, sortable
from pollbridge.model.job import JobKey

KEEP = timedelta(days=60)
"""Longer than any message can live: 14 days in the queue and 14 in its dead-letter queue."""

EARLY = timedelta(seconds=2)
"""A message that comes back by so little before its time is taken up: SQS counts in whole seconds. It is shorter than
any wait between attempts, so that a copy of the message isn't."""

ATTRIBUTES = ("PK", "SK", "status", "version", "attempts", "earlier", "next_attempt_at", "claimed_until")


class Status(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"
    MAYBE_SENT = "maybe_sent"

    @property
    def finished(self) -> bool:
        return self is not Status.PENDING


class Attempt(BaseModel):
    """One try to deliver: what came of it, in a word, with the receiver's status code if it gave one."""

    at: str
    outcome: str
    code: int | None
    latency_ms: int
    response: str | None = None
    """The beginning of what a receiver answered that did not take it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one destination."""

    pk: str
    event_id: str
    destination: str
    version: int
    status: Status
    attempts: tuple[Attempt, ...]
    earlier: int
    """How many of the attempts were made before somebody had it sent again."""
    next_attempt_at: datetime | None

    @property
    def tries(self) -> int:
        """Attempts that the retry clock counts."""
        return len(self.attempts) - self.earlier


class Claimed(Exception):
    """Somebody else is delivering it at this moment."""


class NotDue(Exception):
    """It waits for its next attempt: this message came too early, or is a copy."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


def delivery_sk(event_id: str, destination: str) -> str:
    return f"DELIVERY#{event_id}#{destination}"


def delivery_of(item: Item) -> Delivery:
    _, event_id, destination = item["SK"]["S"].split("#", 2)
    next_attempt_at = text(item, "next_attempt_at")
    return Delivery(
        pk=item["PK"]["S"],
        event_id=event_id,
        destination=destination,
        version=int(item["version"]["N"]),
        status=Status(item["status"]["S"]),
        attempts=tuple(Attempt.model_validate(attempt) for attempt in json.loads(text(item, "attempts") or "[]")),
        earlier=number(item, "earlier"),
        next_attempt_at=read_iso(next_attempt_at) if next_attempt_at else None,
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    """The deliveries to one destination."""

    table: Table
    destination: str
    lease: timedelta
    """How long a claim holds: longer than an attempt can take."""

    def claim(self, pk: str, event_id: str, version: int, now: datetime) -> Delivery:
        """Take a delivery up. Returns it as it stands; a finished one is not claimed. Raises Claimed or NotDue."""
        claim = setting(
            pk,
            delivery_sk(event_id, self.destination),
            when="(attribute_not_exists(PK) OR #status = :status) AND"
            " (attribute_not_exists(claimed_until) OR claimed_until <= :now) AND"
            " (attribute_not_exists(next_attempt_at) OR next_attempt_at <= :soon)",
            set_={
                "status": {"S": Status.PENDING},
                "version": {"N": str(version)},
                "claimed_until": {"S": sortable(now + self.lease)},
                "expires_at": expiry(now, KEEP),
            },
            values={":now": {"S": sortable(now)}, ":soon": {"S": sortable(now + EARLY)}},
        )
        try:
            return delivery_of(self.table.update(claim, ReturnValues="ALL_NEW"))
        except LostRace as race:
            if race.item is None:
                raise Claimed from None
            delivery, claimed_until = delivery_of(race.item), text(race.item, "claimed_until")
            if delivery.status.finished:
                return delivery
            if delivery.next_attempt_at and not (claimed_until and claimed_until > sortable(now)):
                raise NotDue(delivery.next_attempt_at) from None
            raise Claimed from None

    def finish(
        self, delivery: Delivery, status: Status, attempt: Attempt | None, next_attempt_at: datetime | None
    ) -> None:
        """Write down what an attempt came to (None: it was none), and let go of the claim.

        Raises LostRace on a finished delivery.
        """
        attempts = [*delivery.attempts, attempt] if attempt else delivery.attempts
        set_: dict[str, Any] = {
            "status": {"S": status},
            "attempts": {"S": _compact(attempts)},
        }
        remove = ["claimed_until"]
        if next_attempt_at:
            set_["next_attempt_at"] = {"S": sortable(next_attempt_at)}
        else:
            remove.append("next_attempt_at")
        self.table.update(
            setting(
                delivery.pk,
                delivery_sk(delivery.event_id, self.destination),
                when="#status = :pending",
                set_=set_,
                remove=remove,
                values={":pending": {"S": Status.PENDING}},
            )
        )

    def close(self, pk: str, event_id: str, version: int, status: Status, now: datetime) -> None:
        """Finish a delivery that nobody attempts; a finished one stays as it is. Raises Claimed."""
        update = setting(
            pk,
            delivery_sk(event_id, self.destination),
            when="(attribute_not_exists(PK) OR #status = :pending) AND"
            " (attribute_not_exists(claimed_until) OR claimed_until <= :now)",
            set_={"status": {"S": status}, "version": {"N": str(version)}, "expires_at": expiry(now, KEEP)},
            remove=("next_attempt_at", "claimed_until"),
            values={":pending": {"S": Status.PENDING}, ":now": {"S": sortable(now)}},
        )
        try:
            self.table.update(update)
        except LostRace as race:
            if race.item is None or not delivery_of(race.item).status.finished:
                raise Claimed from None

    def again(self, pk: str, event_id: str, version: int, now: datetime) -> None:
        """Have it delivered once more, whatever became of it, with all the attempts of a new one.

        The earlier ones stay on record, without what was answered: an item takes 400 KB, however often this is done.
        Raises Claimed while it is being attempted.
        """
        for _ in range(2):
            item = self.table.get(pk, delivery_sk(event_id, self.destination)) or {}
            attempts = delivery_of(item).attempts if item else ()
            seen = {":seen": item["attempts"]} if "attempts" in item else {}
            update = setting(
                pk,
                delivery_sk(event_id, self.destination),
                when="(attribute_not_exists(claimed_until) OR claimed_until <= :now) AND "
                + ("attempts = :seen" if seen else "attribute_not_exists(attempts)"),
                set_={
                    "status": {"S": Status.PENDING},
                    "version": {"N": str(version)},
                    "attempts": {"S": _compact(attempt.model_copy(update={"response": None}) for attempt in attempts)},
                    "earlier": {"N": str(len(attempts))},
                    "expires_at": expiry(now, KEEP),
                },
                remove=("next_attempt_at", "claimed_until"),
                values={":now": {"S": sortable(now)}, **seen},
            )
            try:
                self.table.update(update)
            except LostRace:
                continue
            return
        raise Claimed

    def of(self, pk: str, event_id: str) -> Delivery | None:
        """The delivery of that event, None while it is only queued."""
        item = self.table.get(pk, delivery_sk(event_id, self.destination))
        return delivery_of(item) if item else None


def _compact(attempts: Iterable[Attempt]) -> str:
    dumped = [attempt.model_dump(exclude_none=False) for attempt in attempts]
    return json.dumps(dumped, ensure_ascii=False, separators=(",", ":"))


def deliveries(table: Table, job: JobKey) -> Iterator[Delivery]:
    """Every delivery of a job's events."""
    return deliveries_in(table, job_pk(job))


def deliveries_in(table: Table, pk: str) -> Iterator[Delivery]:
    """Every delivery of the events of a job, a connection or a destination."""
    values = {":pk": {"S": pk}, ":d": {"S": "DELIVERY#"}}
    for item in table.query("PK = :pk AND begins_with(SK, :d)", values):
        yield delivery_of(item)


def deliveries_of(
    table: Table, events: Iterable[tuple[str, str]], destinations: Iterable[str]
) -> dict[tuple[str, str], Delivery]:
    """The deliveries of events, given by partition and id, to destinations: by event id and destination."""
    names = list(destinations)
    keys = [key(pk, delivery_sk(event_id, name)) for pk, event_id in events for name in names]
    found = map(delivery_of, table.batch(keys, ATTRIBUTES)) if keys else ()
    return {(delivery.event_id, delivery.destination): delivery for delivery in found}
