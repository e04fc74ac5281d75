"""The delivery ledger: one item per event and destination, claimed before it is attempted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from pollbridge.history.entries import expiry
from pollbridge.history.heads import job_pk
from pollbridge.history.table import Item, LostRace, Table, setting, text
from pollbridge.model.instant import iso, sortable
from pollbridge.model.job import JobKey

KEEP = timedelta(days=60)
"""Longer than any message can live: 14 days in the queue and 14 in its dead-letter queue."""


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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one destination."""

    pk: str
    event_id: str
    destination: str
    version: int
    status: Status
    attempts: tuple[Attempt, ...]
    next_attempt_at: str | None


class Claimed(Exception):
    """Somebody else is delivering it at this moment."""


def delivery_of(item: Item) -> Delivery:
    _, event_id, destination = item["SK"]["S"].split("#", 2)
    return Delivery(
        pk=item["PK"]["S"],
        event_id=event_id,
        destination=destination,
        version=int(item["version"]["N"]),
        status=Status(item["status"]["S"]),
        attempts=tuple(Attempt.model_validate(attempt) for attempt in json.loads(text(item, "attempts") or "[]")),
        next_attempt_at=text(item, "next_attempt_at"),
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    """The deliveries to one destination."""

    table: Table
    destination: str
    lease: timedelta
    """How long a claim holds: longer than an attempt can take."""

    def claim(self, pk: str, event_id: str, version: int, now: datetime) -> Delivery:
        """Take a delivery up. Returns it as it stands; a finished one is not claimed. Raises Claimed."""
        claim = setting(
            pk,
            self._sk(event_id),
            when="(attribute_not_exists(PK) OR #status = :status) AND"
            " (attribute_not_exists(claimed_until) OR claimed_until <= :now)",
            set_={
                "status": {"S": Status.PENDING},
                "version": {"N": str(version)},
                "claimed_until": {"S": sortable(now + self.lease)},
                "expires_at": expiry(now, KEEP),
            },
            values={":now": {"S": sortable(now)}},
        )
        try:
            return delivery_of(self.table.update(claim, ReturnValues="ALL_NEW"))
        except LostRace as race:
            if race.item and delivery_of(race.item).status.finished:
                return delivery_of(race.item)
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
            "attempts": {"S": json.dumps([attempt.model_dump() for attempt in attempts], separators=(",", ":"))},
        }
        remove = ["claimed_until"]
        if next_attempt_at:
            set_["next_attempt_at"] = {"S": iso(next_attempt_at)}
        else:
            remove.append("next_attempt_at")
        self.table.update(
            setting(
                delivery.pk,
                self._sk(delivery.event_id),
                when="#status = :pending",
                set_=set_,
                remove=remove,
                values={":pending": {"S": Status.PENDING}},
            )
        )

    def _sk(self, event_id: str) -> str:
        return f"DELIVERY#{event_id}#{self.destination}"


def deliveries(table: Table, job: JobKey) -> Iterator[Delivery]:
    """Every delivery of a job's events."""
    values = {":pk": {"S": job_pk(job)}, ":d": {"S": "DELIVERY#"}}
    for item in table.query("PK = :pk AND begins_with(SK, :d)", values):
        yield delivery_of(item)
